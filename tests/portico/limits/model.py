"""What limits mean, as plainly as it can be written: the oracle of the tests."""

from __future__ import annotations

from fractions import Fraction


class TokenBucket:
    """A burst that refills steadily; exact, because it counts in fractions."""

    def __init__(self, amount: int, window_us: int, burst: int) -> None:
        self.per_us = Fraction(amount, window_us)
        self.burst = burst
        self.tokens = Fraction(burst)
        self.at = 0

    def available(self, now: int) -> Fraction:
        return min(Fraction(self.burst), self.tokens + (now - self.at) * self.per_us)

    def take(self, now: int, cost: int = 1) -> bool:
        tokens = self.available(now)
        if tokens < cost:
            return False
        self.tokens, self.at = tokens - cost, now
        return True


class Log:
    """Every request that was allowed; never more than the amount within any window."""

    def __init__(self, amount: int, window_us: int) -> None:
        self.amount = amount
        self.window_us = window_us
        self.entries: list[tuple[int, int]] = []

    def used(self, now: int) -> int:
        return sum(cost for at, cost in self.entries if at > now - self.window_us)

    def take(self, now: int, cost: int = 1) -> bool:
        if self.used(now) + cost > self.amount:
            return False
        self.entries.append((now, cost))
        return True


def most_within(admitted: list[tuple[int, int]], window_us: int) -> int:
    """Return the most that was admitted within any span of a window, wherever it begins."""
    most = 0
    for start, _ in admitted:
        inside = [cost for at, cost in admitted if start <= at < start + window_us]
        most = max(most, sum(inside))
    return most
