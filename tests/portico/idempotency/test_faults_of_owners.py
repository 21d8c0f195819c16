"""Owners of claims that fail, are stopped, or outlive their lease (F07, F11 to F17, F20 to F22)."""

from __future__ import annotations

import ast
import asyncio
import inspect
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import portico.idempotency
from portico.idempotency.attempt import Standing, Verdict
from portico.idempotency.claim import Completion
from portico.idempotency.policy import Disposition, InDoubt, Policy, Sending
from portico.idempotency.problems import IN_DOUBT, IN_FLIGHT
from portico.idempotency.replay import Answer
from portico.problems import INTERNAL_ERROR, Problem
from tests.portico.idempotency.setting import (
    STEADY,
    Operation,
    Setting,
    attempt,
    dies,
    expiry,
    stream,
)
from tests.portico.redis.servers import Server, until

if TYPE_CHECKING:
    from portico.idempotency.claim import Claim

pytestmark = pytest.mark.anyio


REEXECUTE = Policy(reexecutable=True, in_doubt=InDoubt.REEXECUTE)


async def test_f03_a_result_that_comes_after_a_takeover_leaves_the_doubt(setting: Setting) -> None:
    claim = await dies(setting)
    await expiry()
    await setting.refused(Operation())

    assert await claim.complete(201) is Completion.LOST
    assert await setting.state() == "D"


