"""Data of experience/operations.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class DeadLetter(TypedDict):
    """Work that failed for good."""

    id: str
    kind: Literal["workflow", "webhook", "event"]
    name: str
    cause: str
    attempts: int
    diedAt: str
    incidentId: str


class DeadLetterList(TypedDict):
    """A page of dead letters, the oldest first."""

    nextCursor: NotRequired[str]
    items: list[DeadLetter]


class Deed(TypedDict):
    """Something a person did."""

    at: str
    actor: str
    action: Literal["replay", "discard"]
    detail: str


class DeadLetterDetail(TypedDict):
    """A dead letter with what it was about."""

    id: str
    kind: Literal["workflow", "webhook", "event"]
    name: str
    cause: str
    attempts: int
    diedAt: str
    incidentId: str
    payload: NotRequired[object]
    history: list[Deed]


class ReplayReport(TypedDict):
    """What will be done again."""

    replayed: int
    remaining: int


class WorkflowStep(TypedDict):
    """A step that came to an end."""

    number: int
    name: str
    failed: bool
    startedAt: NotRequired[str]


class Workflow(TypedDict):
    """A workflow and how far it came."""

    id: str
    name: str
    phase: Literal["running", "waiting", "succeeded", "cancelled", "dead"]
    createdAt: str
    updatedAt: str
    attempts: int
    traceId: str
    nextWakeAt: NotRequired[str]
    error: NotRequired[str]
    steps: list[WorkflowStep]


class WebhookSubscriber(TypedDict):
    """A receiver of events."""

    name: str
    types: list[str]
    ordered: bool
    disabledBecause: NotRequired[str]


class SubscriberList(TypedDict):
    """The configured subscribers."""

    items: list[WebhookSubscriber]
