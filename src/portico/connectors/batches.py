"""Batches: many records to a system that takes so many at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from portico.connectors.failures import BrokenError

T = TypeVar("T")
R = TypeVar("R")


def in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the items, at most `size` at a time.

    >>> list(in_batches("abcde", 2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def send_in_batches(
    items: Sequence[T], size: int, send: Callable[[Sequence[T]], Awaitable[Sequence[R]]]
) -> AsyncIterator[tuple[T, R]]:
    """Yield each item with its result, which `send` returns in the order of its batch."""
    for batch in in_batches(items, size):
        results = await send(batch)
        if len(results) != len(batch):
            raise BrokenError(f"{len(results)} results for a batch of {len(batch)}")
        for item, result in zip(batch, results, strict=True):
            yield item, result
