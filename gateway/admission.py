"""Admission: token, DPoP proof, limits and the claim of a key, asked of Redis in one trip.

All or nothing: a request over its limits claims nothing and uses no proof up, and one whose key
nobody may run consumes what a request costs, or nothing where the configuration says so. One with a
revoked token or a used proof does neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.exchange import Exchange
from gateway.identity.challenge import unavailable
from gateway.identity.claims import TokenCaller
from gateway.identity.dpop import REPLAY_UNKNOWN
from gateway.identity.revocation import REVOCATION_FUNCTIONS, revocation_key
from gateway.limits import RequestLimits
from portico.idempotency.attempt import Attempt, Standing
from portico.idempotency.claim import Claim
from portico.idempotency.policy import Policy
from portico.idempotency.scripts import CLAIM_FUNCTIONS
from portico.idempotency.store import IdempotencyStore
from portico.limits.demand import Demand
from portico.limits.scripts import LIMIT_FUNCTIONS
from portico.redis.client import RedisClient
from portico.redis.errors import RedisFailure
from portico.redis.script import Script

# The last keys are that of a token, where it is looked for among the revoked ones, and that of a
# DPoP proof, where there is one. `mark` tells a repetition of this very script from others.
_CREDENTIALS = (
    REVOCATION_FUNCTIONS
    + """
local function credentials_look(has_token, proof_ms, mark)
  local last, proof = #KEYS, nil
  if proof_ms ~= '0' then
    proof, last = KEYS[last], last - 1
    local used = redis.call('GET', proof)
    if used and used ~= mark then return 'USED' end
  end
  if has_token == '1' and revocation_look(KEYS[last]) then return 'REVOKED' end
  return nil, proof
end
"""
)

# KEYS: record, key quota, buckets, credentials. ARGV: what is asked of the limits, 1 where a
# request that does not run costs as well, 1 where there is a token, ms of the proof, and the claim,
# which begins with its token.
ADMIT = Script(
    "admit",
    LIMIT_FUNCTIONS
    + CLAIM_FUNCTIONS
    + _CREDENTIALS
    + """
local refused, proof = credentials_look(ARGV[3], ARGV[4], ARGV[5])
if refused then return {refused} end
local now = limits_now()
local limits = limits_look(3, ARGV[1], now)
local claim = idempotency_look(KEYS[1], KEYS[2], 5, now)
-- A claim that is ours already was sent twice: its first run has consumed.
local repeated = claim.proceeds and not claim.write
if repeated or not (claim.proceeds or ARGV[2] == '1') then
  limits.refused = 0
elseif limits.refused > 0 then
  return {limits_tell(limits)}
else
  limits_commit(limits)
end
if proof then redis.call('SET', proof, ARGV[5], 'PX', ARGV[4]) end
return {limits_tell(limits), idempotency_commit(KEYS[1], KEYS[2], claim)}
""",
)

# The same without a claim. KEYS: buckets, credentials. ARGV: what is asked of the limits, 1 where
# there is a token, ms of the proof, and a mark.
ALLOW = Script(
    "allow",
    LIMIT_FUNCTIONS
    + _CREDENTIALS
    + """
local refused, proof = credentials_look(ARGV[2], ARGV[3], ARGV[4])
if refused then return {refused} end
local limits = limits_look(1, ARGV[1], limits_now())
if limits.refused == 0 then
  limits_commit(limits)
  if proof then redis.call('SET', proof, ARGV[4], 'PX', ARGV[3]) end
end
return {limits_tell(limits)}
""",
)


class CredentialsRefusedError(Exception):
    """A token that was revoked, or a DPoP proof that was `used` by another request."""

    def __init__(self, *, used: bool) -> None:
        super().__init__("the proof was used" if used else "the token was revoked")
        self.used = used


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

    def takes_proof(self, demand: Demand | None) -> bool:
        """Tell whether a request's proof is used up together with what it demands."""
        return (
            demand is not None
            and self._looks_for_tokens
            and not demand.never
            and not self._limits.engine.away
        )

    async def allow(self, exchange: Exchange, demand: Demand) -> None:
        """Consume the limits of a request without a key.

        Raises Problem: 429, or 503 where limits cannot be counted; CredentialsRefusedError.
        """
        engine = self._limits.engine
        token, proof = self._credentials(exchange)
        if not (token or proof) or demand.never or engine.away:
            await self._limits.check(exchange, demand)
            return
        try:
            reply: Any = await self._redis.run(
                ALLOW,
                (*demand.keys, *token, *proof.keys),
                (demand.argument, _flag(token), proof.lifetime_ms, exchange.request_id),
            )
        except RedisFailure as failure:
            self._limits.settle(exchange, engine.failed(demand, failure))
            if proof:
                raise unavailable(REPLAY_UNKNOWN) from failure
            return
        except asyncio.CancelledError:
            engine.abandon(demand)
            raise
        self._settle(exchange, demand, reply[0])

    async def admit(
        self, exchange: Exchange, demand: Demand, attempt: Attempt, policy: Policy
    ) -> Claim | Standing | None:
        """Return what became of the key of a request that its limits allow.

        None where Redis was not asked about both at once: the key is still to be claimed. Raises
        Problem: 429 over a limit, 503 where Redis cannot tell about the key;
        CredentialsRefusedError.
        """
        engine = self._limits.engine
        if demand.never or engine.away or not self._in_one_slot:
            await self._limits.check(exchange, demand)
            return None
        prepared = self._store.prepare(attempt, policy)
        token, proof = self._credentials(exchange)
        asked = (demand.argument, self._replay_costs, _flag(token), proof.lifetime_ms)
        try:
            reply: Any = await self._redis.run(
                ADMIT,
                (*prepared.keys, *demand.keys, *token, *proof.keys),
                (*asked, *prepared.arguments),
                timeout_seconds=self._store.options.claim_seconds,
                repeatable=True,
                acknowledged=self._store.options.acknowledged,
            )
        except RedisFailure as failure:
            self._store.abandon(prepared, failure)
            self._limits.settle(exchange, engine.failed(demand, failure))
            if policy.fail_open and not proof:
                return self._store.unprotected(attempt, policy)
            raise self._store.unavailable(failure) from failure
        except asyncio.CancelledError:
            self._store.abandon(prepared)
            engine.abandon(demand)
            raise
        self._settle(exchange, demand, reply[0])
        return self._store.interpret(prepared, reply[1])

    def _settle(self, exchange: Exchange, demand: Demand, numbers: Any) -> None:
        """Take note of what a script told of the limits, or of the credentials."""
        if isinstance(numbers, bytes):
            raise CredentialsRefusedError(used=numbers == b"USED")
        exchange.proof_use = None
        verdict = self._limits.engine.read(demand, numbers)
        self._limits.settle(exchange, verdict)

    def _credentials(self, exchange: Exchange) -> tuple[list[bytes], _Proof]:
        """Return the keys of a token and of a proof, nothing where there is none."""
        caller = exchange.caller
        if not self._looks_for_tokens or not isinstance(caller, TokenCaller):
            return [], _NO_PROOF
        token = [revocation_key(caller.token_id)] if caller.token_id else []
        use = exchange.proof_use
        return token, _NO_PROOF if use is None else _Proof([use.key], b"%d" % use.lifetime_ms)


class _Proof(NamedTuple):
    keys: list[bytes]
    lifetime_ms: bytes

    def __bool__(self) -> bool:
        return bool(self.keys)


_NO_PROOF = _Proof([], b"0")


def _flag(keys: Sequence[bytes]) -> bytes:
    return b"1" if keys else b"0"
