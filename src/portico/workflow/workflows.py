"""The port to the engine: start, status, dead letters, replay, discard, schedule, signal.

Workflows themselves are plain DBOS code; this is for those who start them and look after them.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID
from sqlalchemy.exc import SQLAlchemyError

from portico.problems import UNAVAILABLE, Problem
from portico.trace import Trace, current
from portico.workflow.definition import Schedule
from portico.workflow.errors import UnknownWorkflowError
from portico.workflow.journal import MAX_LISTED, Journal, Position
from portico.workflow.leases import Leases
from portico.workflow.state import POISON, WorkflowState, state_from
from portico.workflow.transactions import Transactions

if TYPE_CHECKING:
    from portico.workflow.engine import Registered

# What a sender is told to wait when the database is away; a restart takes about that long.
RETRY_AFTER_SECONDS = 10
# The queue whose partitions are lanes.
LANES = "portico-lanes"
# How soon a workflow that another process runs is seen to have ended.
_POLL_SECONDS = 0.05


class Workflows:
    """The workflows of an application; every process of it sees the same ones."""

    def __init__(
        self,
        registered: Mapping[str, Registered],
        leases: Leases,
        transactions: Transactions,
        journal: Journal,
        start_timeout_seconds: float,
    ) -> None:
        self._registered = registered
        self._leases = leases
        self._start_timeout_seconds = start_timeout_seconds
        self._starting: set[asyncio.Task[object]] = set()
        self._journal = journal
        self.transactions = transactions

    @property
    def names(self) -> Sequence[str]:
        return sorted(self._registered)

    @property
    def available(self) -> bool:
        """Return whether the database answered lately."""
        return self._leases.healthy

    async def start(self, workflow_id: str, name: str, payload: object, *, lane: str = "") -> str:
        """Start a workflow unless one of this id exists, and return the id once that is durable.

        Those of one `lane` run one after the other, over all processes. Raises
        UnknownWorkflowError, and Problem 503 when the database does not answer in time; the start
        may be repeated with the same id.
        """
        await self._begin(workflow_id, name, payload, lane)
        return workflow_id

    async def run(
        self, workflow_id: str, name: str, payload: object, *, seconds: float
    ) -> WorkflowState:
        """Start a workflow like `start`; return it at its end, or as it is after `seconds`."""
        handle = await self._begin(workflow_id, name, payload, "")
        return await self._at_end(handle, workflow_id, seconds)

    async def wait(self, workflow_id: str, *, seconds: float) -> WorkflowState:
        """Return a workflow that there is at its end, or as it is after `seconds`.

        Raises Problem 503 when the database does not answer.
        """
        try:
            handle: Any = await DBOS.retrieve_workflow_async(workflow_id)
        except (SQLAlchemyError, OSError) as error:
            self._leases.lost()
            raise _unavailable() from error
        return await self._at_end(handle, workflow_id, seconds)

    async def _begin(self, workflow_id: str, name: str, payload: object, lane: str) -> Any:
        """Return the engine's handle of a workflow once its start is durable."""
        function = self._find(name).start
        if not self.available:
            # Calls that would hang keep the few threads from those that would not.
            raise _unavailable()
        starting: asyncio.Task[object] = asyncio.create_task(
            _start(function, workflow_id, payload, lane, current().child()),
            # Whoever starts it, also a step of a workflow, it is nobody's child: a run that is
            # done again finds it by its id.
            context=contextvars.Context(),
        )
        self._starting.add(starting)
        starting.add_done_callback(self._settled)
        # It is never cancelled: cut off between its row and its task, it would not run.
        done, _ = await asyncio.wait([starting], timeout=self._start_timeout_seconds)
        if not done:
            raise _unavailable()
        try:
            return starting.result()
        except (SQLAlchemyError, OSError) as error:
            self._leases.lost()
            raise _unavailable() from error

    async def _at_end(self, handle: Any, workflow_id: str, seconds: float) -> WorkflowState:
        result = asyncio.create_task(
            handle.get_result(polling_interval_sec=_POLL_SECONDS),
            # Whoever waits, also a step of a workflow, does not note that it did.
            context=contextvars.Context(),
        )
        result.add_done_callback(_seen)
        try:
            await asyncio.wait([result], timeout=seconds)
        finally:
            result.cancel()  # the waiting, not the workflow
        state = await self.status(workflow_id)
        if state is None:
            raise LookupError(f"the workflow {workflow_id} was deleted meanwhile")
        return state

    async def status(self, workflow_id: str) -> WorkflowState | None:
        """Return a workflow with its steps, None if there is none of this id.

        Raises Problem 503 when the database does not answer.
        """
        try:
            status = await DBOS.get_workflow_status_async(workflow_id)
            if status is None:
                return None
            return state_from(status, await DBOS.list_workflow_steps_async(workflow_id))
        except (SQLAlchemyError, OSError) as error:
            self._leases.lost()
            raise _unavailable() from error

    async def list_dead(
        self,
        name: str | None = None,
        *,
        after: Position | None = None,
        limit: int = MAX_LISTED,
    ) -> list[WorkflowState]:
        """Return a page of the dead letters, in the order they died and without their steps.

        It begins after a position, which `position_of` returns of the last one of the page before.
        """
        ids = await self._journal.dead_after(after or Position(), limit, names=_names(name))
        if not ids:
            return []
        found = {one.workflow_id: one for one in await DBOS.list_workflows_async(workflow_ids=ids)}
        # One that was replayed in between is none any more.
        states = [state_from(found[one]) for one in ids if one in found]
        return [state for state in states if state.phase == "dead"]

    async def replay(self, workflow_id: str) -> bool:
        """Run a dead workflow again from the step that failed; False if it is not dead.

        It keeps its id and with it the keys of its steps: what took effect does not again.
        """
        state = await self.status(workflow_id)
        if state is None or state.phase != "dead":
            return False
        first = state.first_failed_step()
        if state.error != POISON:
            # Of one whose process was ended, what follows may be committed and not in the journal.
            await self.transactions.forget([workflow_id], first)
        await DBOS.rewind_workflow_async(workflow_id, start_step=first)
        return True

    async def discard(self, workflow_id: str) -> bool:
        """Delete a dead workflow; False if it is not dead."""
        state = await self.status(workflow_id)
        if state is None or state.phase != "dead":
            return False
        await DBOS.delete_workflows_async([workflow_id])
        await self.transactions.forget([workflow_id])
        return True

    async def schedule(self, schedule: Schedule) -> None:
        """Create a schedule, or replace the one of its name."""
        function = self._find(schedule.workflow).scheduled
        await DBOS.apply_schedules_async(
            [
                {
                    "schedule_name": schedule.name,
                    "workflow_fn": function,
                    "schedule": schedule.cron,
                    "context": dict(schedule.payload),
                    "cron_timezone": schedule.timezone,
                }
            ]
        )

    async def signal(
        self, workflow_id: str, topic: str, message: object, *, signal_id: str | None = None
    ) -> None:
        """Send a workflow what it waits for with `DBOS.recv_async(topic)`.

        A signal of the same `signal_id` arrives once.
        """
        await DBOS.send_async(workflow_id, message, topic, idempotency_key=signal_id)

    def _find(self, name: str) -> Registered:
        found = self._registered.get(name)
        if found is None:
            raise UnknownWorkflowError(
                f"there is no workflow {name}; they are {', '.join(self.names)}"
            )
        return found

    def _settled(self, starting: asyncio.Task[object]) -> None:
        self._starting.discard(starting)
        _seen(starting)

    def __repr__(self) -> str:
        return f"<Workflows {len(self._registered)} definitions, available={self.available}>"


