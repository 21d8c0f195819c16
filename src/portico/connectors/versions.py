"""Conditional writes: a record is changed only at the version that was read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from portico.connectors.failures import ConflictError

T = TypeVar("T")


async def change(read: Callable[[], Awaitable[T]], write: Callable[[T], Awaitable[T]]) -> T:
    """Return what `write` made of the record that `read` returned.

    `write` merges the change into the record it is given and sends it with that record's version.
    If somebody else was faster, the record is read and merged once more; a second time it is a
    ConflictError, for the caller to look at.
    """
    record = await read()
    try:
        return await write(record)
    except ConflictError:
        return await write(await read())
