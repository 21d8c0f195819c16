"""The last good piece of each source, for whom it was read and for nobody else."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from time import monotonic
from typing import Self

from portico.server.call import Caller
from process_apis.customer_360.domain import Name, Piece, Reading

# Pieces are a few kilobytes, those of the largest customers some hundred.
MAX_PIECES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A piece as one caller, with the rights of one call, was given it."""

    subject: str
    client_id: str
    scopes: frozenset[str]
    actors: tuple[str, ...]
    source: Name
    customer_id: str

    @classmethod
    def of(cls, caller: Caller, source: Name, customer_id: str) -> Self:
        """Return the key of a caller, whatever token the caller comes with this time."""
        return cls(
            subject=caller.subject,
            client_id=caller.client_id,
            scopes=caller.scopes,
            actors=caller.actors,
            source=source,
            customer_id=customer_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    piece: Piece
    as_of: datetime
    read_at: float


class LastGood:
    """Pieces in the memory of this process, the most recently read ones."""

    def __init__(
        self, max_pieces: int = MAX_PIECES, clock: Callable[[], float] = monotonic
    ) -> None:
        self._max_pieces = max_pieces
        self._clock = clock
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()

    def keep(self, key: Key, reading: Reading) -> None:
        """Keep a piece in place of the one before."""
        # Whoever is given an answer may change it.
        piece = copy.deepcopy(reading.piece)
        self._kept[key] = _Kept(piece=piece, as_of=reading.as_of, read_at=self._clock())
        self._kept.move_to_end(key)
        if len(self._kept) > self._max_pieces:
            self._kept.popitem(last=False)

    def find(self, key: Key, keep_seconds: float) -> Reading | None:
        """Return what was kept with its age, unless it is too old by now."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        age_seconds = self._clock() - kept.read_at
        if age_seconds > keep_seconds:
            del self._kept[key]
            return None
        piece = copy.deepcopy(kept.piece)
        # An age of 0 is that of a piece which was read for this answer.
        age = max(1, ceil(age_seconds))
        return Reading(piece=piece, as_of=kept.as_of, age_seconds=age)

    def forget(self, key: Key) -> None:
        """Drop what the source no longer has."""
        self._kept.pop(key, None)

    def __repr__(self) -> str:
        return f"<LastGood {len(self._kept)} of {self._max_pieces} pieces>"
