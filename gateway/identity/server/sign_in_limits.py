"""Guessing passwords: how often an account and an address may try, across all processes.

Every attempt counts, before it is looked at, so that parallel guesses are no way around it. While
Redis is away nobody can count, and so nobody signs in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.identity.server.users import normal_name
from portico.limits.bucket import Bucket, Outage
from portico.limits.demand import Demand, KeySpace, policy_field
from portico.limits.limit import RatePolicy
from portico.limits.network import network_of

if TYPE_CHECKING:
    from portico.limits.engine import LimitEngine

# A person who mistypes stays below; a thousand guesses at one account take a day.
ATTEMPTS_PER_ACCOUNT = "10/15minute"
# An office behind one address stays below; a list of stolen passwords does not.
ATTEMPTS_PER_ADDRESS = "60/15minute"
# Both buckets are asked by one script, so their keys have one hash tag.
_TAG = "sign-in"


class Standing(StrEnum):
    """Whether an attempt may be made."""

    ALLOWED = "allowed"
    WAIT = "wait"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """The answer, and how long to wait before the next attempt."""

    standing: Standing
    wait_seconds: int = 0


class SignInLimits:
    """Limits of attempts by account and by address."""

    def __init__(
        self,
        engine: LimitEngine,
        *,
        per_account: str = ATTEMPTS_PER_ACCOUNT,
        per_address: str = ATTEMPTS_PER_ADDRESS,
    ) -> None:
        self._engine = engine
        self._keys = KeySpace()
        self._account = _bucket("sign-in-account", per_account)
        self._address = _bucket("sign-in-address", per_address)

    async def attempt(self, username: str, address: str, *, is_known: bool = False) -> Permission:
        """Count an attempt and tell whether it may be made.

        A browser where the account signed in before is counted apart: whoever guesses from
        elsewhere does not keep its owner waiting.
        """
        # What is typed as a name may be long, strange, or a password; its hash is neither.
        account = sha256(normal_name(username).encode(errors="replace")).hexdigest()
        if is_known:
            account += ":known"
        subjects = ((self._account, account), (self._address, network_of(address)))
        demand = Demand(
            tuple(bucket for bucket, _ in subjects),
            tuple(self._keys.name(bucket, subject, _TAG) for bucket, subject in subjects),
            (1, 1),
            policy_field([bucket for bucket, _ in subjects]),
        )
        verdict = await self._engine.check(demand)
        if verdict.allowed:
            return Permission(standing=Standing.ALLOWED)
        if verdict.closed:
            return Permission(standing=Standing.UNKNOWN)
        return Permission(standing=Standing.WAIT, wait_seconds=verdict.retry_after_seconds)


def _bucket(name: str, limits: str) -> Bucket:
    (bucket,) = RatePolicy(name=name, limits=limits, outage=Outage.CLOSED).buckets()
    return bucket
