"""Lists: pages after the last record seen, in the order of its key, which never changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from portico.connectors.messages import Errand
from portico.connectors.moments import from_text
from portico.connectors.pages import from_cursor, no_such_page, page_reply
from portico.connectors.record import Record
from portico.problems import INVALID_PARAMETER, Problem
from portico.server.call import Reply
from system_apis.sap.connector import SAP
from system_apis.sap.odata import Query, literal
from system_apis.sap.s4 import S4, Service

# A key as SAP has it: a number, or the name of a product, which may have any signs in it.
_KEY = re.compile(r"[^\x00-\x1f\x7f]+")
NUMBER_LENGTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list as it is asked for. `filters` are the query parameters of its next page."""

    operation: str
    service: Service
    entity: str
    key: str
    expand: Sequence[str]
    conditions: Sequence[str]
    filters: Mapping[str, object] = field(default_factory=dict)
    newest_first: bool = False
    key_length: int = NUMBER_LENGTH


async def page(
    sap: SAP,
    errand: Errand,
    listing: Listing,
    shown: Callable[[Record, S4], object],
    *,
    limit: int,
    cursor: str | None,
) -> Reply:
    """Return one page of a list."""
    conditions = list(listing.conditions)
    if cursor is not None:
        sign = "lt" if listing.newest_first else "gt"
        conditions.append(f"{listing.key} {sign} {literal(_position(cursor, listing))}")
    query = Query(
        entity=listing.entity,
        conditions=conditions,
        order=f"{listing.key} desc" if listing.newest_first else listing.key,
        top=limit + 1,
        expand=listing.expand,
    )
    found = await sap.search(errand, listing.operation, listing.service, query)
    items = [shown(record, sap.s4) for record in found[:limit]]
    position = found[limit - 1].text(listing.key) if len(found) > limit else None
    return page_reply(items, position, {**listing.filters, "limit": limit})


def _position(cursor: str, listing: Listing) -> str:
    position = from_cursor(cursor)
    if not _KEY.fullmatch(position) or len(position) > listing.key_length:
        raise no_such_page()
    return position


def moment(text: str) -> datetime:
    """Return the moment that `changedSince` is; raises Problem."""
    try:
        return from_text(text)
    except (ValueError, OverflowError):
        # RFC 3339 has leap seconds, and offsets that lead out of the calendar.
        error = {"detail": "no such moment", "parameter": "changedSince", "in": "query"}
        detail = "1 parameter does not match the contract"
        raise Problem(INVALID_PARAMETER, detail, extensions={"errors": [error]}) from None
