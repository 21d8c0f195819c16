"""The store is away, slow, full, or loses replies and data (F01 to F06, F18, F19, F26)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portico.idempotency.attempt import Standing, Verdict
from portico.idempotency.claim import Completion
from portico.idempotency.policy import Policy, Sending
from portico.idempotency.problems import STORE_UNAVAILABLE
from portico.idempotency.replay import Answer
from portico.idempotency.store import StoreOptions
from portico.redis.options import Acknowledgement
from tests.portico.idempotency.setting import (
    STEADY,
    Operation,
    Setting,
    attempt,
    dies,
    header,
)
from tests.portico.redis.byte_proxy import proxied
from tests.portico.redis.servers import QUICK as QUICK_CLIENT
from tests.portico.redis.servers import Server, eventually, opened, until

if TYPE_CHECKING:
    from portico.idempotency.claim import Claim

pytestmark = pytest.mark.anyio


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


async def test_a_refusal_of_the_store_is_told_in_the_log(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    store = setting.another(options=StoreOptions(max_keys=5))
    await setting.client.execute("SET", store.locate(attempt()).quota, "not a hash")

    problem = await setting.refused(Operation(), store=store)

    assert problem.kind is STORE_UNAVAILABLE
    assert "WRONGTYPE" in caplog.text
