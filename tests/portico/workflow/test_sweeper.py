"""Who takes over: leases, and the engine's private call that recovery depends on."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from dbos import DBOS

from portico.workflow.definition import Workflow
from portico.workflow.engine import WorkflowOptions, open_workflows
from portico.workflow.leases import Leases
from portico.workflow.tables import EXECUTOR_LEASES
from tests.portico.workflow.waiting import reached
from tests.support.until import until

if TYPE_CHECKING:
    from portico.workflow.database import WorkflowDatabase

pytestmark = pytest.mark.anyio
LEASE_SECONDS = 0.6


def waiting(gate: asyncio.Event, calls: list[str]) -> Workflow:
    async def run(payload: Any) -> str:
        calls.append(payload)
        await gate.wait()
        return "done"

    return Workflow(name="wait.v1", run=run)


async def _disown(engine: Any, workflow_id: str, executor_id: str) -> None:
    """Write into the journal that another process runs the workflow."""
    table = "workflow_status" if engine.dialect.name == "sqlite" else "dbos.workflow_status"
    async with engine.begin() as connection:
        await connection.execute(
            sa.text(
                f"update {table} set executor_id = :executor, owner_xid = 'another' "
                "where workflow_uuid = :id"
            ),
            {"executor": executor_id, "id": workflow_id},
        )


def test_the_private_call_is_still_the_one_that_was_read() -> None:
    """The version is pinned to 3.4; this fails when another one is installed that differs."""
    parameters = inspect.signature(DBOS._recover_pending_workflows).parameters

    assert list(parameters) == ["executor_ids"]


async def test_workflows_of_an_executor_without_a_lease_are_taken_over(
    database: WorkflowDatabase,
) -> None:
    gate, calls = asyncio.Event(), list[str]()
    options = WorkflowOptions(lease_seconds=LEASE_SECONDS)

    async with open_workflows(database, [waiting(gate, calls)], options=options) as workflows:
        await workflows.start("w-1", "wait.v1", "x")
        await reached(workflows, "w-1", "running")
        await _disown(workflows.transactions.engine, "w-1", "gone")
        gate.set()
        state = await reached(workflows, "w-1", "succeeded")

    assert state.result == "done"
    assert state.attempts == 2
    assert len(calls) == 2


async def test_workflows_of_a_live_executor_are_left_alone(database: WorkflowDatabase) -> None:
    gate, calls = asyncio.Event(), list[str]()
    options = WorkflowOptions(lease_seconds=LEASE_SECONDS)

    async with open_workflows(database, [waiting(gate, calls)], options=options) as workflows:
        engine = workflows.transactions.engine
        other = Leases(database, engine, "alive", 60.0)
        await other.renew()
        await workflows.start("w-1", "wait.v1", "x")
        await reached(workflows, "w-1", "running")
        await _disown(engine, "w-1", "alive")
        await asyncio.sleep(3 * LEASE_SECONDS)
        state = await workflows.status("w-1")

    assert state is not None
    assert (state.phase, len(calls)) == ("running", 1)


async def test_a_workflow_that_nobody_here_runs_is_taken_up_again(
    database: WorkflowDatabase,
) -> None:
    """A start leaves one when the database commits and the answer is lost."""
    gate, calls = asyncio.Event(), list[str]()
    options = WorkflowOptions(lease_seconds=LEASE_SECONDS)

    async with open_workflows(database, [waiting(gate, calls)], options=options) as workflows:
        await workflows.start("w-1", "wait.v1", "x")
        task = next(task for task in asyncio.all_tasks() if "_execute_workflow" in repr(task))
        task.cancel()  # before it began: the journal has it as running here
        await asyncio.wait([task])
        gate.set()
        state = await reached(workflows, "w-1", "succeeded")

    assert state.result == "done"
    assert calls == ["x"]


async def test_what_a_process_left_that_stopped_is_taken_over_without_waiting_for_its_lease(
    database: WorkflowDatabase,
) -> None:
    """It gave its lease back; that of one that was killed has to end first."""
    gate, calls = asyncio.Event(), list[str]()
    options = WorkflowOptions(lease_seconds=12.0)
    flow = waiting(gate, calls)
    async with open_workflows(database, [flow], options=options) as workflows:
        await workflows.start("stopped", "wait.v1", "stopped")
        await workflows.start("killed", "wait.v1", "killed")
        await until(lambda: len(calls) == 2)
        engine = workflows.transactions.engine
        await Leases(database, engine, "killed", 0.1).renew()
        await _disown(engine, "killed", "killed")
    gate.set()
    async with open_workflows(database, [flow], options=options) as workflows:
        await reached(workflows, "stopped", "succeeded")
        other = await workflows.status("killed")

    assert other is not None
    assert other.phase == "running"


async def test_nothing_is_taken_over_before_renewals_worked_for_a_whole_lease(
    sqlite: WorkflowDatabase,
) -> None:
    engine = sqlite.open()
    try:
        leases = Leases(sqlite, engine, "me", 0.2)
        async with engine.begin() as connection:
            await connection.run_sync(EXECUTOR_LEASES.create)
        before = leases.healthy, leases.settled()
        await leases.renew()
        first = leases.healthy, leases.settled()
        await asyncio.sleep(0.25)
        settled = leases.settled()
        leases.lost()
        after = leases.healthy, leases.settled()
        live = await leases.live()
        await leases.renew()
        alive = await leases.live()
        await leases.release()
        released = await leases.live()
    finally:
        await engine.dispose()

    assert before == (False, False)
    assert first == (True, False)
    assert settled is True
    assert after == (False, False)
    assert (live, alive, released) == (set(), {"me"}, set())


async def test_a_poison_pill_becomes_a_dead_letter(database: WorkflowDatabase) -> None:
    """A workflow whose process ends each time is not started for ever."""
    gate, calls = asyncio.Event(), list[str]()
    options = WorkflowOptions(lease_seconds=LEASE_SECONDS)

    async with open_workflows(database, [waiting(gate, calls)], options=options) as workflows:
        await workflows.start("w-1", "wait.v1", "x")
        await reached(workflows, "w-1", "running")
        engine = workflows.transactions.engine
        await _set_attempts(engine, 6)
        await _disown(engine, "w-1", "gone")
        state = await reached(workflows, "w-1", "dead")
        dead = await workflows.list_dead()

    assert state.error == "the process ended each time the workflow was run"
    assert [letter.workflow_id for letter in dead] == ["w-1"]


async def test_ends_in_order_do_not_make_a_poison_pill(database: WorkflowDatabase) -> None:
    """What waits for days is taken up after each deployment."""
    gate, calls = asyncio.Event(), list[str]()
    options = WorkflowOptions(lease_seconds=LEASE_SECONDS)
    async with open_workflows(database, [waiting(gate, calls)], options=options) as workflows:
        await workflows.start("w-1", "wait.v1", "x")
        await reached(workflows, "w-1", "running")
        await _set_attempts(workflows.transactions.engine, 5)

    gate.set()
    async with open_workflows(database, [waiting(gate, calls)], options=options) as workflows:
        state = await reached(workflows, "w-1", "succeeded")

    assert state.attempts == 2, "since the last end in order"


async def _set_attempts(engine: Any, count: int) -> None:
    table = "workflow_status" if engine.dialect.name == "sqlite" else "dbos.workflow_status"
    async with engine.begin() as connection:
        await connection.execute(sa.text(f"update {table} set recovery_attempts = {count}"))


async def test_a_write_and_its_step_are_one_transaction(database: WorkflowDatabase) -> None:
    """Run again after a crash, the step is not made again and the write is there once."""
    calls: list[str] = []
    crash = True

    async def run(payload: Any) -> Any:
        del payload
        nonlocal crash
        count = await workflows.transactions.run("count", count_up)
        if crash:
            crash = False
            raise RuntimeError("after the commit")
        return count

    async def count_up(session: Any) -> int:
        calls.append("count")
        await session.execute(sa.text("insert into counted values (1)"))
        found = await session.execute(sa.text("select count(*) from counted"))
        return int(found.scalar_one())

    async with open_workflows(database, [Workflow(name="count.v1", run=run)]) as workflows:
        async with workflows.transactions.engine.begin() as connection:
            await connection.execute(sa.text("create table counted (one integer)"))
        await workflows.start("w-1", "count.v1", None)
        await reached(workflows, "w-1", "dead")
        await workflows.replay("w-1")
        state = await reached(workflows, "w-1", "succeeded")
        outside = await workflows.transactions.run("count", count_up)

    assert state.result == 1
    assert (calls, outside) == (["count", "count"], 2)


async def test_a_write_that_the_journal_missed_is_not_made_again_by_a_replay(
    database: WorkflowDatabase,
) -> None:
    """The process was killed between the commit and the note of it, and later too often."""
    gate, calls = asyncio.Event(), list[str]()

    async def run(payload: Any) -> Any:
        del payload
        count = await workflows.transactions.run("count", count_up)
        await gate.wait()
        return count

    async def count_up(_: Any) -> int:
        calls.append("count")
        return len(calls)

    options = WorkflowOptions(lease_seconds=LEASE_SECONDS)
    counting = Workflow(name="count.v1", run=run)
    async with open_workflows(database, [counting], options=options) as workflows:
        engine = workflows.transactions.engine
        await workflows.start("w-1", "count.v1", None)

        async def is_noted() -> bool:
            state = await workflows.status("w-1")
            return bool(state and state.steps)

        await until(is_noted)
        prefix = "" if engine.dialect.name == "sqlite" else "dbos."
        async with engine.begin() as connection:
            await connection.execute(sa.text(f"delete from {prefix}operation_outputs"))
        await _set_attempts(engine, 6)
        await _disown(engine, "w-1", "gone")
        await reached(workflows, "w-1", "dead")
        gate.set()
        await workflows.replay("w-1")
        state = await reached(workflows, "w-1", "succeeded")

    assert (calls, state.result) == (["count"], 1)
