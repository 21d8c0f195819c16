"""What is done when nobody knows what an attempt led to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from portico.idempotency.policy import InDoubt, Policy
from portico.idempotency.problems import IN_DOUBT, IN_FLIGHT
from portico.idempotency.replay import (
    Answer,
)
from portico.problems import (
    SYSTEM_UNAVAILABLE,
    Problem,
)
from tests.portico.idempotency.setting import (
    Operation,
    Setting,
    dies,
    expiry,
    header,
)
from tests.portico.redis.servers import until

if TYPE_CHECKING:
    from portico.idempotency.claim import Claim

pytestmark = pytest.mark.anyio


REPLAYED = (b"idempotent-replayed", b"true")


async def test_doubt_fails_until_somebody_settles_it(setting: Setting) -> None:
    await dies(setting)
    await expiry()
    operation = Operation()

    problem = await setting.refused(operation)
    again = await setting.refused(operation)

    assert problem.kind is again.kind is IN_DOUBT
    assert problem.status == 409
    assert header(problem, "Retry-After") is None
    record_id = str(problem.extensions["record"])
    shown = await setting.operators.show(record_id)
    assert shown is not None
    assert shown.in_doubt
    assert operation.runs == 0


RECONCILE = Policy(lease_seconds=0.6, retention_seconds=60, in_doubt=InDoubt.RECONCILE)


async def test_doubt_is_reconciled_with_what_happened(setting: Setting) -> None:
    dead = await dies(setting, policy=RECONCILE)
    await expiry()
    seen: list[Claim] = []

    async def probe(claim: Claim) -> Answer:
        seen.append(claim)
        return Answer(201, [(b"location", b"/orders/17")], b"found")

    operation = Operation()
    first = await setting.run(operation, policy=RECONCILE, reconcile=probe)
    again = await setting.run(operation, policy=RECONCILE, reconcile=probe)

    assert operation.runs == 0
    assert [claim.upstream_key for claim in seen] == [dead.upstream_key]
    assert first.status == again.status == 201
    assert first.body == again.body == b"found"
    assert REPLAYED in first.headers


async def test_doubt_is_reconciled_with_nothing_and_the_operation_runs(setting: Setting) -> None:
    await dies(setting, policy=RECONCILE)
    await expiry()

    async def probe(claim: Claim) -> None:
        assert claim.reconciling

    operation = Operation()
    answer = await setting.run(operation, policy=RECONCILE, reconcile=probe)

    assert (answer.status, answer.replayed) == (201, False)
    assert operation.runs == 1


async def test_doubt_stays_when_the_probe_cannot_tell(setting: Setting) -> None:
    await dies(setting, policy=RECONCILE)
    await expiry()

    async def probe(claim: Claim) -> None:
        del claim
        raise Problem(SYSTEM_UNAVAILABLE)

    for given in (probe, probe, None):
        problem = await setting.refused(Operation(), policy=RECONCILE, reconcile=given)
        assert problem.kind is IN_DOUBT
    assert await setting.state() == "D"


async def test_one_caller_reconciles_and_the_others_are_told_to_wait(setting: Setting) -> None:
    await dies(setting, policy=RECONCILE)
    await expiry()
    gate, probes = asyncio.Event(), 0

    async def probe(claim: Claim) -> Answer:
        nonlocal probes
        del claim
        probes += 1
        await gate.wait()
        return Answer(201)

    first = asyncio.create_task(setting.run(Operation(), policy=RECONCILE, reconcile=probe))
    await until(lambda: probes == 1)
    problem = await setting.refused(Operation(), policy=RECONCILE, reconcile=probe)
    await asyncio.sleep(RECONCILE.lease_seconds * 1.3)
    later = await setting.refused(Operation(), policy=RECONCILE, reconcile=probe)
    gate.set()

    assert problem.kind is later.kind is IN_FLIGHT
    assert (await first).status == 201
    assert probes == 1


async def test_a_resumed_operation_goes_on_after_its_last_point(setting: Setting) -> None:
    policy = Policy(reexecutable=True, in_doubt=InDoubt.REEXECUTE)
    dead = await dies(setting, policy=policy)
    assert await dead.phase("charged", {"charge": "ch_1"})
    assert await dead.phase("shipped", [1, 2])
    await expiry()
    operation = Operation()

    await setting.run(operation, policy=policy)

    assert operation.claim is not None
    assert operation.claim.points == {"charged": {"charge": "ch_1"}, "shipped": [1, 2]}


async def test_recovery_points_are_bounded(setting: Setting) -> None:
    claim = await setting.claimed()

    with pytest.raises(ValueError, match="16384"):
        await claim.phase("all", "x" * 20_000)
    assert claim.points == {}


async def test_an_owner_in_doubt_may_still_say_how_it_ended(setting: Setting) -> None:
    claim = await setting.claimed()
    await claim.in_doubt()

    await claim.complete(201, body=b"after all")

    assert (await setting.run(Operation())).body == b"after all"