async def test_f07_a_client_that_goes_away_does_not_stop_the_operation(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    request = asyncio.create_task(setting.run(operation))
    await operation.started.wait()

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert (await setting.refused(Operation())).kind is IN_FLIGHT
    assert operation.gate is not None
    operation.gate.set()
    await until(lambda: setting.store.counters.completed == 1)

    assert (await setting.run(Operation())).replayed
    assert operation.runs == 1


async def test_f07_a_client_that_goes_away_during_a_stream_leaves_doubt(setting: Setting) -> None:
    policy = Policy(max_body_bytes=2)
    body = stream(b"abc", b"def")
    operation = Operation(Answer(200, body=body), gate=asyncio.Event())
    request = asyncio.create_task(setting.run(operation, policy=policy))
    await operation.started.wait()

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert operation.gate is not None
    operation.gate.set()

    await until(lambda: setting.store.counters.in_doubt == 1)
    assert await setting.state() == "D"


async def test_f11_what_ends_within_the_grace_is_stored_and_the_rest_is_in_doubt(
    setting: Setting,
) -> None:
    slow, stuck = Operation(gate=asyncio.Event()), Operation(gate=asyncio.Event())
    requests = [
        asyncio.create_task(setting.run(slow, attempt("slow"))),
        asyncio.create_task(setting.run(stuck, attempt("stuck"))),
    ]
    await asyncio.gather(slow.started.wait(), stuck.started.wait())
    assert slow.gate is not None
    asyncio.get_running_loop().call_later(0.05, slow.gate.set)

    await setting.store.close(grace_seconds=0.2)
    results = await asyncio.gather(*requests, return_exceptions=True)

    assert isinstance(results[0], Answer)
    assert isinstance(results[1], Problem)
    assert results[1].kind is IN_DOUBT
    assert await setting.state(attempt("slow")) == "C"
    assert await setting.state(attempt("stuck")) == "D"


async def test_f11_what_had_not_begun_to_act_is_free(setting: Setting) -> None:
    operation = Operation(gate=asyncio.Event())
    policy = Policy(sending=Sending.MARKED)
    request = asyncio.create_task(setting.run(operation, policy=policy))
    await operation.started.wait()

    await setting.store.close()
    with pytest.raises(Problem):
        await request

    assert await setting.state() == "F"


async def test_a_long_operation_keeps_its_claim(setting: Setting) -> None:
    policy = Policy(lease_seconds=0.6, retention_seconds=60)
    operation = Operation(gate=asyncio.Event())
    request = asyncio.create_task(setting.run(operation, policy=policy))
    await operation.started.wait()

    for _ in range(4):
        await asyncio.sleep(0.3)
        assert (await setting.refused(Operation(), policy=policy)).kind is IN_FLIGHT
    assert operation.gate is not None
    operation.gate.set()

    assert (await request).status == 201
    assert setting.store.counters.renewals >= 3
    assert setting.store.counters.lost == 0


async def test_f12_an_owner_that_outlived_its_lease_stores_nothing(setting: Setting) -> None:
    old = await dies(setting, policy=REEXECUTE)
    await expiry()
    await setting.run(Operation(Answer(201, body=b"new")), policy=REEXECUTE)

    assert await old.complete(201, body=b"old") is Completion.LOST

    assert (await setting.run(Operation(), policy=REEXECUTE)).body == b"new"
    assert old.lost
    with pytest.raises(Problem, match="taken over"):
        await old.dispatched()


async def test_f12_a_running_operation_that_lost_its_claim_is_stopped(setting: Setting) -> None:
    policy = Policy(lease_seconds=0.1, retention_seconds=60)
    operation = Operation(gate=asyncio.Event())
    request = asyncio.create_task(setting.run(operation, policy=policy))
    await operation.started.wait()

    await setting.client.execute("DEL", setting.name())

    with pytest.raises(Problem) as caught:
        await request
    assert caught.value.kind is IN_DOUBT
    assert await setting.raw() == b""
    assert setting.store.counters.lost == 1


async def test_f12_losing_the_claim_is_a_refusal_in_the_task_of_the_request_too(
    setting: Setting,
) -> None:
    policy = Policy(lease_seconds=0.1, retention_seconds=60)
    operation = Operation(gate=asyncio.Event())

    async def request() -> str:
        async with asyncio.timeout(5):
            problem = await setting.refused(operation, policy=policy, detached=False)
            await asyncio.sleep(0)  # the task is not cancelled any more
            return problem.kind.slug

    task = asyncio.create_task(request())
    await operation.started.wait()
    await setting.client.execute("DEL", setting.name())

    assert await task == "idempotency-in-doubt"


async def test_f11_a_request_that_is_cancelled_with_its_operation_is_in_doubt(
    setting: Setting,
) -> None:
    operation = Operation(gate=asyncio.Event())
    request = asyncio.create_task(setting.run(operation, detached=False))
    await operation.started.wait()

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    assert await setting.state() == "D"


async def test_f12_an_owner_cut_off_for_a_lease_stops_where_another_may_run(
    own: Setting, server: Server
) -> None:
    operations = [Operation(gate=asyncio.Event()), Operation(gate=asyncio.Event())]
    keeps = Policy(lease_seconds=0.3, retention_seconds=60)
    stops = replace(REEXECUTE, lease_seconds=0.3)
    requests = [
        asyncio.create_task(own.run(operations[0], attempt("a"), stops)),
        asyncio.create_task(own.run(operations[1], attempt("b"), keeps)),
    ]
    await asyncio.gather(*(operation.started.wait() for operation in operations))

    server.kill()

    with pytest.raises(Problem):
        await requests[0]
    assert not requests[1].done()
    assert operations[1].gate is not None
    operations[1].gate.set()
    assert (await requests[1]).header(b"idempotency-status") == b"unstored"


@pytest.mark.parametrize("action", ["release", "complete", "in_doubt", "phase", "renew"])
async def test_f13_an_old_owner_changes_nothing_after_a_takeover(
    setting: Setting, action: str
) -> None:
    old = await dies(setting, policy=REEXECUTE)
    await expiry()
    await setting.claimed(policy=REEXECUTE)
    before = await setting.raw()

    if action == "renew":
        from portico.idempotency.scripts import RENEW

        assert not await setting.store.fenced(RENEW, *old.renewal())
    elif action == "phase":
        with pytest.raises(Problem):
            await old.phase("a", 1)
    elif action == "complete":
        assert await old.complete(200) is Completion.LOST
    else:
        assert await getattr(old, action)() is Completion.LOST

    assert await setting.raw() == before


async def test_f14_an_owner_that_completes_before_the_takeover_is_replayed(
    setting: Setting,
) -> None:
    old = await dies(setting, policy=REEXECUTE)
    await expiry()

    await old.complete(201, body=b"in time")

    operation = Operation()
    assert (await setting.run(operation, policy=REEXECUTE)).body == b"in time"
    assert operation.runs == 0


@pytest.mark.parametrize("policy", [STEADY, REEXECUTE])
async def test_f15_a_completed_record_needs_no_lease_and_an_open_one_is_no_orphan(
    setting: Setting, policy: Policy
) -> None:
    await dies(setting, policy=policy)
    line = (await setting.raw()).split(b" ")
    line[3] = b"0"
    await setting.set_raw(b" ".join(line))
    operation = Operation()

    if policy is REEXECUTE:
        await setting.run(operation, policy=policy)
        assert operation.claim is not None
        assert operation.claim.resumed
        return
    assert (await setting.refused(operation, policy=policy)).kind is IN_DOUBT
    assert operation.runs == 0


async def test_f16_of_three_takers_one_takes_over(setting: Setting) -> None:
    old = await dies(setting, policy=REEXECUTE)
    await expiry()
    stores = [setting.another() for _ in range(3)]

    found = await asyncio.gather(*(store.claim(attempt(), REEXECUTE) for store in stores))

    claims = [claim for claim in found if not isinstance(claim, Standing)]
    assert len(claims) == 1
    assert claims[0].epoch > old.epoch
    assert {one.verdict for one in found if isinstance(one, Standing)} == {Verdict.BUSY}


def test_f17_no_clock_of_this_host_is_asked_for_the_time_of_day() -> None:
    folder = Path(inspect.getfile(portico.idempotency)).parent
    for path in folder.glob("*.py"):
        names = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
        }
        imports = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert not {"now", "utcnow", "today", "time_ns"} & names, path.name
        assert not {"time", "datetime"} & imports, path.name


