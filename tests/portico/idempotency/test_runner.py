"""An operation under its key: the first attempt, and who comes second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from portico.idempotency.attempt import Verdict
from portico.idempotency.policy import InDoubt, Policy
from portico.idempotency.problems import IN_FLIGHT
from portico.idempotency.replay import (
    Answer,
)
from portico.idempotency.scope import Scope
from portico.problems import (
    Problem,
)
from tests.portico.idempotency.setting import (
    SHOP,
    STEADY,
    Operation,
    Setting,
    attempt,
    dies,
    expiry,
    fingerprint,
    header,
)
from tests.portico.redis.servers import until

if TYPE_CHECKING:
    from portico.idempotency.claim import Claim

pytestmark = pytest.mark.anyio


REPLAYED = (b"idempotent-replayed", b"true")


async def test_the_second_attempt_gets_the_first_response(setting: Setting) -> None:
    """IDM-25: the marker is all that is added."""
    operation = Operation()

    first = await setting.run(operation)
    second = await setting.run(operation)

    assert operation.runs == 1
    assert (second.status, second.body) == (first.status, first.body) == (201, b'{"id":"17"}')
    assert second.headers == [*first.headers, REPLAYED]


async def test_idm_05_two_callers_with_one_key_are_two_executions(setting: Setting) -> None:
    """IDM-05, F25: tenant, client and subject count."""
    operation = Operation()

    for scope in (
        SHOP,
        Scope(client_id="till", subject="shop"),
        Scope(client_id="shop", subject="ann"),
        Scope(tenant="acme", client_id="shop", subject="shop"),
    ):
        assert not (await setting.run(operation, attempt(scope=scope))).replayed

    assert operation.runs == 4


async def test_idm_09_the_key_of_another_operation_is_a_422(setting: Setting) -> None:
    await setting.run(Operation())
    other = fingerprint(operation="process/orders.v1/cancelOrder")

    problem = await setting.refused(Operation(), attempt(fingerprint=other))

    assert problem.status == 422
    assert problem.kind.slug == "idempotency-key-mismatch"
    assert "describedby" in (header(problem, "Link") or "")


async def test_idm_12_another_query_with_the_same_key_is_a_422(setting: Setting) -> None:
    await setting.run(Operation())

    problem = await setting.refused(Operation(), attempt(fingerprint=fingerprint(query=b"dry=1")))

    assert problem.status == 422


async def test_idm_16_a_handler_that_changes_its_request_does_not_change_the_record(
    setting: Setting,
) -> None:
    request = bytearray(b"{}")

    async def change(claim: Claim) -> Answer:
        del claim
        request.clear()
        return Answer(201)

    wanted = attempt(fingerprint=fingerprint(body=bytes(request)))
    await setting.run(change, wanted)  # type: ignore[arg-type]  # any function will do

    assert (await setting.run(Operation(), wanted)).replayed


async def test_idm_19_many_at_once_start_one(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    stores = [setting.store, setting.another()]
    tasks = [
        asyncio.create_task(setting.run(operation, store=stores[number % 2]))
        for number in range(100)
    ]

    await until(lambda: sum(task.done() for task in tasks) == 99)
    assert operation.gate is not None
    operation.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    refused = [found for found in results if isinstance(found, Problem)]
    assert operation.runs == 1
    assert len(refused) == 99
    assert all(problem.kind is IN_FLIGHT for problem in refused)
    assert all(int(header(problem, "Retry-After") or 0) >= 1 for problem in refused)


async def test_idm_19_one_who_prefers_to_wait_gets_the_replay(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    first = asyncio.create_task(setting.run(operation))
    await operation.started.wait()
    assert operation.gate is not None

    other = setting.another()  # another process: it has to ask the store
    waiting = [
        asyncio.create_task(setting.run(operation, attempt(wait_seconds=5), store=store))
        for store in (setting.store, other)
    ]
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in waiting)
    operation.gate.set()

    assert [(await task).replayed for task in waiting] == [True, True]
    assert not (await first).replayed
    assert operation.runs == 1


async def test_idm_19_one_who_waited_long_enough_gets_the_409(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    first = asyncio.create_task(setting.run(operation))
    await operation.started.wait()

    problem = await setting.refused(operation, attempt(wait_seconds=0.1))

    assert problem.kind is IN_FLIGHT
    assert operation.gate is not None
    operation.gate.set()
    await first


async def test_idm_20_a_mismatch_comes_before_in_flight(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    first = asyncio.create_task(setting.run(operation))
    await operation.started.wait()

    problem = await setting.refused(
        Operation(), attempt(fingerprint=fingerprint(body=b"{}"), wait_seconds=5)
    )

    assert problem.status == 422
    assert operation.gate is not None
    operation.gate.set()
    await first


async def test_idm_21_one_whose_record_vanished_while_it_waited_claims_it(
    setting: Setting,
) -> None:
    await setting.claimed()
    waiting = asyncio.create_task(setting.run(Operation(), attempt(wait_seconds=5)))
    await until(lambda: setting.store.counters.waited == 1)

    await setting.client.execute("DEL", setting.name())

    assert not (await waiting).replayed
    assert await setting.state() == "C"


async def test_idm_35_a_key_older_than_what_is_kept_is_a_412(setting: Setting) -> None:
    operation = Operation()

    problem = await setting.refused(operation, attempt(first_sent_ms=1_000))
    unchecked = Policy(check_key_age=False)

    assert problem.status == 412
    assert operation.runs == 0
    assert (await setting.run(operation, attempt(first_sent_ms=1_000), unchecked)).status == 201


async def test_idm_35_an_old_key_that_is_still_known_is_replayed(setting: Setting) -> None:
    await setting.run(Operation())

    assert (await setting.run(Operation(), attempt(first_sent_ms=1_000))).replayed


async def test_idm_36_every_attempt_sends_the_same_key_on(setting: Setting) -> None:
    policy = Policy(reexecutable=True, in_doubt=InDoubt.REEXECUTE)
    first = await dies(setting, policy=policy)
    await expiry()
    operation = Operation()

    await setting.run(operation, policy=policy)

    assert operation.claim is not None
    assert operation.claim.upstream_key == first.upstream_key
    assert operation.claim.upstream_key != "first"
    assert operation.claim.epoch > first.epoch
    assert operation.claim.resumed


async def test_retention_begins_anew_with_the_response(setting: Setting) -> None:
    await setting.run(Operation(), policy=Policy(retention_seconds=1000))

    left = await setting.client.execute("PTTL", setting.name())
    assert isinstance(left, int)
    assert 990_000 < left <= 1_000_000


async def test_what_is_counted(setting: Setting) -> None:
    await setting.run(Operation())
    await setting.run(Operation())
    await setting.refused(Operation(), attempt(fingerprint=b"1:other"))

    counters = setting.store.counters
    assert (counters.claims, counters.completed) == (1, 1)
    assert (counters.replays, counters.mismatches) == (1, 1)


async def test_a_claim_and_a_store_say_what_they_are(setting: Setting) -> None:
    claim = await setting.claimed()

    assert repr(claim).endswith(f"epoch={claim.epoch} begun>")
    assert repr(setting.store) == "<IdempotencyStore 0 running, 0 unsaved>"
    assert repr(setting.locator) == "<Locator portico>"
    await claim.release()
    assert repr(claim).endswith("ended>")


async def test_an_admission_script_may_have_claimed_already(setting: Setting) -> None:
    from portico.idempotency.runner import run
    from tests.portico.idempotency.setting import render

    claim = await setting.claimed()
    operation = Operation()

    answer = await run(setting.store, attempt(), STEADY, operation, render=render, standing=claim)

    assert (answer.status, operation.claim) == (201, claim)
    standing = await setting.store.claim(attempt(), STEADY)
    assert standing.verdict is Verdict.REPLAY  # type: ignore[union-attr]  # a Standing has one
