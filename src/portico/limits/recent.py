"""A mapping that forgets what has not been used lately."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most twice `capacity` entries, in two generations; the older goes when the newer is full.

    Nothing is sorted or moved by the dozen: an entry that is found in the older generation moves
    to the newer one, so what is in use stays.
    """

    __slots__ = ("_capacity", "_new", "_old")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        value = self._new.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self[key] = value
        return value

    def __setitem__(self, key: K, value: V) -> None:
        new = self._new
        if len(new) >= self._capacity and key not in new:
            self._old, self._new = new, {}
            new = self._new
        new[key] = value

    def items(self) -> Iterator[tuple[K, V]]:
        """Yield what is remembered now; changes meanwhile do not matter."""
        new, old = self._new.copy(), self._old
        yield from new.items()
        yield from ((key, value) for key, value in old.copy().items() if key not in new)

    def clear(self) -> None:
        self._new, self._old = {}, {}

    def __len__(self) -> int:
        return len(self._new) + sum(key not in self._new for key in self._old)

    def __repr__(self) -> str:
        return f"<Recent {len(self)} of {2 * self._capacity}>"
