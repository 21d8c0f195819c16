"""A hundred thousand calls of each connector, some of which fail, in flat memory."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from bench.serving import resident_mib
from bench.systems import System, connected, run_systems
from portico.connectors.connection import Connection
from portico.connectors.failures import ConnectorError
from portico.connectors.messages import Job, Request, read
from portico.deadline import Deadline
from tests.soak.whole import whole
from tests.support.tryton import pytest_collection_modifyitems, tryton_data  # noqa: F401  # pytest's

# Every so many calls one is for what is not there.
EVERY = 10
FEW_WARM, FEW = 100, 400
MANY_WARM, MANY = 10_000, 100_000
# One object kept of each call would be FEW. asyncio drops cancelled timers by the hundred.
ALLOWED_OBJECTS = 200
# A leak of 25 bytes a call is more. Where a minute may have 100,000 calls, as the books have here
# and in no setting, the budget keeps a moment for each: 40 bytes a call, until it has them all.
ALLOWED_GROWTH_MIB = {"quickbooks": 6.0}
OTHERWISE_MIB = 2.0
NOWHERE = read("read what is not there", "v1/nowhere")


@pytest.mark.usefixtures("tryton_data")
def test_no_object_of_a_call_is_kept(tmp_path: Path) -> None:
    kept: dict[str, int] = {}

    async def count(system: System) -> None:
        async with connected(system) as (connection, requests):
            await calls(connection, requests, FEW_WARM)
            before = objects()
            await calls(connection, requests, FEW)
            kept[system.name] = objects() - before

    asyncio.run(for_each(tmp_path, count))

    assert len(kept) == 5
    assert {name: number for name, number in kept.items() if number > ALLOWED_OBJECTS} == {}


@whole
@pytest.mark.usefixtures("tryton_data")
@pytest.mark.timeout(3600)
def test_memory_is_flat_over_a_hundred_thousand_calls(tmp_path: Path) -> None:
    grown: dict[str, float] = {}

    async def measure(system: System) -> None:
        began = monotonic()
        async with connected(system) as (connection, requests):
            await calls(connection, requests, MANY_WARM)
            gc.collect()
            before = resident_mib(os.getpid())
            await calls(connection, requests, MANY - MANY_WARM)
            gc.collect()
            grown[system.name] = resident_mib(os.getpid()) - before
            assert sum(each.calls for each in connection.counters.by_operation.values()) == MANY
        took = monotonic() - began
        print(f"{system.name}: {grown[system.name]:+.2f} MiB in {took:.0f} s")  # noqa: T201  # with -s

    asyncio.run(for_each(tmp_path, measure))

    assert len(grown) == 5
    allowed = {name: ALLOWED_GROWTH_MIB.get(name, OTHERWISE_MIB) for name in grown}
    assert {name: more for name, more in grown.items() if more > allowed[name]} == {}


async def for_each(folder: Path, work: Callable[[System], Awaitable[None]]) -> None:
    async with run_systems(folder, customers=0) as systems:
        for system in systems:
            await work(system)


async def calls(connection: Connection, requests: list[Request], number: int) -> None:
    """Make calls, each with a URL of its own, of which every tenth finds nothing."""
    job = Job(deadline=Deadline.after(3600))
    for request in requests:
        await connection.send(request, job)  # its answer is the one that is replayed
    for count in range(number - len(requests)):
        if count % EVERY == 0:
            with pytest.raises(ConnectorError):
                await connection.send(NOWHERE, job)
            continue
        request = requests[count % len(requests)]
        query = [*request.query, ("call", str(count))]
        await connection.send(replace(request, query=query), job)


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())
