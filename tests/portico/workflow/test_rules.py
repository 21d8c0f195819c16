"""DUR-01 to DUR-11, the rules of durable workflows, as far as no other test shows them.

DUR-01, 02, 07 and 08 are also in test_engine, DUR-05 with the deliveries of webhooks, DUR-09 with
the kills, DUR-10 with the gateway.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from dbos import DBOS

from portico.workflow.definition import Workflow
from portico.workflow.engine import (
    APPLICATION_VERSION,
    MAX_EXECUTOR_THREADS,
    WorkflowOptions,
    open_workflows,
)
from portico.workflow.workflows import Workflows
from tests.portico.workflow.waiting import reached

if TYPE_CHECKING:
    from portico.workflow.database import WorkflowDatabase

pytestmark = pytest.mark.anyio
# What another engine left is taken over after a lease.
SOON = WorkflowOptions(lease_seconds=0.6)


async def test_DUR_01_threads_are_capped(sqlite: WorkflowDatabase) -> None:  # noqa: N802
    """The engine's threads are those of the loop: a burst does not open hundreds."""
    at_once, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1

    async with open_workflows(sqlite, []):
        await asyncio.gather(*(asyncio.to_thread(work) for _ in range(64)))

    assert 1 < most <= MAX_EXECUTOR_THREADS


async def test_DUR_03_a_wait_ends_when_it_was_to_end_also_after_a_restart(  # noqa: N802
    database: WorkflowDatabase,
) -> None:
    """The time is in the journal: a restart neither begins the wait again nor forgets it."""
    calls: list[str] = []

    async def run(payload: Any) -> str:
        await DBOS.run_step_async({"name": "try"}, note, payload)
        await DBOS.sleep_async(3.0)
        await DBOS.run_step_async({"name": "try again"}, note, payload)
        return "done"

    async def note(payload: Any) -> None:
        calls.append(payload)

    flow = Workflow(name="patient.v1", run=run)
    async with open_workflows(database, [flow], options=SOON) as workflows:
        await workflows.start("w-1", "patient.v1", "x")
        due = await _due(workflows)
    async with open_workflows(database, [flow], options=SOON) as workflows:
        again = await _due(workflows)
        await reached(workflows, "w-1", "succeeded")
        late = dt.datetime.now(dt.UTC) - due

    assert due == again
    assert late >= dt.timedelta(0)
    assert calls == ["x", "x"], "the first try was not made again"


async def _due(workflows: Workflows) -> dt.datetime:
    while True:
        state = await workflows.status("w-1")
        if state is not None and state.next_wake_at is not None:
            return state.next_wake_at
        await asyncio.sleep(0.02)


async def test_DUR_04_parallel_steps_have_the_same_numbers_whichever_ends_first(  # noqa: N802
    sqlite: WorkflowDatabase,
) -> None:
    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def run(payload: Any) -> None:
        await asyncio.gather(
            *(
                DBOS.run_step_async({"name": f"branch {index}"}, wait, seconds)
                for index, seconds in enumerate(payload)
            )
        )

    async with open_workflows(sqlite, [Workflow(name="fork.v1", run=run)]) as workflows:
        await workflows.start("w-1", "fork.v1", [0.0, 0.2])
        await workflows.start("w-2", "fork.v1", [0.2, 0.0])
        states = [await reached(workflows, name, "succeeded") for name in ("w-1", "w-2")]

    numbers = [[(step.number, step.name) for step in state.steps] for state in states]
    assert numbers[0] == numbers[1]
    assert [name for _, name in numbers[0]] == ["branch 0", "branch 1"]


async def test_DUR_06_changed_code_goes_on_with_what_older_code_began(  # noqa: N802
    database: WorkflowDatabase,
) -> None:
    gate = asyncio.Event()

    async def older(payload: Any) -> str:
        await gate.wait()
        return f"older {payload}"

    async def newer(payload: Any) -> str:
        return f"newer {payload}"

    old, new = (Workflow(name="edited.v1", run=run) for run in (older, newer))
    async with open_workflows(database, [old], options=SOON) as workflows:
        await workflows.start("w-1", "edited.v1", "x")
        version = (await DBOS.list_workflows_async(workflow_ids=["w-1"]))[0].app_version
    async with open_workflows(database, [new], options=SOON) as workflows:
        state = await reached(workflows, "w-1", "succeeded")

    assert version == APPLICATION_VERSION
    assert state.result == "newer x"


def test_DUR_11_the_port_is_as_wide_as_it_was_meant_to_be() -> None:  # noqa: N802
    """Flows are plain code of the engine: what is not here needs no second engine to have it."""
    verbs = {name for name in vars(Workflows) if not name.startswith("_")}

    assert verbs == {
        "start",
        "run",
        "wait",
        "status",
        "list_dead",
        "replay",
        "discard",
        "schedule",
        "signal",
        "names",
        "available",
    }
