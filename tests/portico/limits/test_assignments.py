"""A client's plan changes without a restart, in every process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portico.limits.assignments import Assignments
from portico.limits.plans import Plans
from tests.portico.limits.setting import OPERATIONS, READ, Setting, rate
from tests.portico.redis.servers import until

if TYPE_CHECKING:
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio


def _assignments(setting: Setting, configured: dict[str, str] | None = None) -> Assignments:
    assert setting.client is not None
    return Assignments(setting.client, configured, prefix=setting.prefix, refresh_seconds=0.02)


async def test_what_one_process_assigns_holds_in_all(setting: Setting) -> None:
    operator, worker = _assignments(setting), _assignments(setting, {"partner": "free"})
    plans = Plans(
        {"free": [rate("2/hour")], "gold": [rate("200/hour")]},
        operations=OPERATIONS,
        default="free",
        plan_of=worker.plan_of,
    )
    maker = setting.maker(plans)

    async def allowed() -> bool:
        demand = maker.demand(READ, client_id="partner")
        assert demand is not None
        return (await setting.engine.check(demand)).allowed

    async with worker:
        assert [await allowed() for _ in range(3)] == [True, True, False]
        await operator.assign("partner", "gold")
        await until(lambda: worker.plan_of("partner") == "gold")
        # All that the small plan had was used; of the large one a hundredth is back in 36 s.
        assert not await allowed()
        assert plans.plan("partner") == "gold"
        await operator.withdraw("partner")
        await until(lambda: worker.plan_of("partner") == "free")


async def test_while_redis_is_away_the_last_known_plan_stays(server: Server, own: Setting) -> None:
    assignments = _assignments(own)
    async with assignments:
        await assignments.assign("partner", "gold")
        server.kill()
        await until(lambda: own.client is not None and not own.client.available)
        assert assignments.plan_of("partner") == "gold"
        assert assignments.plan_of("somebody") is None
