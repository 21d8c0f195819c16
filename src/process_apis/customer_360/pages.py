"""Lists of a system, read to their end or as far as is reasonable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, NotRequired, TypedDict, TypeVar

T = TypeVar("T")

PAGE = 100  # the most that system APIs give at once
# Pages come one after the other, and the profile waits for the last of them.
MAX_PAGES = 3


class Page(TypedDict, Generic[T]):
    items: list[T]
    nextCursor: NotRequired[str]


async def read_pages(
    read: Callable[[str | None], Awaitable[Page[T]]],
) -> tuple[list[T], bool]:
    """Return the records of a list and whether those are all; `read` gets the cursor of a page."""
    items: list[T] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await read(cursor)
        items += page["items"]
        cursor = page.get("nextCursor")
        if cursor is None:
            return items, True
    return items, False
