"""Pages: the way through a system's own, and the way from one of ours to the next."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from portico.connectors.failures import BrokenError
from portico.connectors.messages import Answer, Request
from portico.problems import NOT_FOUND, Problem
from portico.server.call import Reply
from portico.server.paging import next_link

# A million records at the usual page sizes: more is a loop of the system's or ours.
MAX_PAGES = 10_000

Send = Callable[[Request], Awaitable[Answer]]


async def each_page(
    send: Send, first: Request, following: Callable[[Answer], Request | None]
) -> AsyncIterator[Answer]:
    """Yield every page; `following` returns the request for the page after an answer, or None."""
    request: Request | None = first
    for _ in range(MAX_PAGES):
        if request is None:
            return
        answer = await send(request)
        yield answer
        request = following(answer)
    raise BrokenError(f"the list did not end within {MAX_PAGES} pages")


def to_cursor(position: str) -> str:
    """Return a position in a system's list as an opaque cursor.

    >>> to_cursor("cus_1"), from_cursor(to_cursor("cus_1"))
    ('Y3VzXzE', 'cus_1')
    """
    return urlsafe_b64encode(position.encode()).decode("ascii").rstrip("=")


def from_cursor(cursor: str) -> str:
    """Return the position of a cursor; raises Problem for one that was never given out."""
    try:
        return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError as error:
        raise no_such_page() from error


def no_such_page() -> Problem:
    """Return the problem of a cursor that leads nowhere."""
    return Problem(NOT_FOUND, "there is no page at this cursor")


def page_reply(
    items: Sequence[object], position: str | None, filters: Mapping[str, object]
) -> Reply:
    """Return a page, with the way to the next one where there is a position it begins after.

    `filters` are the query parameters that the next page is asked with, the limit among them.
    """
    if position is None:
        return Reply(body={"items": list(items)})
    cursor = to_cursor(position)
    body = {"items": list(items), "nextCursor": cursor}
    return Reply(body=body, headers=next_link(cursor, filters))
