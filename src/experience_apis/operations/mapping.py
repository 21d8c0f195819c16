"""Dead letters and workflows in the words of the contract."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from experience_apis.operations import models
from portico.dead_letters.audit import Entry
from portico.dead_letters.letter import DeadLetter
from portico.webhooks.subscribers import Subscriber
from portico.workflow.state import StepState, WorkflowState


def letter(found: DeadLetter) -> models.DeadLetter:
    """Return a letter without its payload."""
    return {
        "id": found.letter_id,
        "kind": found.kind,
        "name": found.name,
        "cause": found.cause[:10_000],
        "attempts": found.attempts,
        "diedAt": _time(found.died_at),
        "incidentId": found.incident_id,
    }


def detail(found: DeadLetter, history: Sequence[Entry]) -> dict[str, Any]:
    """Return a letter with its payload and its history."""
    deeds = [
        {"at": deed.at, "actor": deed.actor, "action": deed.action, "detail": deed.detail[:20_000]}
        for deed in history
    ]
    return {**letter(found), "payload": found.payload, "history": deeds}


def workflow(state: WorkflowState) -> dict[str, Any]:
    """Return a workflow; what steps returned is not shown, it may be personal."""
    shown: dict[str, Any] = {
        "id": state.workflow_id,
        "name": state.name,
        "phase": state.phase,
        "createdAt": _time(state.created_at),
        "updatedAt": _time(state.updated_at),
        "attempts": state.attempts,
        "traceId": state.trace_id,
        "steps": [_step(step) for step in state.steps],
    }
    if state.next_wake_at is not None:
        shown["nextWakeAt"] = _time(state.next_wake_at)
    if state.error:
        shown["error"] = state.error[:10_000]
    return shown


def _step(step: StepState) -> dict[str, Any]:
    shown: dict[str, Any] = {"number": step.number, "name": step.name, "failed": step.failed}
    if step.started_at is not None:
        shown["startedAt"] = _time(step.started_at)
    return shown


def subscriber(found: Subscriber, disabled: Mapping[str, str]) -> dict[str, Any]:
    """Return a subscriber without its address."""
    shown: dict[str, Any] = {
        "name": found.name,
        "types": list(found.types),
        "ordered": found.ordered,
    }
    if found.name in disabled:
        shown["disabledBecause"] = disabled[found.name][:10_000]
    return shown


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
