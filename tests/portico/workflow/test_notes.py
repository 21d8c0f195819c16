"""Notes: the first one stands, for every run and every time a run is done again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from portico.workflow.definition import Workflow
from portico.workflow.engine import open_workflows
from portico.workflow.notes import KEPT_SECONDS, Notes
from portico.workflow.tables import NOTES
from tests.portico.workflow.waiting import reached

if TYPE_CHECKING:
    from portico.workflow.database import WorkflowDatabase

pytestmark = pytest.mark.anyio


async def test_the_first_note_stands_for_all_runs(database: WorkflowDatabase) -> None:
    async def run(payload: Any) -> Any:
        notes = Notes(database, workflows.transactions.engine)
        before = await notes.read("opportunity")
        return [before, await notes.keep("opportunity", payload)]

    async with open_workflows(database, [Workflow(name="note.v1", run=run)]) as workflows:
        names = [f"w-{number}" for number in range(20)]
        await asyncio.gather(*(workflows.start(name, "note.v1", name) for name in names))
        results = [(await reached(workflows, name, "succeeded")).result for name in names]
        state = await workflows.status("w-0")

    (stands,) = {kept for _, kept in results}
    assert {before for before, _ in results} <= {"", stands}
    assert state is not None
    assert [step.name for step in state.steps] == ["read the note", "keep the note"]


async def test_a_note_that_nobody_asks_for_is_forgotten(database: WorkflowDatabase) -> None:
    async with open_workflows(database, []) as workflows:
        engine = workflows.transactions.engine
        notes = Notes(database, engine)
        for name in ("old", "asked for"):
            await notes.keep(name, "kept")
        async with engine.begin() as connection:
            old = database.now() - KEPT_SECONDS - 1
            await connection.execute(sa.update(NOTES).values(touched_at=old))
        await notes.read("asked for")
        await notes.forget()
        found = [await notes.read(name) for name in ("old", "asked for")]

    assert found == ["", "kept"]
