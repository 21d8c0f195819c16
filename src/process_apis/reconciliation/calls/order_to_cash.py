"""Calls to process/order-to-cash.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, TypeVar, cast

if TYPE_CHECKING:
    from portico.server.call import Call

R = TypeVar("R")


class NewRun(TypedDict):
    """What is to be brought to the books."""

    subscriptionId: str


class BookedInvoice(TypedDict):
    """The invoice, once there is one."""

    id: str
    number: str


class RunStep(TypedDict):
    """Something that is done in one of the systems."""

    step: str
    tries: int
    failed: bool


class Run(TypedDict):
    """A subscription on its way to the books."""

    id: str
    subscriptionId: NotRequired[str]
    phase: Literal["running", "done", "refused", "ignored", "dead", "cancelled"]
    attempts: int
    nextTryAt: NotRequired[str]
    cause: NotRequired[str]
    invoice: NotRequired[BookedInvoice]
    opportunityId: NotRequired[str]
    steps: list[RunStep]


async def start_order_to_cash(call: Call[R], *, body: NewRun, step: str = "") -> Run:
    """Start a run."""
    reply = await call.invoke(
        "process/order-to-cash.v1", "startOrderToCash", {}, body=body, step=step
    )
    return cast(Run, reply.body)
