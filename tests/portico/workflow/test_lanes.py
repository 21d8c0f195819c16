"""Lanes: in order, one after the other, and soon."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from dbos import DBOS

from portico.workflow.definition import Workflow
from portico.workflow.engine import LANE_POLL_SECONDS, open_workflows
from portico.workflow.workflows import LANES
from tests.portico.workflow.waiting import reached

if TYPE_CHECKING:
    from portico.workflow.database import WorkflowDatabase

pytestmark = pytest.mark.anyio
# What the engine takes unless it is told, as versions before this one had it.
ENGINES_OWN_SECONDS = 1.0


async def test_the_runs_of_a_lane_follow_one_another_as_soon_as_the_lanes_are_looked_at(
    sqlite: WorkflowDatabase,
) -> None:
    begun: list[tuple[str, float]] = []

    async def run(payload: Any) -> None:
        begun.append((payload, time.monotonic()))

    async with open_workflows(sqlite, [Workflow(name="flow.v1", run=run)]) as workflows:
        for name in "abc":
            await workflows.start(name, "flow.v1", name, lane="one")
        await reached(workflows, "c", "succeeded")

    assert [name for name, _ in begun] == ["a", "b", "c"]
    quickest = min(later - earlier for (_, earlier), (_, later) in pairwise(begun))
    assert LANE_POLL_SECONDS * 0.8 < quickest < ENGINES_OWN_SECONDS * 0.9


async def test_a_database_of_an_earlier_version_gets_the_pace_of_this_one(
    sqlite: WorkflowDatabase,
) -> None:
    async with open_workflows(sqlite, []):
        lanes = await DBOS.retrieve_queue_async(LANES)
        assert lanes is not None
        await lanes.set_polling_interval_sec_async(ENGINES_OWN_SECONDS)

    async with open_workflows(sqlite, []):
        lanes = await DBOS.retrieve_queue_async(LANES)
        assert lanes is not None
        assert await lanes.get_polling_interval_sec_async() == LANE_POLL_SECONDS
