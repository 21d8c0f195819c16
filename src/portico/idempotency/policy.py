"""What an operation promises about repetition, and what is done when its outcome is not known."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

KIB = 1024


class Disposition(StrEnum):
    """What becomes of the record of an attempt that failed."""

    STORE = "store"
    RELEASE = "release"
    IN_DOUBT = "in_doubt"


class InDoubt(StrEnum):
    """What a repeated request meets when the outcome of the first is not known."""

    FAIL = "fail"
    RECONCILE = "reconcile"
    REEXECUTE = "reexecute"


class Sending(StrEnum):
    """How it is known whether an operation has begun to act.

    ASSUMED: from its start. MARKED: from `claim.dispatched()` on, as this process knows; a crash is
    in doubt. RECORDED: the same, written to the record with a round trip of its own, so that a
    crash before it frees the key.
    """

    ASSUMED = "assumed"
    MARKED = "marked"
    RECORDED = "recorded"


_CHOICES = {
    "on_error": Disposition,
    "on_exception": Disposition,
    "in_doubt": InDoubt,
    "sending": Sending,
}
_DOUBT_CODES = {InDoubt.FAIL: b"F", InDoubt.RECONCILE: b"R", InDoubt.REEXECUTE: b"X"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How the keys of one operation are treated; made once, when the operation is configured.

    `reexecutable` says that running the operation again with the same upstream key does no harm.
    Without `store_responses` a retry is told that the request took effect, and nothing else.
    """

    # Longer than a healthy process is ever silent: renewal comes every third of it.
    lease_seconds: float = 30.0
    retention_seconds: float = 86_400.0
    on_error: Disposition = Disposition.STORE
    on_exception: Disposition = Disposition.IN_DOUBT
    in_doubt: InDoubt = InDoubt.FAIL
    sending: Sending = Sending.ASSUMED
    reexecutable: bool = False
    store_responses: bool = True
    fail_open: bool = False
    # Larger bodies go to the first caller only; Redis keeps every body in memory.
    max_body_bytes: int = 256 * KIB
    # Header fields that the contract declares, besides those that are always kept.
    kept_headers: frozenset[bytes] = frozenset()
    # A key that says it is older than the retention is refused instead of run a second time.
    check_key_age: bool = True
    settings: bytes = field(init=False, repr=False)
    lease_ms: bytes = field(init=False, repr=False)
    retention_ms: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # The words of a configuration are as good as the members they name.
        for name, kind in _CHOICES.items():
            object.__setattr__(self, name, kind(getattr(self, name)))
        self._check()
        lease, retention = int(self.lease_seconds * 1000), int(self.retention_seconds * 1000)
        sent = b"N" if self.sending is Sending.RECORDED else b"U"
        # What the scripts are told, written once.
        for name, value in (
            ("settings", b"%b %b %d %d" % (_DOUBT_CODES[self.in_doubt], sent, lease, retention)),
            ("lease_ms", b"%d" % lease),
            ("retention_ms", b"%d" % retention),
        ):
            object.__setattr__(self, name, value)

    def _check(self) -> None:
        if not 0.05 <= self.lease_seconds <= 3600:
            raise ValueError(f"lease_seconds is {self.lease_seconds}, not from 0.05 to 3600")
        if self.retention_seconds < 2 * self.lease_seconds:
            raise ValueError("retention_seconds is less than two leases")
        if self.max_body_bytes < 0:
            raise ValueError("max_body_bytes is negative")
        if self.reexecutable:
            return
        if Disposition.RELEASE in {self.on_error, self.on_exception}:
            raise ValueError("only a reexecutable operation is released after it has begun to act")
        if self.in_doubt is InDoubt.REEXECUTE:
            raise ValueError("only a reexecutable operation is run again when it is in doubt")