async def test_f17_epochs_grow_when_the_clock_of_the_store_goes_back(setting: Setting) -> None:
    await dies(setting, policy=REEXECUTE)
    line = (await setting.raw()).split(b" ")
    line[2], line[3] = b"8000000000000000", b"0"
    await setting.set_raw(b" ".join(line))

    claim = await setting.claimed(policy=REEXECUTE)

    assert claim.epoch == 8_000_000_000_000_001


@pytest.mark.parametrize("failure", [ValueError("x"), Problem(INTERNAL_ERROR)])
@pytest.mark.parametrize("sending", [Sending.MARKED, Sending.RECORDED])
async def test_f20_a_handler_that_fails_before_it_acts_frees_the_key(
    setting: Setting, failure: Exception, sending: Sending
) -> None:
    policy = Policy(sending=sending)
    operation = Operation(failure=failure)

    with pytest.raises(type(failure)):
        await setting.run(operation, policy=policy)
    operation.failure = None

    assert not (await setting.run(operation, policy=policy)).replayed
    assert operation.runs == 2


@pytest.mark.parametrize("sending", list(Sending))
async def test_f21_a_handler_that_fails_after_it_acted_is_in_doubt(
    setting: Setting, sending: Sending
) -> None:
    policy = Policy(sending=sending)
    operation = Operation(failure=ValueError("x"), marks=True)

    with pytest.raises(ValueError, match="x"):
        await setting.run(operation, policy=policy)

    assert (await setting.refused(operation, policy=policy)).kind is IN_DOUBT
    assert operation.runs == 1


async def test_f21_a_failure_may_be_the_result(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    policy = Policy(on_exception=Disposition.STORE)
    operation = Operation(failure=ValueError("the reason"))

    first = await setting.run(operation, policy=policy)
    again = await setting.run(operation, policy=policy)

    assert first.status == again.status == 500
    assert first.body == again.body
    assert operation.runs == 1
    assert "the reason" in caplog.text
    assert isinstance(first.body, bytes)
    assert b"the reason" not in first.body


@pytest.mark.parametrize("limit", [0, 1000])
async def test_f22_a_stream_that_breaks_is_not_completed(setting: Setting, limit: int) -> None:
    policy = Policy(max_body_bytes=limit)
    operation = Operation(Answer(200, body=stream(b"abc", ends=OSError("broken"))))

    with pytest.raises(OSError, match="broken"):
        await read(await setting.run(operation, policy=policy))

    assert await setting.state() == "D"


async def read(answer: Answer) -> bytes:
    if isinstance(answer.body, bytes):
        return answer.body
    return b"".join([chunk async for chunk in answer.body])


async def test_a_release_after_acting_is_a_mistake(setting: Setting) -> None:
    claim = await setting.claimed(policy=Policy(sending=Sending.MARKED))
    await claim.dispatched()

    with pytest.raises(ValueError, match="begun to act"):
        await claim.release()


async def test_an_answer_that_cannot_be_written_does_not_hold_the_key(setting: Setting) -> None:
    wrong: Any = [(b"location", "text, not bytes")]

    with pytest.raises(TypeError):
        await setting.run(Operation(Answer(201, wrong)))

    assert (await setting.refused(Operation())).kind is IN_DOUBT


async def test_a_reconciled_answer_that_cannot_be_written_does_not_hold_the_key(
    setting: Setting,
) -> None:
    policy = Policy(in_doubt=InDoubt.RECONCILE)
    await dies(setting, policy=policy)
    await expiry()

    async def probe(claim: Claim) -> Answer:
        del claim
        return Answer(200, body=stream(b"a"))

    for _ in range(2):
        problem = await setting.refused(Operation(), policy=policy, reconcile=probe)
        assert problem.kind is IN_DOUBT
