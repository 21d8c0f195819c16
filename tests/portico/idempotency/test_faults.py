"""Faults between a process and its store, one for each line of the fault table that is about one.

Those that need processes to die or to stand still are in test_processes.py.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import portico.idempotency
from portico.idempotency.attempt import Standing, Verdict
from portico.idempotency.claim import Completion
from portico.idempotency.policy import Disposition, InDoubt, Policy, Sending
from portico.idempotency.problems import IN_DOUBT, IN_FLIGHT, STORE_UNAVAILABLE
from portico.idempotency.replay import Answer
from portico.idempotency.store import IdempotencyStore, StoreOptions
from portico.problems import INTERNAL_ERROR, Problem
from portico.redis.options import Acknowledgement
from tests.portico.idempotency.setting import (
    STEADY,
    Operation,
    Setting,
    attempt,
    dies,
    expiry,
    header,
)
from tests.portico.idempotency.test_runner import stream
from tests.portico.redis.byte_proxy import proxied
from tests.portico.redis.servers import QUICK as QUICK_CLIENT
from tests.portico.redis.servers import Server, eventually, opened, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portico.idempotency.claim import Claim
    from portico.redis.script import Script

pytestmark = pytest.mark.anyio
REEXECUTE = Policy(reexecutable=True, in_doubt=InDoubt.REEXECUTE)


async def test_f01_without_the_store_nothing_runs(own: Setting, server: Server) -> None:
    operation = Operation()
    server.kill()

    problem = await own.refused(operation)

    assert problem.status == 503
    assert problem.kind is STORE_UNAVAILABLE
    assert int(header(problem, "Retry-After") or 0) >= 1
    assert operation.runs == 0


async def test_f01_an_operation_may_run_without_the_store_if_it_says_so(
    own: Setting, server: Server
) -> None:
    operation = Operation(marks=True)
    server.kill()

    answer = await own.run(operation, policy=Policy(fail_open=True))

    assert answer.status == 201
    assert answer.header(b"idempotency-status") == b"unstored"
    assert operation.runs == own.store.counters.unprotected == 1
    assert operation.claim is not None
    assert not operation.claim.protected


async def test_f02_a_claim_that_arrives_late_does_not_hold_the_key(
    own: Setting, server: Server
) -> None:
    store = own.another(options=StoreOptions(claim_seconds=0.2))
    operation = Operation()
    server.ask("CLIENT", "PAUSE", 600, "ALL")

    problem = await own.refused(operation, store=store)

    assert problem.kind is STORE_UNAVAILABLE
    assert operation.runs == 0
    await until(lambda: store.counters.saved_late == 1)
    assert await own.state() == "F"
    assert not (await own.run(operation)).replayed


async def test_f02_a_claim_that_was_given_up_before_it_arrived_claims_nothing(
    setting: Setting,
) -> None:
    prepared = setting.store.prepare(attempt(), STEADY)
    setting.store.abandon(prepared)
    await until(lambda: setting.store.counters.saved_late == 1)

    found = await claim_as(setting, prepared)

    assert isinstance(found, Standing)
    assert found.verdict is Verdict.ABANDONED
    assert not (await setting.run(Operation())).replayed


async def claim_as(setting: Setting, prepared: Any) -> Claim | Standing:
    from portico.idempotency.scripts import CLAIM

    reply = await setting.client.run(CLAIM, prepared.keys, prepared.arguments)
    return setting.store.interpret(prepared, reply)


async def test_f03_f26_a_result_that_cannot_be_stored_is_told_and_stored_later(
    program: Path, folder: Path
) -> None:
    class Killing(Operation):
        async def __call__(self, claim: Claim) -> Answer:
            server.kill()
            return await super().__call__(claim)

    # The data must survive the server, as it does in production.
    keeping = ("--appendonly", "yes", "--appendfsync", "always")
    policy = Policy(lease_seconds=5, retention_seconds=60)
    with Server(program, folder / "redis", *keeping) as server:
        async with opened(server.url) as client:
            setting = Setting(client)

            answer = await setting.run(Killing(), policy=policy)
            server.start()
            await until(lambda: setting.store.counters.saved_late == 1)
            again = await setting.run(Operation(), policy=policy)

            await setting.close()
    assert answer.status == 201
    assert answer.header(b"idempotency-status") == b"unstored"
    assert again.replayed
    assert again.body == answer.body


async def test_f03_a_result_that_comes_after_a_takeover_leaves_the_doubt(setting: Setting) -> None:
    claim = await dies(setting)
    await expiry()
    await setting.refused(Operation())

    assert await claim.complete(201) is Completion.LOST
    assert await setting.state() == "D"


async def test_f04_a_claim_whose_reply_is_lost_is_still_ours(server: Server, folder: Path) -> None:
    async with proxied(folder / "proxy", server.socket) as proxy, opened(proxy.url) as client:
        setting = Setting(client)
        await setting.run(Operation(), attempt("warm"))
        operation = Operation()
        proxy.cut_after = 5

        answer = await setting.run(operation)

        assert (answer.status, operation.runs) == (201, 1)
        assert proxy.connections == 2
        assert await setting.state() == "C"
        await setting.close()


async def test_f04_a_claim_repeated_by_its_own_token_is_claimed(setting: Setting) -> None:
    prepared = setting.store.prepare(attempt(), STEADY)

    first = await claim_as(setting, prepared)
    second = await claim_as(setting, prepared)
    stranger = await setting.store.claim(attempt(), STEADY)

    assert not isinstance(first, Standing)
    assert not isinstance(second, Standing)
    assert first.epoch == second.epoch
    assert isinstance(stranger, Standing)
    assert stranger.verdict is Verdict.BUSY


async def test_f05_a_completion_whose_reply_is_lost_is_repeated(
    server: Server, folder: Path
) -> None:
    async with proxied(folder / "proxy", server.socket) as proxy, opened(proxy.url) as client:
        setting = Setting(client)

        class Cutting(Operation):
            async def __call__(self, claim: Claim) -> Answer:
                proxy.cut_after = 1
                return await super().__call__(claim)

        answer = await setting.run(Cutting())

        assert answer.header(b"idempotency-status") is None
        assert proxy.connections == 2
        assert (await setting.run(Operation())).replayed
        await setting.close()


async def test_f05_completing_twice_is_completing_once(setting: Setting) -> None:
    claim = await setting.claimed()

    assert await claim.complete(201, body=b"first") is Completion.STORED
    assert await claim.complete(500, body=b"second") is Completion.STORED

    assert (await setting.run(Operation())).body == b"first"


async def test_f06_a_cancelled_claim_takes_nobodys_reply_and_frees_the_key(
    server: Server, folder: Path
) -> None:
    async with proxied(folder / "proxy", server.socket) as proxy, opened(proxy.url) as client:
        setting = Setting(client)
        await setting.run(Operation(), attempt("warm"))
        proxy.replies.clear()
        task = asyncio.create_task(setting.run(Operation()))
        writes = proxy.writes
        await until(lambda: proxy.writes > writes)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        proxy.replies.set()

        assert await eventually(lambda: client.execute("ECHO", "mine")) == b"mine"
        await until(lambda: setting.store.counters.saved_late == 1)
        assert await setting.state() == "F"
        await setting.close()


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


async def test_f18_epochs_grow_even_when_all_data_is_lost(own: Setting, server: Server) -> None:
    old = await dies(own)
    server.ask("FLUSHALL")

    new = await own.claimed()

    assert new.epoch > old.epoch
    assert await old.complete(200) is Completion.LOST
    assert await new.complete(201) is Completion.STORED


async def test_f18_strict_durability_refuses_a_claim_that_no_replica_has(server: Server) -> None:
    strict = type(QUICK_CLIENT)(
        timeout_seconds=0.5,
        acknowledgement=Acknowledgement(replicas=1, timeout_seconds=0.05),
    )
    async with opened(server.url, strict) as client:
        setting = Setting(client, StoreOptions(acknowledged=True))
        operation = Operation()

        problem = await setting.refused(operation)

        assert problem.kind is STORE_UNAVAILABLE
        assert operation.runs == 0
        await eventually(lambda: free(setting))
        setting.store.save_later = lambda *_: None  # type: ignore[method-assign]  # no replica ever
        await setting.close()


async def free(setting: Setting) -> None:
    assert await setting.state() == "F"


async def test_f19_a_full_store_refuses_a_claim(own: Setting, server: Server) -> None:
    operation = Operation()
    server.ask("CONFIG", "SET", "maxmemory", "1")

    problem = await own.refused(operation)
    server.ask("CONFIG", "SET", "maxmemory", "0")

    assert problem.kind is STORE_UNAVAILABLE
    assert operation.runs == 0
    assert not (await own.run(operation)).replayed


async def test_f19_a_store_that_fills_up_meanwhile_gets_the_result_later(
    own: Setting, server: Server
) -> None:
    class Filling(Operation):
        async def __call__(self, claim: Claim) -> Answer:
            server.ask("CONFIG", "SET", "maxmemory", "1")
            return await super().__call__(claim)

    answer = await own.run(Filling(), policy=Policy())
    assert answer.header(b"idempotency-status") == b"unstored"

    server.ask("CONFIG", "SET", "maxmemory", "0")
    await until(lambda: own.store.counters.saved_late == 1)
    assert (await own.run(Operation(), policy=Policy())).replayed


async def test_f19_a_replica_refuses_a_claim(own: Setting, server: Server) -> None:
    operation = Operation()
    server.ask("REPLICAOF", "127.0.0.1", "1")

    problem = await own.refused(operation)
    server.ask("REPLICAOF", "NO", "ONE")

    assert problem.kind is STORE_UNAVAILABLE
    assert operation.runs == 0
    assert await eventually(lambda: own.run(operation))


async def test_f19_scripts_that_were_forgotten_are_sent_again(own: Setting, server: Server) -> None:
    class Forgetting(Operation):
        async def __call__(self, claim: Claim) -> Answer:
            server.ask("SCRIPT", "FLUSH")
            return await super().__call__(claim)

    await own.run(Forgetting())
    server.ask("SCRIPT", "FLUSH")

    assert (await own.run(Operation())).replayed


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


async def test_what_cannot_be_saved_is_bounded(own: Setting, server: Server) -> None:
    store = own.another(options=StoreOptions(max_unsaved=2))
    claims = [await store.claim(attempt(str(number)), Policy()) for number in range(3)]
    server.kill()

    for claim in claims:
        assert not isinstance(claim, Standing)
        assert await claim.complete(201) is Completion.UNSTORED

    assert (store.counters.unsaved, store.counters.given_up) == (2, 1)


async def test_recorded_sending_is_refused_when_it_cannot_be_recorded(
    own: Setting, server: Server
) -> None:
    class Killing(Operation):
        async def __call__(self, claim: Claim) -> Answer:
            server.kill()
            return await super().__call__(claim)

    operation = Killing(marks=True)
    problem = await own.refused(operation, policy=Policy(sending=Sending.RECORDED))

    assert problem.kind is STORE_UNAVAILABLE
    assert operation.runs == 0


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


async def test_a_refusal_of_the_store_is_told_in_the_log(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    store = setting.another(options=StoreOptions(max_keys=5))
    await setting.client.execute("SET", store.locate(attempt()).quota, "not a hash")

    problem = await setting.refused(Operation(), store=store)

    assert problem.kind is STORE_UNAVAILABLE
    assert "WRONGTYPE" in caplog.text
