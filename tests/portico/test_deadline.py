"""Deadlines nest: what an inner call may take is a share of what is left."""

from __future__ import annotations

import asyncio
import doctest
from time import monotonic

import pytest

from portico import deadline
from portico.deadline import TICK_SECONDS, Deadline, Watch


def test_time_passes() -> None:
    found = Deadline.after(0.0)

    assert found.expired()
    assert found.remaining() <= 0


def test_what_is_left_is_less_than_what_was_given() -> None:
    found = Deadline.after(10.0)

    assert not found.expired()
    assert 9.0 < found.remaining() <= 10.0


@pytest.mark.parametrize("fraction", [1.0, 0.9, 0.1])
def test_a_share_is_of_what_is_left(fraction: float) -> None:
    outer = Deadline.after(10.0)

    inner = outer.share(fraction)

    assert inner.remaining() == pytest.approx(10.0 * fraction, abs=0.1)
    assert inner.at <= outer.at


def test_a_share_of_nothing_is_nothing() -> None:
    past = Deadline(monotonic() - 5.0)

    assert past.share(0.9).expired()
    assert past.share(0.9).remaining() > -1.0


def test_it_says_how_much_is_left() -> None:
    assert repr(Deadline.after(2.0)).startswith(("<Deadline 2.000s", "<Deadline 1.9"))


def test_the_example_is_true() -> None:
    assert doctest.testmod(deadline).failed == 0


@pytest.mark.anyio
async def test_work_past_its_deadline_is_ended() -> None:
    watch, begun = Watch(), monotonic()

    with pytest.raises(TimeoutError), watch.until(Deadline.after(0.05)):
        await asyncio.sleep(5)

    assert 0.05 <= monotonic() - begun < 0.05 + 10 * TICK_SECONDS
    assert repr(watch) == "<Watch 0 running>"


@pytest.mark.anyio
async def test_work_within_its_deadline_is_left_alone() -> None:
    watch = Watch()

    with watch.until(Deadline.after(0.2)) as _:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.25)

    assert repr(watch) == "<Watch 0 running>"


@pytest.mark.anyio
async def test_a_cancellation_from_outside_stays_one() -> None:
    watch = Watch()

    async def work() -> None:
        with watch.until(Deadline.after(5)):
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.anyio
async def test_of_nested_deadlines_the_nearer_one_ends_its_own_work() -> None:
    watch, met = Watch(), []

    with watch.until(Deadline.after(5)):
        try:
            with watch.until(Deadline.after(0.01)):
                await asyncio.sleep(5)
        except TimeoutError:
            met.append("inner")
        await asyncio.sleep(0)
        met.append("outer goes on")

    assert met == ["inner", "outer goes on"]


@pytest.mark.anyio
async def test_the_timer_runs_only_while_there_is_work() -> None:
    watch = Watch()
    with watch.until(Deadline.after(5)):
        await asyncio.sleep(0)
        assert watch._timer is not None

    await asyncio.sleep(3 * TICK_SECONDS)

    assert watch._timer is None
