"""A connector to a made-up parcel service: all that a simple REST system needs, whole.

Its settings, what its errors mean, its requests, and its mapping to the canonical model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from pydantic import Field, SecretStr

from portico.connectors.classification import Allowance, Dialect, Reason, Rule
from portico.connectors.connection import Connection, open_connection
from portico.connectors.failures import (
    DuplicateError,
    LockedError,
    MissingError,
    QuotaError,
)
from portico.connectors.grants import ClientCredentials, TokenEndpoint
from portico.connectors.messages import Answer, Errand, Request, read, write
from portico.connectors.moments import from_text, timestamp
from portico.connectors.money import money, number
from portico.connectors.oauth import OAuthCredentials
from portico.connectors.pages import each_page
from portico.connectors.watermarks import Change, Watermark, fresh_changes
from portico.connectors.wire import ConnectionSettings, Wire

SYSTEM = "parcels"


class Settings(ConnectionSettings):
    """Where the parcel service is and who we are there."""

    client_id: str
    client_secret: SecretStr = Field(min_length=8)


def read_reason(answer: Answer) -> Reason | None:
    """The service reports failures in a member of the body, under 200 as well."""
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return None
    body = answer.json()
    if not isinstance(body, dict) or "failure" not in body:
        return None
    failure = body["failure"]
    return Reason(
        code=failure["code"], message=failure["text"], record_ids=failure.get("parcels", [])
    )


def read_allowances(answer: Answer) -> list[Allowance]:
    used, _, total = answer.headers.get("x-calls", "").partition("/")
    return [Allowance(name="calls", used=int(used), total=int(total))] if total else []


DIALECT = Dialect(
    system=SYSTEM,
    read_reason=read_reason,
    rules=[
        Rule(code="held", failure=LockedError),
        Rule(code="known", failure=DuplicateError),
        Rule(code="unknown", failure=MissingError),
        Rule(code="month-used-up", failure=QuotaError),
    ],
    read_allowances=read_allowances,
)


class Parcels:
    """The parcel service, as its handlers use it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def get(self, parcel_id: str, errand: Errand) -> dict[str, object]:
        """Return a parcel."""
        answer = await self.connection.send(read("parcels.get", f"parcels/{parcel_id}"), errand)
        return parcel(answer.record())

    async def send_off(self, reference: str, key: str, errand: Errand) -> dict[str, object]:
        """Register a parcel once for each key."""
        request = write(
            "parcels.create",
            "parcels",
            json={"reference": reference},
            headers={"once": key},
            repeatable=True,
        )
        return parcel((await self.connection.send(request, errand)).record())

    async def every(self, errand: Errand, since: str = "") -> AsyncIterator[Mapping[str, object]]:
        """Yield the parcels changed since a time, page by page."""
        first = read("parcels.list", "parcels", [("since", since)])

        async def send(request: Request) -> Answer:
            return await self.connection.send(request, errand)

        async for page in each_page(send, first, _following):
            for entry in cast("list[dict[str, object]]", page.record()["parcels"]):
                yield entry

    async def changes(
        self, mark: Watermark, errand: Errand
    ) -> tuple[list[Change[dict[str, object]]], Watermark]:
        """Return what changed since a watermark, and the next one."""
        return await fresh_changes(mark, self._changes(mark, errand))

    async def _changes(
        self, mark: Watermark, errand: Errand
    ) -> AsyncIterator[Change[dict[str, object]]]:
        async for entry in self.every(errand, since=timestamp(mark.since())):
            changed_at = str(entry["changed"])
            yield Change(
                id=str(entry["id"]),
                version=changed_at,
                changed_at=from_text(changed_at),
                record=parcel(entry),
            )


def _following(answer: Answer) -> Request | None:
    after = str(answer.record().get("after") or "")
    return read("parcels.list", "parcels", [("after", after)]) if after else None


def parcel(entry: Mapping[str, object]) -> dict[str, object]:
    """Return a canonical record for the service's."""
    return {
        "id": str(entry["id"]),
        "reference": str(entry["reference"]),
        "postage": money(number(entry["postage"]), "EUR"),
        "updatedAt": timestamp(from_text(str(entry["changed"]))),
    }


@asynccontextmanager
async def resources(settings: Settings) -> AsyncIterator[Parcels]:
    """Open what the handlers find in `call.resources`."""

    def credentials(wire: Wire) -> OAuthCredentials:
        secret = settings.client_secret.get_secret_value()
        url = f"{str(settings.base_url).rstrip('/')}/token"
        endpoint = TokenEndpoint(wire, url, client_id=settings.client_id, client_secret=secret)
        return OAuthCredentials(ClientCredentials(endpoint))

    async with open_connection(settings, DIALECT, credentials) as connection:
        yield Parcels(connection)
