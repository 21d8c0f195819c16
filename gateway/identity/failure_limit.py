"""Limits on failures, in the memory of one process: slowapi's model over bounded counters.

slowapi's rules, keys and scopes are used as they are. Its storage is not: limits' own memory
storage starts a thread per sweep and keeps as many keys as a sender cares to make up.
"""

from __future__ import annotations

import ipaddress
import time
from math import ceil
from typing import TYPE_CHECKING

from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter
from slowapi.wrappers import LimitGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from limits import RateLimitItem

# About 3 MB when full.
_CAPACITY = 10_000
_IPV6_SITE_BITS = 64


class BoundedCounters(Storage):
    """Expiring counters for limits' fixed windows, never more than `capacity` of them.

    When they are full, the expired ones go, then the lower half: a flood of new keys cannot
    wash out the counter of the key that is being attacked.
    """

    STORAGE_SCHEME = None

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._capacity = capacity
        self._clock = clock
        self._counters: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        count, expires_at = self._live(key)
        if not count:
            self._make_room()
            expires_at = self._clock() + expiry
        self._counters[key] = (count + amount, expires_at)
        return count + amount

    def get(self, key: str) -> int:
        return self._live(key)[0]

    def get_expiry(self, key: str) -> float:
        count, expires_at = self._live(key)
        return expires_at if count else self._clock()

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self._counters)
        self._counters.clear()
        return count

    def clear(self, key: str) -> None:
        self._counters.pop(key, None)

    def _live(self, key: str) -> tuple[int, float]:
        count, expires_at = self._counters.get(key, (0, 0.0))
        return (count, expires_at) if expires_at > self._clock() else (0, 0.0)

    def _make_room(self) -> None:
        if len(self._counters) < self._capacity:
            return
        now = self._clock()
        live = [item for item in self._counters.items() if item[1][1] > now]
        live.sort(key=lambda item: item[1][0], reverse=True)
        self._counters = dict(live[: self._capacity // 2])

    def __repr__(self) -> str:
        return f"<BoundedCounters {len(self._counters)} of {self._capacity}>"


class FailureLimit:
    """How often a key may fail before it has to wait, by a rule such as `30/minute;200/hour`.

    Nothing is counted for a success, so a busy key that does well is never held up.
    """

    __slots__ = ("_clock", "_counters", "_limits", "_windows")

    def __init__(
        self,
        rule: str,
        *,
        scope: str,
        key_function: Callable[[str], str],
        capacity: int = _CAPACITY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        group = LimitGroup(rule, key_function, scope, False, None, None, None, 1, False)
        self._limits = tuple(group)
        self._clock = clock
        self._counters = BoundedCounters(capacity, clock)
        self._windows = FixedWindowRateLimiter(self._counters)

    def wait_seconds(self, subject: str) -> int:
        """Return how long the subject has to wait, 0 if it may try now."""
        return max(
            (
                self._wait(limit.limit, limit.scope, limit.key_func(subject))
                for limit in self._limits
            ),
            default=0,
        )

    def record(self, subject: str) -> None:
        """Count one failure of the subject."""
        for limit in self._limits:
            self._windows.hit(limit.limit, limit.scope, limit.key_func(subject))

    def _wait(self, item: RateLimitItem, scope: str, key: str) -> int:
        if self._windows.test(item, scope, key):
            return 0
        reset_at = self._windows.get_window_stats(item, scope, key).reset_time
        return max(1, ceil(reset_at - self._clock()))

    def __repr__(self) -> str:
        rules = "; ".join(str(limit.limit) for limit in self._limits)
        return f"<FailureLimit {rules} {self._counters!r}>"


def network_of(address: str) -> str:
    """Return the key of an address: IPv4 as it is, IPv6 by /64, which one host has in full."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{ipaddress.ip_address(int(parsed) >> _IPV6_SITE_BITS << _IPV6_SITE_BITS)}/64"
