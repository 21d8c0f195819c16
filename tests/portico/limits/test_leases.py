"""Places among the requests that run at once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portico.limits.headers import LimitHeaders
from portico.limits.limit import ConcurrencyPolicy
from portico.limits.refusal import refusal
from tests.portico.limits.setting import Setting, rate
from tests.portico.redis.servers import until

if TYPE_CHECKING:
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio

AT_ONCE = ConcurrencyPolicy(name="at-once", at_once=3, lease_seconds=1.0)


async def test_rl_13_no_more_run_at_once_than_there_are_places(setting: Setting) -> None:
    other = setting.another()
    running = [await setting.check(AT_ONCE), await other.check(AT_ONCE)]
    running.append(await setting.check(AT_ONCE))
    refused = await other.check(AT_ONCE)
    assert [verdict.allowed for verdict in (*running, refused)] == [True] * 3 + [False]
    problem = refusal(refused, LimitHeaders())
    assert dict(problem.headers)["ratelimit"] == '"at-once";r=0'
    assert dict(problem.headers)["retry-after"] == "1"
    running[0].release()
    await setting.engine.settled()
    assert (await other.check(AT_ONCE)).allowed
    await other.engine.close()


async def test_rl_13_a_place_is_given_back_once_however_often_it_is_released(
    shared_server: Server, setting: Setting
) -> None:
    demand = setting.demand(AT_ONCE)
    first, second = [await setting.check(AT_ONCE) for _ in range(2)]
    for _ in range(3):
        first.release()
    await setting.engine.settled()
    assert shared_server.ask("ZCARD", demand.keys[0]) == 1
    second.release()
    await setting.engine.settled()
    assert shared_server.ask("EXISTS", demand.keys[0]) == 0


async def test_rl_13_a_demand_that_is_sent_twice_takes_one_place(setting: Setting) -> None:
    demand = setting.demand(ConcurrencyPolicy(name="at-once", at_once=1))
    verdicts = [await setting.engine.check(demand) for _ in range(2)]
    assert [verdict.allowed for verdict in verdicts] == [True, True]
    # A number would be read as one.
    assert demand.leases[0].id.startswith(b"L")
    verdicts[0].release()


async def test_rl_13_leases_that_have_ended_do_not_pile_up(
    shared_server: Server, setting: Setting
) -> None:
    demand = setting.demand(AT_ONCE)
    for number in range(50):
        shared_server.ask("ZADD", demand.keys[0], number, f"dead-{number}")
    verdict = await setting.engine.check(demand)
    assert verdict.allowed
    assert shared_server.ask("ZCARD", demand.keys[0]) == 1
    verdict.release()


async def test_rl_13_a_request_that_is_given_up_while_it_is_checked_leaves_no_place_taken(
    server: Server, own: Setting
) -> None:
    (await own.check(AT_ONCE, client_id="somebody-else")).release()
    await own.engine.settled()
    demand = own.demand(AT_ONCE)
    server.ask("CLIENT", "PAUSE", 150, "WRITE")
    task = asyncio.create_task(own.engine.check(demand))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    await own.engine.settled()
    await own.engine.peek(own.demand(AT_ONCE))
    assert server.ask("ZCARD", demand.keys[0]) == 0


async def test_rl_13_a_lease_is_renewed_while_its_request_runs(setting: Setting) -> None:
    running = [await setting.check(AT_ONCE) for _ in range(3)]
    await asyncio.sleep(1.6)
    assert not (await setting.check(AT_ONCE)).allowed
    for verdict in running:
        verdict.release()


async def test_rl_13_the_places_of_a_process_that_is_killed_are_free_after_the_lease(
    shared_server: Server, setting: Setting
) -> None:
    program = Path(__file__).with_name("lease_holder.py")
    command = [sys.executable, str(program), shared_server.url, setting.prefix]
    holder = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == "3 held\n"
        await asyncio.sleep(1.2)
        assert not (await setting.check(AT_ONCE)).allowed
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        await asyncio.to_thread(holder.communicate)
    async with asyncio.timeout(1.5):
        while not (await setting.check(AT_ONCE)).allowed:  # noqa: ASYNC110  # asks another process
            await asyncio.sleep(0.02)


async def test_rl_13_a_refused_request_takes_no_place(
    shared_server: Server, setting: Setting
) -> None:
    few = rate("1/hour", name="few")
    (await setting.check(few)).release()
    refused = await setting.check(AT_ONCE, few)
    assert refused.violated() == ["few"]
    assert shared_server.ask("EXISTS", refused.demand.keys[0]) == 0
    refused.release()


async def test_rl_13_while_redis_is_away_a_worker_has_its_part_of_the_places(
    server: Server, own: Setting
) -> None:
    policy = ConcurrencyPolicy(name="at-once", at_once=4, lease_seconds=1.0)
    worker = own.another(workers=2)
    before = await worker.check(policy)
    server.kill()
    during = [await worker.check(policy) for _ in range(2)]
    assert [verdict.allowed for verdict in (before, *during)] == [True, True, False]
    server.start()
    await until(lambda: not worker.engine.away)
    # What runs is known to the server that has just come back, with nothing.
    assert server.ask("ZCARD", before.demand.keys[0]) == 2
    before.release()
    during[0].release()
    await worker.engine.settled()
    assert server.ask("ZCARD", before.demand.keys[0]) == 0
    await worker.engine.close()
