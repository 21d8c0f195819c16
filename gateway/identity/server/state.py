"""What the authorization server keeps in Redis, and the secret its handles are made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.identity.server.families import GRACE_SECONDS, Families
from gateway.identity.server.handles import Handles
from gateway.identity.server.registered_clients import RegisteredClients
from gateway.identity.server.revocations import Revocations
from gateway.identity.server.transient import TransientRecords

if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.redis.client import RedisClient


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """The parts of the store; each of them raises RedisFailure while Redis is away."""

    redis: RedisClient
    handles: Handles
    families: Families
    records: TransientRecords
    registered: RegisteredClients
    revocations: Revocations

    @classmethod
    def over(
        cls,
        redis: RedisClient,
        secret: bytes,
        clock: Callable[[], float],
        *,
        grace_seconds: float = GRACE_SECONDS,
    ) -> ServerState:
        """Return the state that processes with the same Redis and secret share."""
        revocations = Revocations(redis, clock=clock)
        return cls(
            redis=redis,
            handles=Handles(secret),
            families=Families(redis, revocations, grace_seconds=grace_seconds),
            records=TransientRecords(redis),
            registered=RegisteredClients(redis, revocations, clock=clock),
            revocations=revocations,
        )
