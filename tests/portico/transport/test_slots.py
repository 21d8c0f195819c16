"""Places in the pool: in order, bounded, and never lost."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from portico.transport.slots import Slots

pytestmark = pytest.mark.anyio


async def waiter(slots: Slots, seconds: float = 5.0) -> asyncio.Task[None]:
    task = asyncio.create_task(slots.wait(seconds))
    await asyncio.sleep(0)
    return task


async def test_a_place_goes_to_the_one_who_waited_longest() -> None:
    slots = Slots(1, max_waiting=5)
    assert slots.take()
    tasks = [await waiter(slots) for _ in range(3)]
    for task in tasks:
        slots.give_back()
        assert not slots.take()
        await asyncio.sleep(0)
        assert task.done()
    assert repr(slots) == "<Slots 1 of 1, 0 waiting>"
    slots.give_back()
    assert repr(slots) == "<Slots 0 of 1, 0 waiting>"


async def test_the_queue_is_bounded_in_length_and_in_time() -> None:
    slots = Slots(1, max_waiting=1)
    assert slots.take()
    task = await waiter(slots, 0.05)
    with pytest.raises(httpx.PoolTimeout):
        await slots.wait(5.0)
    with pytest.raises(httpx.PoolTimeout):
        await task
    assert repr(slots) == "<Slots 1 of 1, 0 waiting>"


async def test_one_who_leaves_the_queue_gets_no_place() -> None:
    slots = Slots(1, max_waiting=5)
    assert slots.take()
    first, second = await waiter(slots), await waiter(slots)
    first.cancel()
    await asyncio.sleep(0)
    slots.give_back()
    await second
    assert repr(slots) == "<Slots 1 of 1, 0 waiting>"


async def test_a_place_given_to_one_who_is_just_leaving_goes_on() -> None:
    slots = Slots(1, max_waiting=5)
    assert slots.take()
    first, second = await waiter(slots), await waiter(slots)
    slots.give_back()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert first.cancelled()
    await second
    slots.give_back()
    assert repr(slots) == "<Slots 0 of 1, 0 waiting>"
