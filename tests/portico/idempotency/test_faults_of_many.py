"""Many keys, many who wait, and records of another time (F25, F27, F28, F30)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from portico.idempotency.policy import Policy
from portico.idempotency.problems import IN_FLIGHT
from portico.idempotency.store import IdempotencyStore, StoreOptions
from portico.problems import Problem
from tests.portico.idempotency.setting import (
    Operation,
    Setting,
    attempt,
    header,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portico.redis.script import Script

pytestmark = pytest.mark.anyio


async def test_f25_a_tenant_has_a_bounded_number_of_keys(setting: Setting) -> None:
    policy = Policy(lease_seconds=0.1, retention_seconds=0.5)
    store = setting.another(options=StoreOptions(max_keys=5, quota_seconds=0.5))
    operation = Operation()
    for number in range(5):
        await setting.run(operation, attempt(str(number)), policy, store=store)

    problem = await setting.refused(operation, attempt("one more"), policy, store=store)

    assert problem.status == 429
    assert problem.kind.slug == "idempotency-key-quota"
    assert int(header(problem, "Retry-After") or 0) >= 1
    assert (await setting.run(operation, attempt("3"), policy, store=store)).replayed
    other = attempt("one more", scope=type(attempt().scope)(client_id="other"))
    assert not (await setting.run(operation, other, policy, store=store)).replayed
    await asyncio.sleep(0.6)
    assert not (await setting.run(operation, attempt("one more"), policy, store=store)).replayed


async def test_f25_a_quota_holds_however_the_keys_are_spread(setting: Setting) -> None:
    policy = Policy(lease_seconds=0.05, retention_seconds=0.2)
    store = setting.another(options=StoreOptions(max_keys=20, quota_seconds=0.3))
    deadline = asyncio.get_running_loop().time() + 0.6
    number = most = refused = 0

    while asyncio.get_running_loop().time() < deadline:
        number += 1
        try:
            await setting.run(Operation(), attempt(str(number)), policy, store=store)
        except Problem:
            refused += 1
            await asyncio.sleep(0.01)
        pattern = setting.name().partition(b"}:")[0] + b"}:*"
        keys = await setting.client.execute("KEYS", pattern.replace(b"{", b"[{]"))
        assert isinstance(keys, list)
        most = max(most, len(keys))

    assert 10 <= most <= 20
    assert refused > 0


class Counting:
    """Counts the scripts that go to the store."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self.runs: dict[str, int] = {}

    async def run(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[Any], **options: Any
    ) -> object:
        self.runs[script.name] = self.runs.get(script.name, 0) + 1
        return await self._runner.run(script, keys, arguments, **options)


async def test_f27_many_who_wait_ask_no_more_than_one_would(setting: Setting) -> None:
    counting = Counting(setting.client)
    waiting_store = IdempotencyStore(counting, setting.locator)
    operation = Operation(gate=asyncio.Event())
    first = asyncio.create_task(setting.run(operation))
    await operation.started.wait()

    waiting = [
        asyncio.create_task(setting.run(Operation(), attempt(wait_seconds=5), store=waiting_store))
        for _ in range(100)
    ]
    await asyncio.sleep(0.5)
    assert operation.gate is not None
    operation.gate.set()

    assert all(answer.replayed for answer in await asyncio.gather(*waiting))
    await first
    assert counting.runs["idempotency-claim"] == 200
    assert counting.runs["idempotency-peek"] <= 12
    await waiting_store.close()


async def test_f27_those_who_are_refused_together_come_back_apart(setting: Setting) -> None:
    await setting.claimed()

    waits = {header(await setting.refused(Operation()), "Retry-After") for _ in range(60)}

    assert waits == {"1", "2", "3"}


async def test_f27_waiting_requests_are_bounded(setting: Setting) -> None:
    store = setting.another(options=StoreOptions(max_waiting=2))
    await setting.claimed(policy=Policy())
    tasks = [
        asyncio.create_task(setting.refused(Operation(), attempt(wait_seconds=0.3), store=store))
        for _ in range(5)
    ]

    await asyncio.sleep(0.15)

    assert sum(task.done() for task in tasks) == 3
    assert all(problem.kind is IN_FLIGHT for problem in await asyncio.gather(*tasks))


async def test_f28_records_of_an_older_fingerprint_are_replayed_never_run_again(
    setting: Setting,
) -> None:
    """F28, IDM-18: an update of the service runs nothing twice."""
    await setting.run(Operation(), attempt(fingerprint=b"0:of-another-algorithm"))
    operation = Operation()

    assert (await setting.run(operation)).replayed
    assert operation.runs == 0


async def test_f30_a_busy_key_delays_no_other(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    first = asyncio.create_task(setting.run(operation))
    await operation.started.wait()
    waiting = [
        asyncio.create_task(setting.run(Operation(), attempt(wait_seconds=5))) for _ in range(50)
    ]
    times = []

    for number in range(200):
        started = time.perf_counter()
        await setting.run(Operation(), attempt(f"other {number}"))
        times.append(time.perf_counter() - started)
    assert operation.gate is not None
    operation.gate.set()
    await asyncio.gather(first, *waiting)

    assert sorted(times)[197] < 0.1
