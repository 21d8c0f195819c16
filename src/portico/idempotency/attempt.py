"""One attempt at an operation under a key, and where it stands after looking at the record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from portico.idempotency.policy import Policy
from portico.idempotency.record import Record
from portico.idempotency.scope import Location, Scope


@dataclass(slots=True, kw_only=True)
class Attempt:
    """What the store must know of a request; made once for each.

    `operation` is its name everywhere, such as `process/orders.v1/createOrder`. `wait_seconds` is
    how long the caller would wait for an attempt that is running.
    """

    scope: Scope
    key: str
    fingerprint: bytes
    operation: str
    request_id: str = ""
    accept: str = ""
    wait_seconds: float = 0.0
    first_sent_ms: int = 0


class Verdict(StrEnum):
    """What a look at the record leads to; the words of the scripts."""

    CLAIMED = "CLAIMED"
    RESUMED = "RESUMED"
    RECONCILE = "RECONCILE"
    BUSY = "BUSY"
    MISMATCH = "MISMATCH"
    REPLAY = "REPLAY"
    TOMBSTONE = "TOMBSTONE"
    IN_DOUBT = "IN_DOUBT"
    QUOTA = "QUOTA"
    EXPIRED = "EXPIRED"
    BROKEN = "BROKEN"
    ABANDONED = "ABANDONED"


@dataclass(frozen=True, slots=True)
class Standing:
    """An attempt that does not run: somebody else's does, or did, or nobody's may."""

    verdict: Verdict
    record_name: bytes
    record: Record | None = None
    left_seconds: float = 0.0


@dataclass(slots=True)
class Prepared:
    """A claim ready to be made, alone or within an admission script."""

    location: Location
    token: bytes
    policy: Policy
    arguments: list[bytes]

    @property
    def keys(self) -> tuple[bytes, bytes]:
        """Return the keys of the claim: the record and the quota, in one cluster slot."""
        return self.location.record, self.location.quota
