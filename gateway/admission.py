"""Admission: limits and the claim of an idempotency key, asked of Redis in one trip.

All or nothing: a request over its limits claims nothing, and one whose key nobody may run consumes
what a request costs, or nothing where the configuration says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from gateway.exchange import Exchange
from gateway.limits import RequestLimits
from portico.idempotency.attempt import Attempt, Prepared, Standing
from portico.idempotency.claim import Claim
from portico.idempotency.policy import Policy
from portico.idempotency.scripts import CLAIM_FUNCTIONS
from portico.idempotency.store import IdempotencyStore
from portico.limits.demand import Demand
from portico.limits.scripts import LIMIT_FUNCTIONS
from portico.redis.client import RedisClient
from portico.redis.errors import RedisFailure
from portico.redis.script import Script

# KEYS: record, key quota, buckets. ARGV: what is asked of the limits, 1 where a request that does
# not run costs as well, then the claim.
ADMIT = Script(
    "admit",
    LIMIT_FUNCTIONS
    + CLAIM_FUNCTIONS
    + """
local now = limits_now()
local limits = limits_look(3, ARGV[1], now)
local claim = idempotency_look(KEYS[1], KEYS[2], 3, now)
-- A claim that is ours already was sent twice: its first run has consumed.
local repeated = claim.proceeds and not claim.write
if repeated or not (claim.proceeds or ARGV[2] == '1') then
  limits.refused = 0
elseif limits.refused > 0 then
  return {limits_tell(limits)}
else
  limits_commit(limits)
end
return {limits_tell(limits), idempotency_commit(KEYS[1], KEYS[2], claim)}
""",
)


class Admission:
    """Claims keys for requests that have limits as well."""

    def __init__(
        self,
        redis: RedisClient,
        store: IdempotencyStore,
        limits: RequestLimits,
        *,
        replay_costs: bool,
        in_one_slot: bool,
    ) -> None:
        self._redis = redis
        self._store = store
        self._limits = limits
        self._replay_costs = b"1" if replay_costs else b"0"
        self._in_one_slot = in_one_slot

    async def admit(
        self, exchange: Exchange, demand: Demand, attempt: Attempt, policy: Policy
    ) -> Claim | Standing | None:
        """Return what became of the key of a request that its limits allow.

        None where Redis was not asked about both at once: the key is still to be claimed. Raises
        Problem: 429 over a limit, 503 where Redis cannot tell about the key.
        """
        engine = self._limits.engine
        if demand.never or engine.away or not self._in_one_slot:
            await self._limits.check(exchange, demand)
            return None
        prepared = self._store.prepare(attempt, policy)
        try:
            reply = await self._redis.run(
                ADMIT,
                [*prepared.keys, *demand.keys],
                [demand.argument, self._replay_costs, *prepared.arguments],
                timeout_seconds=self._store.options.claim_seconds,
                repeatable=True,
                acknowledged=self._store.options.acknowledged,
            )
        except RedisFailure as failure:
            self._store.abandon(prepared, failure)
            self._limits.settle(exchange, engine.failed(demand, failure))
            if policy.fail_open:
                return self._store.unprotected(attempt, policy)
            raise self._store.unavailable(failure) from failure
        except asyncio.CancelledError:
            self._store.abandon(prepared)
            engine.abandon(demand)
            raise
        return self._read(exchange, demand, prepared, cast("Sequence[object]", reply))

    def _read(
        self, exchange: Exchange, demand: Demand, prepared: Prepared, reply: Sequence[object]
    ) -> Claim | Standing:
        numbers, *claimed = reply
        verdict = self._limits.engine.read(demand, cast("Sequence[int]", numbers))
        self._limits.settle(exchange, verdict)
        return self._store.interpret(prepared, claimed[0])
