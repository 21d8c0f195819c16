"""Admission: a revoked token, limits and the claim of a key, asked of Redis in one trip.

All or nothing: a request over its limits claims nothing, and one whose key nobody may run consumes
what a request costs, or nothing where the configuration says so. One with a revoked token does
neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from gateway.exchange import Exchange
from gateway.identity.claims import TokenCaller
from gateway.identity.revocation import REVOCATION_FUNCTIONS, revocation_key
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

# KEYS: record, key quota, buckets, and last the key of a revoked token where there is one to look
# for. ARGV: what is asked of the limits, 1 where a request that does not run costs as well, 1 where
# a token is looked for, then the claim.
ADMIT = Script(
    "admit",
    LIMIT_FUNCTIONS
    + CLAIM_FUNCTIONS
    + REVOCATION_FUNCTIONS
    + """
if ARGV[3] == '1' and revocation_look(KEYS[#KEYS]) then return {} end
local now = limits_now()
local limits = limits_look(3, ARGV[1], now)
local claim = idempotency_look(KEYS[1], KEYS[2], 4, now)
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


# The same without a claim. KEYS: buckets, the key of a revoked token. ARGV: what is asked.
ALLOW = Script(
    "allow",
    LIMIT_FUNCTIONS
    + REVOCATION_FUNCTIONS
    + """
if revocation_look(KEYS[#KEYS]) then return {} end
local limits = limits_look(1, ARGV[1], limits_now())
if limits.refused == 0 then limits_commit(limits) end
return limits_tell(limits)
""",
)


class TokenRevokedError(Exception):
    """The token of a request was revoked, and this worker had not heard of it yet."""


class Admission:
    """Decides about requests that have limits, by one script each."""

    def __init__(
        self,
        redis: RedisClient,
        store: IdempotencyStore,
        limits: RequestLimits,
        *,
        replay_costs: bool,
        in_one_slot: bool,
        looks_for_tokens: bool,
    ) -> None:
        self._redis = redis
        self._store = store
        self._limits = limits
        self._replay_costs = b"1" if replay_costs else b"0"
        self._in_one_slot = in_one_slot
        # In a cluster their keys have slots of their own.
        self._looks_for_tokens = looks_for_tokens

    async def allow(self, exchange: Exchange, demand: Demand) -> None:
        """Consume the limits of a request without a key.

        Raises Problem 429, or 503 where limits cannot be counted; TokenRevokedError.
        """
        engine = self._limits.engine
        token = self._token_keys(exchange)
        if not token or demand.never or engine.away:
            await self._limits.check(exchange, demand)
            return
        try:
            reply = await self._redis.run(ALLOW, [*demand.keys, *token], [demand.argument])
        except RedisFailure as failure:
            self._limits.settle(exchange, engine.failed(demand, failure))
            return
        except asyncio.CancelledError:
            engine.abandon(demand)
            raise
        numbers = cast("Sequence[int]", reply)
        if not numbers:
            raise TokenRevokedError
        self._limits.settle(exchange, engine.read(demand, numbers))

    async def admit(
        self, exchange: Exchange, demand: Demand, attempt: Attempt, policy: Policy
    ) -> Claim | Standing | None:
        """Return what became of the key of a request that its limits allow.

        None where Redis was not asked about both at once: the key is still to be claimed. Raises
        Problem: 429 over a limit, 503 where Redis cannot tell about the key; TokenRevokedError.
        """
        engine = self._limits.engine
        if demand.never or engine.away or not self._in_one_slot:
            await self._limits.check(exchange, demand)
            return None
        prepared = self._store.prepare(attempt, policy)
        token = self._token_keys(exchange)
        looked_for = b"1" if token else b"0"
        try:
            reply = await self._redis.run(
                ADMIT,
                [*prepared.keys, *demand.keys, *token],
                [demand.argument, self._replay_costs, looked_for, *prepared.arguments],
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
        if not reply:
            raise TokenRevokedError
        numbers, *claimed = reply
        verdict = self._limits.engine.read(demand, cast("Sequence[int]", numbers))
        self._limits.settle(exchange, verdict)
        return self._store.interpret(prepared, claimed[0])

    def _token_keys(self, exchange: Exchange) -> list[bytes]:
        """Return the key to look for a revoked token at, nothing where there is none."""
        caller = exchange.caller
        if not self._looks_for_tokens or not isinstance(caller, TokenCaller):
            return []
        return [revocation_key(caller.token_id)] if caller.token_id else []
