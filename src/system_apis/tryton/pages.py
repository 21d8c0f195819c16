"""Pages of records: after the last one seen, so that nothing is skipped while others write."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from portico.problems import NOT_FOUND, Problem
from portico.server.call import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from system_apis.tryton.wire import Record

# Tryton's numbers are 64-bit at most.
MAX_DIGITS = 18


def after(cursor: str | None) -> list[object]:
    """Return the domain of what follows a cursor, in rising order."""
    return [] if cursor is None else [["id", ">", _number(cursor)]]


def before(cursor: str | None) -> list[object]:
    """Return the domain of what follows a cursor, in falling order."""
    return [] if cursor is None else [["id", "<", _number(cursor)]]


def containing(text: str, *fields: str) -> list[object]:
    """Return the domain of records that contain a text in one of some fields."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return ["OR", *([field, "ilike", f"%{escaped}%"] for field in fields)]


def reply(
    items: Sequence[object], found: Sequence[Record], limit: int, filters: Mapping[str, str | None]
) -> Reply:
    """Return a page, with the way to the next one if more was found than fits."""
    if len(found) <= limit:
        return Reply(body={"items": list(items)})
    cursor = _cursor(found[limit - 1].id)
    query = {name: value for name, value in filters.items() if value is not None}
    target = urlencode({**query, "limit": limit, "cursor": cursor})
    return Reply(
        body={"items": list(items), "nextCursor": cursor},
        headers=[("Link", f'<?{target}>; rel="next"')],
    )


def _cursor(number: int) -> str:
    return urlsafe_b64encode(str(number).encode()).decode("ascii").rstrip("=")


def _number(cursor: str) -> int:
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        text = b""
    if not text.isdigit() or len(text) > MAX_DIGITS:
        raise Problem(NOT_FOUND, "there is no page at this cursor")
    return int(text)
