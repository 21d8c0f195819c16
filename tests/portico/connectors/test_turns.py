"""One at a time for each name."""

from __future__ import annotations

import asyncio

import pytest

from portico.connectors.turns import Turns

pytestmark = pytest.mark.anyio


async def test_holders_of_one_name_follow_each_other() -> None:
    turns, events = Turns(), []

    async def work(number: int) -> None:
        async with turns.hold("name"):
            events.append(f"begin {number}")
            await asyncio.sleep(0)
            events.append(f"end {number}")

    await asyncio.gather(work(1), work(2), work(3))

    assert events == ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]


async def test_holders_of_different_names_do_not_wait() -> None:
    turns, both = Turns(), asyncio.Barrier(2)

    async def work(name: str) -> None:
        async with turns.hold(name):
            await both.wait()

    async with asyncio.timeout(1):
        await asyncio.gather(work("one"), work("two"))


async def test_names_are_forgotten_when_nobody_waits() -> None:
    turns = Turns()

    async def work() -> None:
        async with turns.hold("name"):
            await asyncio.sleep(0)

    waiting = [asyncio.ensure_future(work()) for _ in range(3)]
    await asyncio.sleep(0)
    assert repr(turns) == "<Turns 1 names>"
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert repr(turns) == "<Turns 0 names>"
