"""A dead letter, whatever it was before."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from typing import Any, Literal

from portico.events.bus import DeadEvent
from portico.webhooks.delivery import NAME as WEBHOOK_DELIVERY
from portico.workflow.state import WorkflowState

Kind = Literal["workflow", "webhook", "event"]
# What differs between two failures of one cause: numbers and identifiers.
_PARTICULAR = re.compile(r"\b(?:[0-9a-f-]{8,}|[\w-]*\d[\w-]*)\b", re.IGNORECASE)
_STATUS = re.compile(r"[345]\d\d\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Something that is not done, and that nothing does until a person decides.

    `name` is the workflow, or the group and type of an event; `cause` what the last attempt said.
    """

    letter_id: str
    kind: Kind
    name: str
    cause: str
    attempts: int
    died_at: dt.datetime
    payload: Any

    @property
    def incident_id(self) -> str:
        """Return what letters of one trouble have in common: kind, name and kind of cause.

        Statuses stay, as 503 and 422 are two troubles; identifiers go.
        """
        general = _PARTICULAR.sub(_general, self.cause)
        trouble = f"{self.kind}\n{self.name}\n{general}"
        return hashlib.sha256(trouble.encode()).hexdigest()[:32]


def _general(match: re.Match[str]) -> str:
    text = match[0]
    return text if _STATUS.match(text) else "#"


def from_workflow(state: WorkflowState) -> DeadLetter:
    """Return the letter of a dead workflow; a delivery is one of a webhook."""
    is_delivery = state.name == WEBHOOK_DELIVERY
    return DeadLetter(
        letter_id=f"{'webhook' if is_delivery else 'workflow'}:{state.workflow_id}",
        kind="webhook" if is_delivery else "workflow",
        name=str(state.payload["subscriber"]) if is_delivery else state.name,
        cause=state.error,
        attempts=state.attempts,
        died_at=state.updated_at,
        payload=state.payload,
    )


def from_event(event: DeadEvent) -> DeadLetter:
    """Return the letter of an event that a group could not handle."""
    return DeadLetter(
        letter_id=f"event:{event.dead_id}",
        kind="event",
        name=f"{event.group} {event.event_type}",
        cause=event.error,
        attempts=event.deliveries,
        died_at=dt.datetime.fromtimestamp(event.died_at, dt.UTC),
        payload=event.payload.decode("utf-8", "replace"),
    )
