"""What the store counts, for metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals of one process since its start."""

    claims: int = 0
    resumed: int = 0
    reconciled: int = 0
    replays: int = 0
    mismatches: int = 0
    busy: int = 0
    tombstones_met: int = 0
    in_doubt_met: int = 0
    over_quota: int = 0
    expired: int = 0
    unreadable: int = 0
    unavailable: int = 0
    unprotected: int = 0
    completed: int = 0
    tombstones: int = 0
    released: int = 0
    in_doubt: int = 0
    lost: int = 0
    renewals: int = 0
    unsaved: int = 0
    saved_late: int = 0
    given_up: int = 0
    waited: int = 0
