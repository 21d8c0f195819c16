"""Verified tokens, remembered for a short while by the hash of their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.identity.claims import TokenCaller

# A withdrawn key or changed client is noticed within this time.
MAX_AGE_SECONDS = 60.0
# About 1 KB per token, so about 8 MB when both generations are full.
_CAPACITY = 4096


class TokenCache:
    """Two generations of at most `capacity` tokens each: a full one becomes the old one.

    A token in use moves to the young generation, so what is dropped has not been used for at
    least `capacity` insertions. No use of the cache walks over it.
    """

    __slots__ = ("_capacity", "_old", "_young")

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._young: dict[bytes, _Entry] = {}
        self._old: dict[bytes, _Entry] = {}

    def get(self, digest: bytes, now: float) -> TokenCaller | None:
        """Return the caller of a token verified at most a minute ago and not expired."""
        entry = self._young.get(digest)
        if entry is None:
            entry = self._old.get(digest)
            if entry is None:
                return None
            self._insert(digest, entry)
        since, until, caller = entry
        # `since` matters when the clock is set back: the entry must not live longer for it.
        return caller if since <= now < until else None

    def put(self, digest: bytes, caller: TokenCaller, now: float) -> None:
        """Remember a token that was verified now."""
        self._insert(digest, (now, min(caller.expires_at, now + MAX_AGE_SECONDS), caller))

    def clear(self) -> None:
        """Forget every token."""
        self._young = {}
        self._old = {}

    def _insert(self, digest: bytes, entry: _Entry) -> None:
        if len(self._young) >= self._capacity:
            self._old = self._young
            self._young = {}
        self._young[digest] = entry

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __repr__(self) -> str:
        return f"<TokenCache {len(self._young)} young, {len(self._old)} old>"


_Entry = tuple[float, float, "TokenCaller"]
