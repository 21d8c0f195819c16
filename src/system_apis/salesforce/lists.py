"""Lists: pages after the last record seen, so that nothing is skipped while others write.

In the order of ids, or of changes where those since a moment are asked for. Several records may be
changed in one second, so that a position among changes is the second and an id.
"""

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
from system_apis.salesforce.connector import Salesforce
from system_apis.salesforce.org import Org
from system_apis.salesforce.records import id_of, modified
from system_apis.salesforce.soql import Query, instant, quoted

_ID = r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?"
_POSITION = re.compile(rf"(?P<id>{_ID})")
_CHANGE = re.compile(rf"(?P<at>\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<id>{_ID})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list as it is asked for. `filters` are the query parameters of its next page."""

    operation: str
    source: str
    fields: Sequence[str]
    conditions: Sequence[str] = ()
    filters: Mapping[str, object] = field(default_factory=dict)
    newest_first: bool = False


async def page(
    salesforce: Salesforce,
    errand: Errand,
    listing: Listing,
    shown: Callable[[Record, Org], object],
    *,
    limit: int,
    cursor: str | None,
    changed_since: str | None,
) -> Reply:
    """Return one page of a list, without the records that `shown` shows nothing of."""
    since = None if changed_since is None else _moment(changed_since)
    query = _query(listing, limit, cursor, since)
    found = await salesforce.search(errand, listing.operation, query, deleted=since is not None)
    items = [item for record in found[:limit] if (item := shown(record, salesforce.org))]
    last = found[limit - 1] if len(found) > limit else None
    filters = {**listing.filters, "changedSince": changed_since, "limit": limit}
    return page_reply(items, _position(last, since), filters)


def _query(listing: Listing, limit: int, cursor: str | None, since: datetime | None) -> Query:
    conditions = list(listing.conditions)
    if since is not None:
        order = "SystemModstamp, Id"
        conditions.append(_changes(cursor, since))
    else:
        order = "Id DESC" if listing.newest_first else "Id"
        if cursor is not None:
            sign = "<" if listing.newest_first else ">"
            conditions.append(f"Id {sign} {quoted(_parsed(_POSITION, cursor)['id'])}")
    return Query(
        source=listing.source,
        fields=listing.fields,
        conditions=conditions,
        order=order,
        limit=limit + 1,
    )


def _changes(cursor: str | None, since: datetime) -> str:
    """Return the condition of what was changed since a moment, after the position of a cursor."""
    if cursor is None:
        return f"SystemModstamp >= {instant(since)}"
    position = _parsed(_CHANGE, cursor)
    at, last = position["at"], quoted(position["id"])
    return f"(SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > {last}))"


def _position(last: Record | None, since: datetime | None) -> str | None:
    if last is None:
        return None
    return id_of(last) if since is None else f"{instant(modified(last))} {id_of(last)}"


def _parsed(pattern: re.Pattern[str], cursor: str) -> re.Match[str]:
    match = pattern.fullmatch(from_cursor(cursor))
    if match is None:
        raise no_such_page()
    return match


def _moment(text: str) -> datetime:
    try:
        return from_text(text)
    except (ValueError, OverflowError):
        # RFC 3339 has leap seconds, and offsets that lead out of the calendar.
        error = {"detail": "no such moment", "parameter": "changedSince", "in": "query"}
        detail = "1 parameter does not match the contract"
        raise Problem(INVALID_PARAMETER, detail, extensions={"errors": [error]}) from None
