"""The operations of the parcel API: each asks the connector, whose failures become problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from portico.connectors.failures import as_problems
from tests.portico.connectors.parcels.connector import parcel

if TYPE_CHECKING:
    from portico.server.call import Call
    from tests.portico.connectors.parcels.connector import Parcels


class NewParcel(TypedDict):
    """As `make codegen` would write it from the contract."""

    reference: str


async def list_parcels(call: Call[Parcels]) -> dict[str, object]:
    """Return every parcel."""
    with as_problems():
        return {"items": [parcel(entry) async for entry in call.resources.every(call)]}


async def put_parcel(call: Call[Parcels], *, key: str, body: NewParcel) -> dict[str, object]:
    """Return the parcel of a key, registered now or before."""
    with as_problems():
        return await call.resources.send_off(body["reference"], key, call)


async def get_parcel(call: Call[Parcels], *, parcel_id: str) -> dict[str, object]:
    """Return a parcel."""
    with as_problems():
        return await call.resources.get(parcel_id, call)
