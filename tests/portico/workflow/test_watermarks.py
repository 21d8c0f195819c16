"""Watermarks: they move forward only, and once for each run of a workflow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from dbos import DBOS
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.workflow.definition import Workflow
from portico.workflow.engine import open_workflows
from portico.workflow.watermarks import Watermarks
from tests.portico.workflow.waiting import reached

if TYPE_CHECKING:
    from portico.workflow.database import WorkflowDatabase

pytestmark = pytest.mark.anyio
# How long SQLite waits for its writer.
LOCK_SECONDS = 30.0


async def test_a_mark_moves_forward_only(database: WorkflowDatabase) -> None:
    async with open_workflows(database, []) as workflows:
        marks = Watermarks(database, workflows.transactions.engine)
        before = await marks.read("events")
        await marks.move("events", "2026-11-27T12:00:00Z")
        await marks.move("events", "2026-11-27T11:00:00Z")
        after = await marks.read("events")
        other = await marks.read("others")

    assert (before, after, other) == ("", "2026-11-27T12:00:00Z", "")


async def test_a_workflow_sees_the_mark_it_read_when_it_is_run_again(
    database: WorkflowDatabase,
) -> None:
    crash = True
    seen: list[str] = []

    async def run(payload: Any) -> None:
        del payload
        nonlocal crash
        marks = Watermarks(database, workflows.transactions.engine)
        seen.append(await marks.read("events"))
        await marks.move("events", "2")
        if crash:
            crash = False
            raise RuntimeError("after the move")

    async with open_workflows(database, [Workflow(name="poll.v1", run=run)]) as workflows:
        await workflows.start("w-1", "poll.v1", None)
        await reached(workflows, "w-1", "dead")
        await workflows.replay("w-1")
        await reached(workflows, "w-1", "succeeded")

    assert seen == ["", ""]


async def test_many_runs_at_once_do_not_wait_for_one_another(database: WorkflowDatabase) -> None:
    """A step that held the only writer of SQLite would wait for threads that wait for it."""

    async def run(payload: Any) -> None:
        for _ in range(4):
            await DBOS.run_step_async({"name": "other"}, _nothing)
        await Watermarks(database, workflows.transactions.engine).move("events", payload)
        await workflows.transactions.run("write", _nothing_written)

    async with open_workflows(database, [Workflow(name="poll.v1", run=run)]) as workflows:
        names = [f"w-{number:02}" for number in range(40)]
        async with asyncio.timeout(LOCK_SECONDS / 2):
            await asyncio.gather(*(workflows.start(name, "poll.v1", name) for name in names))
            for name in names:
                await reached(workflows, name, "succeeded")


async def _nothing() -> None:
    pass


async def _nothing_written(connection: AsyncConnection) -> None:
    del connection
