"""What stands between a checked request and its operation: limits and records of keys."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from gateway.admission import Admission
from gateway.config import Config, ConfigError
from gateway.endpoints import Endpoint
from gateway.idempotency import IdempotentWrites
from gateway.limits import RequestLimits, address_limit, compile_plans, limit_headers
from gateway.stores import Stores
from portico.limits.address import AddressLimit
from portico.limits.assignments import Assignments
from portico.limits.demand import KeySpace
from portico.limits.plans import PlanOf

# In a cluster the keys of one script share a tag; where callers share limits, all have this one.
_SHARED_TAG = "limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The stages that are configured; those that are not cost nothing."""

    address_limit: AddressLimit | None = None
    limits: RequestLimits | None = None
    idempotency: IdempotentWrites | None = None
    admission: Admission | None = None


@contextlib.asynccontextmanager
async def open_traffic(
    config: Config, stores: Stores, endpoints: Sequence[Endpoint]
) -> AsyncIterator[Traffic]:
    """Compile the plans and keep up with who has which; raises ConfigError."""
    async with contextlib.AsyncExitStack() as stack:
        limits = await _limits(stack, config, stores, endpoints)
        idempotency = None
        if stores.records is not None:
            idempotency = IdempotentWrites(stores.records, endpoints, config.idempotency)
        yield Traffic(
            address_limit=address_limit(config.rate_limits),
            limits=limits,
            idempotency=idempotency,
            admission=_admission(config, stores, limits),
        )


async def _limits(
    stack: contextlib.AsyncExitStack,
    config: Config,
    stores: Stores,
    endpoints: Sequence[Endpoint],
) -> RequestLimits | None:
    plan_of = await _plan_of(stack, config, stores)
    names = [endpoint.name for endpoint in endpoints]
    compiled = compile_plans(config.rate_limits, names, plan_of)
    if compiled is None:
        return None
    plans, cost_fields = compiled
    shared = _is_clustered(stores) and plans.shares_buckets
    return RequestLimits(
        stores.engine,
        plans,
        KeySpace(tag=_SHARED_TAG if shared else ""),
        limit_headers(config.rate_limits),
        stores.locator,
        cost_fields,
    )


async def _plan_of(stack: contextlib.AsyncExitStack, config: Config, stores: Stores) -> PlanOf:
    """Return who knows the plan of a client; raises ConfigError for a plan there is not."""
    configured = {}
    for client_id, client in config.clients.items():
        if not client.plan:
            continue
        if client.plan not in config.rate_limits.plans:
            raise ConfigError(
                f"clients.{client_id}.plan",
                f"there is no plan {client.plan!r}",
                f"the plans are {', '.join(config.rate_limits.plans) or 'none yet'}",
            )
        configured[client_id] = client.plan
    if stores.redis is None or not config.rate_limits.plans:
        return configured.get
    assignments = Assignments(stores.redis, configured)
    return (await stack.enter_async_context(assignments)).plan_of


def _admission(config: Config, stores: Stores, limits: RequestLimits | None) -> Admission | None:
    if limits is None or stores.redis is None or stores.records is None:
        return None
    return Admission(
        stores.redis,
        stores.records,
        limits,
        replay_costs=config.rate_limits.replay_costs,
        in_one_slot=not (_is_clustered(stores) and limits.plans.shares_buckets),
        looks_for_tokens=not _is_clustered(stores),
    )


def _is_clustered(stores: Stores) -> bool:
    return stores.redis is not None and stores.redis.clustered
