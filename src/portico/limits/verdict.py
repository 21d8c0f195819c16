"""Whether a request is allowed, and where its limits stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from portico.limits.bucket import MICROSECONDS, Bucket
from portico.limits.demand import Demand
from portico.limits.scripts import NUMBERS_OF_BUCKET, NUMBERS_OF_HEAD


class Standing(NamedTuple):
    """Where one bucket stands. Seconds are whole and rounded up, 0 where there is nothing to await.

    `wait_seconds` is until this request would be allowed, `more_seconds` until more is available
    than `remaining`, `all_seconds` until the caller is as rested as can be.
    """

    bucket: Bucket
    violated: bool
    remaining: int
    wait_seconds: int
    more_seconds: int
    all_seconds: int


class Verdict:
    """The answer to a demand.

    `numbers` are those of the script. `is_local` tells that this process alone was asked, because
    Redis is away; `closed` are the limits that could not be checked therefore.
    """

    __slots__ = ("_release", "closed", "demand", "is_local", "numbers")

    def __init__(
        self,
        demand: Demand,
        numbers: Sequence[int],
        *,
        is_local: bool = False,
        closed: Sequence[str] = (),
    ) -> None:
        self.demand = demand
        self.numbers = numbers
        self.is_local = is_local
        self.closed = closed
        self._release: Callable[[], None] | None = None

    @property
    def allowed(self) -> bool:
        return self.numbers[0] == 0 and not self.closed

    @property
    def never(self) -> bool:
        """Return whether the request costs more than a limit can ever hold."""
        return self.numbers[0] == 2

    @property
    def now_us(self) -> int:
        """Return the time of whoever counted, in microseconds."""
        return self.numbers[1]

    def standings(self) -> list[Standing]:
        numbers = self.numbers
        found = []
        at = NUMBERS_OF_HEAD
        for bucket in self.demand.buckets:
            state, remaining, wait, more, everything = numbers[at : at + NUMBERS_OF_BUCKET]
            found.append(
                Standing(
                    bucket,
                    state != 0,
                    remaining,
                    _seconds(wait),
                    _seconds(more),
                    _seconds(everything),
                )
            )
            at += NUMBERS_OF_BUCKET
        return found

    def violated(self) -> list[str]:
        """Return the names of the limits that do not allow the request."""
        return [standing.bucket.name for standing in self.standings() if standing.violated]

    @property
    def retry_after_seconds(self) -> int:
        """Return when to try again: at least 1, and when every limit would allow the request."""
        return max([1, *(standing.wait_seconds for standing in self.standings())])

    def on_release(self, release: Callable[[], None]) -> None:
        self._release = release

    def release(self) -> None:
        """Give back the places among requests at once, however often it is called."""
        if self._release is not None:
            release, self._release = self._release, None
            release()

    def __repr__(self) -> str:
        said = "allowed" if self.allowed else f"refused by {self.violated() or self.closed}"
        return f"<Verdict {said}{' locally' if self.is_local else ''}>"


def _seconds(microseconds: int) -> int:
    return -(-microseconds // MICROSECONDS)
