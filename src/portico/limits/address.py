"""The limit of each address, in the memory of one process, before anything is known of a caller."""

from __future__ import annotations

import time
from collections.abc import Callable

from portico.limits.bucket import LimitError, Rate
from portico.limits.limit import check_name, parse_limits
from portico.limits.network import network_of
from portico.limits.problems import ABNORMAL_USAGE
from portico.limits.recent import Recent
from portico.problems import Problem

# Networks that are remembered, in each of two generations; about 8 MB when both are full.
_CAPACITY = 25_000
_NANOSECONDS = 10**9


class AddressLimit:
    """GCRA for each IPv4 address and each IPv6 /64, such as `200/second` with a burst of 400.

    It is there to make floods cheap, not to be exact: each process grants an N-th of it, and the
    address that was seen least lately is forgotten first. One that keeps sending is not.
    """

    __slots__ = ("_clock_ns", "_full_ns", "_interval_ns", "_name", "_networks", "_seen", "refused")

    def __init__(
        self,
        limit: str,
        *,
        burst: int | None = None,
        workers: int = 1,
        name: str = "address",
        capacity: int = _CAPACITY,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        check_name(name)
        items = parse_limits(limit)
        if len(items) > 1:
            raise LimitError(f"{name}: expected one limit such as 200/second, found {limit!r}")
        amount, seconds = items[0].amount, items[0].get_expiry()
        rate = Rate.of(amount, seconds * _NANOSECONDS, burst or amount)
        # Rounded up: never faster than it says.
        self._interval_ns = -(-rate.interval * workers // rate.ticks)
        self._full_ns = self._interval_ns * max(1, rate.burst // workers)
        self._name = name
        self._clock_ns = clock_ns
        self._seen: Recent[str, int] = Recent(capacity)
        self._networks: Recent[str, str] = Recent(capacity)
        self.refused = 0

    def wait_ns(self, address: str) -> int:
        """Count a request; return 0 if it is allowed, else how long the address has to wait.

        A refused request counts for nothing.
        """
        if ":" in address:
            address = self._networks.get(address) or self._network(address)
        now = self._clock_ns()
        arrival = self._seen.get(address)
        if arrival is None or arrival < now:
            arrival = now
        arrival += self._interval_ns
        wait = arrival - self._full_ns - now
        if wait > 0:
            self.refused += 1
            return wait
        self._seen[address] = arrival
        return 0

    def check(self, address: str) -> None:
        """Count a request. Raises Problem with Retry-After where the address has to wait."""
        wait = self.wait_ns(address)
        if wait:
            raise self.refusal(wait)

    def refusal(self, wait_ns: int) -> Problem:
        seconds = max(1, -(-wait_ns // _NANOSECONDS))
        return Problem(
            ABNORMAL_USAGE,
            headers=[("retry-after", str(seconds))],
            extensions={"violated-policies": [self._name]},
        )

    def _network(self, address: str) -> str:
        network = self._networks[address] = network_of(address)
        return network

    def __repr__(self) -> str:
        return f"<AddressLimit {len(self._seen)} networks>"
