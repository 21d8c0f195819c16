"""What is remembered of a system that is down."""

from __future__ import annotations

import pytest

from portico.connectors.failures import UnavailableError
from portico.connectors.outage import FAILURES_BEFORE_PAUSE, Outage


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_failure_is_not_an_outage() -> None:
    outage = Outage("vendor", Clock())

    outage.failed()

    outage.check()


def test_failures_in_a_row_end_the_asking_for_a_moment() -> None:
    clock = Clock()
    outage = Outage("vendor", clock)
    for _ in range(FAILURES_BEFORE_PAUSE):
        outage.failed()

    with pytest.raises(UnavailableError) as caught:
        outage.check()

    assert not caught.value.in_doubt
    assert caught.value.retry_after_seconds == 1
    clock.now += 1.01
    outage.check()


def test_an_answer_ends_the_count() -> None:
    outage = Outage("vendor", Clock())
    for _ in range(FAILURES_BEFORE_PAUSE - 1):
        outage.failed()

    outage.ended()
    outage.failed()

    outage.check()
