"""What most tests of limits need: an engine, plans and demands, under names of their own."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Self

from portico.limits.demand import Demand, KeySpace
from portico.limits.engine import LimitEngine
from portico.limits.limit import Policy, RatePolicy
from portico.limits.plans import DemandMaker, Plans

if TYPE_CHECKING:
    from portico.limits.verdict import Verdict
    from portico.redis.client import RedisClient

READ, WRITE = "shop:read", "shop:write"
OPERATIONS = (READ, WRITE)


def plans_of(*policies: Policy, **options: Any) -> Plans:
    """Return one plan with these policies, which everyone has."""
    return Plans({"only": policies}, operations=OPERATIONS, default="only", **options)


def rate(limits: str, **options: Any) -> RatePolicy:
    return RatePolicy(**{"name": "default", "limits": limits, **options})


class Setting:
    """An engine on a client, with a prefix that nobody else has."""

    def __init__(self, client: RedisClient | None, **options: Any) -> None:
        self.client = client
        self.prefix = f"t{uuid.uuid4().hex[:12]}"
        self.engine = LimitEngine(client, **options)
        self._makers: dict[tuple[Policy, ...], DemandMaker] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.close()

    def another(self, **options: Any) -> Setting:
        """Return another worker with the same limits."""
        other = Setting(self.client, **options)
        other.prefix = self.prefix
        return other

    def maker(self, plans: Plans) -> DemandMaker:
        return DemandMaker(plans, KeySpace(self.prefix))

    def demand(self, *policies: Policy, operation: str = READ, **who: Any) -> Demand:
        who.setdefault("client_id", "partner")
        demand = self.maker(plans_of(*policies)).demand(operation, **who)
        assert demand is not None
        return demand

    async def check(self, *policies: Policy, **who: Any) -> Verdict:
        return await self.engine.check(self.demand(*policies, **who))

    async def count(self, *policies: Policy, tries: int, **who: Any) -> int:
        """Return how many of some requests, one after the other, are allowed."""
        demand = self.demand(*policies, **who)
        return sum([(await self.engine.check(demand)).allowed for _ in range(tries)])
