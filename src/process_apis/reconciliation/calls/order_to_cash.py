"""Calls to process/order-to-cash.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, TypeVar, cast

if TYPE_CHECKING:
    from portico.server.call import Call

R = TypeVar("R")


class NewRun(TypedDict):
    """What is to be brought to the books; one thing."""

    subscriptionId: NotRequired[str]
    invoiceId: NotRequired[str]
    refundId: NotRequired[str]
    cancelSubscriptionId: NotRequired[str]


class BookedInvoice(TypedDict):
    """The invoice, once there is one."""

    id: str
    number: str
    status: NotRequired[Literal["draft", "issued", "partially_paid", "paid", "void"]]


class Money(TypedDict):
    """An amount in one currency."""

    amount: str
    currency: str


class Booked(TypedDict):
    """A document in the books."""

    id: str
    number: str
    amount: Money


class RunStep(TypedDict):
    """Something that is done in one of the systems."""

    step: str
    tries: int
    failed: bool


Run = TypedDict(  # noqa: UP013 - a member would hide a type of another
    "Run",
    {
        "id": "str",
        "kind": "NotRequired[Literal['billing', 'payment', 'refund', 'cancellation']]",
        "subscriptionId": "NotRequired[str]",
        "phase": "Literal['running', 'done', 'refused', 'ignored', 'dead', 'cancelled']",
        "attempts": "int",
        "nextTryAt": "NotRequired[str]",
        "cause": "NotRequired[str]",
        "invoice": "NotRequired[BookedInvoice]",
        "payments": "NotRequired[list[Booked]]",
        "refund": "NotRequired[Booked]",
        "credit": "NotRequired[Booked]",
        "opportunityId": "NotRequired[str]",
        "steps": "list[RunStep]",
    },
)


async def start_order_to_cash(call: Call[R], *, body: NewRun, step: str = "") -> Run:
    """Start a run."""
    reply = await call.invoke(
        "process/order-to-cash.v1", "startOrderToCash", {}, body=body, step=step
    )
    return cast(Run, reply.body)
