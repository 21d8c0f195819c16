"""Changes since the last look: watermarks with an overlap, so that late commits are not missed.

Systems stamp a change before it is visible, and to the second. So each look begins a while before
the watermark, and what was seen in that while is left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

T = TypeVar("T")

# Longer than a transaction stays open between its time stamp and its commit.
OVERLAP_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Generic[T]):
    """A record as it was changed: `version` is new with every change."""

    id: str
    version: str
    changed_at: datetime
    record: T


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """How far a look came, and what it saw in the overlap: versions and times by id."""

    at: datetime
    seen: Mapping[str, tuple[str, datetime]] = field(default_factory=dict)

    def since(self, overlap_seconds: float = OVERLAP_SECONDS) -> datetime:
        """Return the time from which changes are to be asked for."""
        return self.at - timedelta(seconds=overlap_seconds)


async def fresh_changes(
    mark: Watermark,
    changes: AsyncIterable[Change[T]],
    *,
    overlap_seconds: float = OVERLAP_SECONDS,
) -> tuple[list[Change[T]], Watermark]:
    """Return the changes not seen before, oldest first, and the next watermark.

    `changes` are all since `mark.since()`, in any order; the last of each record counts. Save the
    watermark after the changes were worked off: a crash between repeats some and loses none.
    """
    latest: dict[str, Change[T]] = {}
    async for change in changes:
        known = latest.get(change.id)
        if known is None or known.changed_at <= change.changed_at:
            latest[change.id] = change
    fresh = [change for change in latest.values() if _is_fresh(mark, change)]
    fresh.sort(key=lambda change: (change.changed_at, change.id))
    at = max([mark.at, *(change.changed_at for change in latest.values())])
    oldest = at - timedelta(seconds=overlap_seconds)
    seen = {
        **mark.seen,
        **{change.id: (change.version, change.changed_at) for change in latest.values()},
    }
    kept = {name: entry for name, entry in seen.items() if entry[1] >= oldest}
    return fresh, Watermark(at=at, seen=kept)


def _is_fresh(mark: Watermark, change: Change[T]) -> bool:
    seen = mark.seen.get(change.id)
    return seen is None or seen[0] != change.version
