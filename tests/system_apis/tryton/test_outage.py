"""What is remembered of a Tryton that is down."""

from __future__ import annotations

import pytest

from system_apis.tryton.failures import UnavailableError
from system_apis.tryton.outage import FAILURES_BEFORE_PAUSE, MAX_PAUSE_SECONDS, Outage


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_failure_is_not_an_outage() -> None:
    outage = Outage(Clock())

    outage.failed()

    outage.check()


def test_failures_in_a_row_end_the_asking_for_a_moment() -> None:
    clock = Clock()
    outage = Outage(clock)
    for _ in range(FAILURES_BEFORE_PAUSE):
        outage.failed()

    with pytest.raises(UnavailableError) as caught:
        outage.check()

    assert not caught.value.in_doubt
    assert caught.value.retry_after == 1
    clock.now += 1.01
    outage.check()


def test_an_answer_ends_the_count() -> None:
    outage = Outage(Clock())
    for _ in range(FAILURES_BEFORE_PAUSE - 1):
        outage.failed()

    outage.ended()
    outage.failed()

    outage.check()


def test_a_wait_that_is_asked_for_is_kept_within_reason() -> None:
    clock = Clock()
    outage = Outage(clock)

    outage.asked_to_wait(86_400)

    with pytest.raises(UnavailableError) as caught:
        outage.check()
    assert caught.value.retry_after == MAX_PAUSE_SECONDS
    clock.now += MAX_PAUSE_SECONDS
    outage.check()
