"""What the journal says of a workflow, in words that do not name the engine."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbos import StepInfo, WorkflowStatus

from portico.workflow.traces import trace_of

_PHASES: Mapping[str, str] = {
    "PENDING": "running",
    "ENQUEUED": "waiting",
    "DELAYED": "waiting",
    "SUCCESS": "succeeded",
    "CANCELLED": "cancelled",
    "ERROR": "dead",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "dead",
}
POISON = "the process ended each time the workflow was run"
_SLEEP = "DBOS.sleep"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """A step that has an outcome."""

    number: int
    name: str
    started_at: dt.datetime | None
    outcome: Any
    error: str

    @property
    def failed(self) -> bool:
        """Tell whether the step raised, or has an outcome that says so."""
        said = isinstance(self.outcome, dict) and self.outcome.get("failed") is True
        return bool(self.error) or said


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowState:
    """A workflow: `phase` is running, waiting, succeeded, cancelled or dead."""

    workflow_id: str
    name: str
    phase: str
    created_at: dt.datetime
    updated_at: dt.datetime
    attempts: int
    payload: Any
    result: Any
    error: str
    trace_id: str
    steps: Sequence[StepState] = ()

    @property
    def next_wake_at(self) -> dt.datetime | None:
        """Return when a sleeping workflow goes on, None where it does not sleep."""
        if self.phase != "running" or not self.steps or self.steps[-1].name != _SLEEP:
            return None
        at = _from_seconds(self.steps[-1].outcome)
        return at if at is not None and at > dt.datetime.now(dt.UTC) else None

    def first_failed_step(self) -> int:
        """Return the step that a replay begins with.

        Where its process was ended each time nothing failed: what follows the last step. Else

        1. The first of the failed steps, in a row, that it ended with: what came before has
           happened, also what failed at first and was made good by a further try.
        2. Otherwise the first step that raised, or whose outcome says that it failed.
        3. Otherwise what follows the last step.
        """
        if self.error == POISON:
            return self.steps[-1].number + 1 if self.steps else 1
        at_the_end = self._failed_at_the_end()
        if at_the_end:
            return at_the_end[-1].number
        for step in self.steps:
            if step.failed:
                return step.number
        return self.steps[-1].number + 1 if self.steps else 1

    def _failed_at_the_end(self) -> Sequence[StepState]:
        """Return the steps that failed after the last that did not, the last first."""
        tried = [step for step in reversed(self.steps) if step.name != _SLEEP]
        return list(itertools.takewhile(lambda step: step.failed, tried))


def state_from(status: WorkflowStatus, steps: Sequence[StepInfo] = ()) -> WorkflowState:
    """Return what the engine knows."""
    error = str(status.error) if status.error is not None else ""
    if status.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        error = POISON
    arguments = status.input["args"] if status.input else ()
    named = status.input["kwargs"] if status.input else {}
    return WorkflowState(
        workflow_id=status.workflow_id,
        name=status.name.removesuffix("@schedule"),
        phase=_PHASES[status.status],
        created_at=_time(status.created_at),
        updated_at=_time(status.updated_at),
        attempts=status.recovery_attempts or 1,
        payload=arguments[-1] if arguments else None,
        result=status.output,
        error=error,
        steps=tuple(_step(step) for step in steps),
        trace_id=trace_of(status.workflow_id, str(named.get("trace", ""))).trace_id,
    )


def _step(step: StepInfo) -> StepState:
    started = step.get("started_at_epoch_ms")
    return StepState(
        number=step["function_id"],
        name=step["function_name"],
        started_at=_time(started) if started else None,
        outcome=step["output"],
        error=str(step["error"]) if step["error"] is not None else "",
    )


def _time(milliseconds: int | None) -> dt.datetime:
    return dt.datetime.fromtimestamp((milliseconds or 0) / 1000, dt.UTC)


def _from_seconds(value: object) -> dt.datetime | None:
    return dt.datetime.fromtimestamp(value, dt.UTC) if isinstance(value, int | float) else None