def position_of(state: WorkflowState) -> Position:
    """Return the place of a dead workflow in their list."""
    return Position(
        died_at=round(state.updated_at.timestamp() * 1000), workflow_id=state.workflow_id
    )


async def _start(function: Any, workflow_id: str, payload: object, lane: str, trace: Trace) -> Any:
    # In the journal it survives with the workflow: the calls of its steps continue it.
    _, parent = trace.headers()[0]
    with SetWorkflowID(workflow_id):
        if not lane:
            return await DBOS.start_workflow_async(function, payload, trace=parent)
        with SetEnqueueOptions(queue_partition_key=lane):
            return await DBOS.enqueue_workflow_async(LANES, function, payload, trace=parent)


def _seen(task: asyncio.Task[Any]) -> None:
    """Take note of how a task ended: whoever waited has seen it; nobody else will."""
    if not task.cancelled():
        task.exception()


def _unavailable() -> Problem:
    return Problem(
        UNAVAILABLE,
        "the workflow database does not answer; nothing is lost if this is sent again",
        headers=[("Retry-After", str(RETRY_AFTER_SECONDS))],
    )


def _names(name: str | None) -> list[str] | None:
    """Return both names of a workflow: started by a caller, and by the clock."""
    return None if name is None else [name, f"{name}@schedule"]
