"""Limits and an idempotency claim decided by one script, as admission does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from portico.idempotency.attempt import Attempt
from portico.idempotency.policy import Policy
from portico.idempotency.scope import Locator, Scope
from portico.idempotency.scripts import CLAIM_FUNCTIONS
from portico.idempotency.store import IdempotencyStore
from portico.limits.limit import ConcurrencyPolicy
from portico.limits.scripts import LIMIT_FUNCTIONS
from portico.redis.script import Script
from tests.portico.limits.setting import rate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portico.limits.demand import Demand
    from portico.limits.verdict import Verdict
    from tests.portico.limits.setting import Setting

pytestmark = pytest.mark.anyio

# KEYS: record, quota, buckets. ARGV: what is asked of the limits, then the claim.
ADMIT = Script(
    "admit",
    LIMIT_FUNCTIONS
    + CLAIM_FUNCTIONS
    + """
local now = limits_now()
local limits = limits_look(3, ARGV[1], now)
local claim = idempotency_look(KEYS[1], KEYS[2], 2, now)
-- A claim that is ours already was sent twice: its first run has consumed.
local repeated = claim.proceeds and not claim.write
if repeated then
  limits.refused = 0
elseif limits.refused > 0 then
  return {limits_tell(limits)}
else
  limits_commit(limits)
end
return {limits_tell(limits), idempotency_commit(KEYS[1], KEYS[2], claim)}
""",
)
FEW = rate("2/hour")
PARTNER = Scope(client_id="partner")
OPERATION = "process/orders.v1/createOrder"


class Admission:
    """Runs the script as a gateway does, and reads both answers."""

    def __init__(self, setting: Setting, store: IdempotencyStore) -> None:
        self.setting = setting
        self.store = store

    async def run(
        self, demand: Demand, key: str, *, prepared: Any = None
    ) -> tuple[Verdict, bytes, Any]:
        if prepared is None:
            wanted = Attempt(scope=PARTNER, key=key, fingerprint=b"1:same", operation=OPERATION)
            prepared = self.store.prepare(wanted, Policy())
        assert self.setting.client is not None
        keys = [*prepared.keys, *demand.keys]
        arguments = [demand.argument, *prepared.arguments]
        reply = await self.setting.client.run(ADMIT, keys, arguments, repeatable=True)
        numbers, *claimed = cast("list[list[Any]]", reply)
        verdict = self.setting.engine.read(demand, numbers)
        return verdict, claimed[0][0] if claimed else b"", prepared


@pytest.fixture
async def admission(setting: Setting) -> AsyncIterator[Admission]:
    assert setting.client is not None
    locator = Locator(b"a secret of the test", prefix=setting.prefix)
    async with IdempotencyStore(setting.client, locator) as store:
        yield Admission(setting, store)


async def test_a_refused_request_neither_consumes_nor_claims(admission: Admission) -> None:
    """IDM-07: the key stays usable for when there is quota again."""
    demand = admission.setting.demand(FEW)
    assert (await admission.run(demand, "a"))[1] == b"CLAIMED"
    assert (await admission.run(demand, "b"))[1] == b"CLAIMED"
    refused, claim, _ = await admission.run(demand, "c")
    assert (refused.allowed, claim) == (False, b"")
    plenty = admission.setting.demand(rate("9/hour", name="plenty"))
    assert (await admission.run(plenty, "c"))[1] == b"CLAIMED"


async def test_a_request_that_finds_its_key_taken_costs_as_well(admission: Admission) -> None:
    demand = admission.setting.demand(rate("9/hour"))
    assert (await admission.run(demand, "a"))[1] == b"CLAIMED"
    verdict, claim, _ = await admission.run(demand, "a")
    assert claim == b"BUSY"
    assert verdict.standings()[0].remaining == 7


async def test_an_admission_that_is_sent_twice_is_one(admission: Admission) -> None:
    """The reply to the first was lost; it had taken the last of the quota."""
    one = rate("1/hour")
    demand = admission.setting.demand(one, ConcurrencyPolicy(name="at-once", at_once=1))
    first, claim, prepared = await admission.run(demand, "a")
    assert (first.allowed, claim) == (True, b"CLAIMED")
    again, claim, _ = await admission.run(demand, "a", prepared=prepared)
    assert (again.allowed, claim) == (True, b"CLAIMED")
    assert again.standings()[0].remaining == 0
    first.release()
