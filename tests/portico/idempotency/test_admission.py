"""A claim within an admission script: with limits, all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portico.idempotency.attempt import Standing, Verdict
from portico.idempotency.claim import Claim
from portico.idempotency.policy import Policy
from portico.idempotency.runner import run
from portico.idempotency.scripts import CLAIM_ARGUMENTS, CLAIM_FUNCTIONS
from portico.redis.script import Script
from tests.portico.idempotency.setting import Operation, attempt, render

if TYPE_CHECKING:
    from tests.portico.idempotency.setting import Setting

pytestmark = pytest.mark.anyio

# KEYS: record, key quota, bucket. ARGV: those of the claim, what the bucket holds, and 1 where a
# replay costs what a run costs.
ADMISSION = Script(
    "admission",
    CLAIM_FUNCTIONS
    + """
local time = redis.call('TIME')
local claim = idempotency_look(KEYS[1], KEYS[2], 1, time[1] * 1000000 + time[2])
if claim.proceeds or ARGV[CLAIM + 2] == '1' then
  if tonumber(redis.call('GET', KEYS[3]) or '0') >= tonumber(ARGV[CLAIM + 1]) then
    return {'LIMITED'}
  end
  redis.call('INCR', KEYS[3])
end
return idempotency_commit(KEYS[1], KEYS[2], claim)
""".replace("CLAIM", str(CLAIM_ARGUMENTS)),
)


async def admit(
    setting: Setting, key: str, *, limit: int, replay_costs: bool = True
) -> Claim | Standing | None:
    """Return what the claim led to, None where the bucket was empty."""
    prepared = setting.store.prepare(attempt(key), Policy())
    assert len(prepared.arguments) == CLAIM_ARGUMENTS
    keys = (*prepared.keys, prepared.location.quota + b":bucket")
    arguments: list[bytes | int] = [*prepared.arguments, limit, int(replay_costs)]
    reply = await setting.client.run(ADMISSION, keys, arguments)
    return None if reply == [b"LIMITED"] else setting.store.interpret(prepared, reply)


async def test_a_claim_that_is_admitted_runs(setting: Setting) -> None:
    claim = await admit(setting, "a", limit=1)
    operation = Operation()

    answer = await run(
        setting.store, attempt("a"), Policy(), operation, render=render, standing=claim
    )

    assert (answer.status, operation.claim) == (201, claim)


async def test_idm_07_a_request_over_its_limit_claims_nothing(setting: Setting) -> None:
    assert await admit(setting, "a", limit=1)

    assert await admit(setting, "b", limit=1) is None

    assert await setting.state(attempt("b")) == ""


@pytest.mark.parametrize("replay_costs", [True, False])
async def test_idm_07_a_replay_costs_what_the_configuration_says(
    setting: Setting, replay_costs: bool
) -> None:
    claim = await admit(setting, "a", limit=1)
    assert isinstance(claim, Claim)
    await claim.complete(201)

    again = await admit(setting, "a", limit=1, replay_costs=replay_costs)

    if replay_costs:
        assert again is None
        return
    assert isinstance(again, Standing)
    assert again.verdict is Verdict.REPLAY


async def test_idm_07_a_request_over_its_limit_leaves_a_record_as_it_is(setting: Setting) -> None:
    claim = await admit(setting, "a", limit=1)
    assert isinstance(claim, Claim)
    await claim.in_doubt()
    before = await setting.raw(attempt("a"))

    assert await admit(setting, "a", limit=1) is None

    assert await setting.raw(attempt("a")) == before
