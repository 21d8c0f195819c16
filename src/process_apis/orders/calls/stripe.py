"""Calls to system/stripe.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, TypeVar, cast

if TYPE_CHECKING:
    from portico.server.call import Call

R = TypeVar("R")


class Price(TypedDict):
    """An amount for one unit, in whole minor units of its currency."""

    amount: str
    currency: str


class NewPayment(TypedDict):
    """What is to be paid."""

    customerId: str
    amount: Price
    capture: NotRequired[Literal["automatic", "manual"]]
    paymentToken: NotRequired[str]
    invoiceId: NotRequired[str]


class ExternalId(TypedDict):
    """The name of a record in a system."""

    system: str
    instance: str
    entity: str
    id: str
    role: NotRequired[str]


class Source(TypedDict):
    """The system a record was read from, and the version it had there."""

    system: str
    instance: str
    version: NotRequired[str]


class Money(TypedDict):
    """An amount in one currency."""

    amount: str
    currency: str


class PaymentProvider(TypedDict):
    """Who moved the money and what they call it."""

    name: str
    reference: str


class Payment(TypedDict):
    """Money received from a customer or returned to one."""

    id: str
    version: NotRequired[int]
    externalIds: list[ExternalId]
    createdAt: NotRequired[str]
    updatedAt: NotRequired[str]
    deleted: NotRequired[bool]
    source: NotRequired[Source]
    extensions: NotRequired[dict[str, dict[str, object]]]
    type: Literal["payment"]
    customerId: str
    amount: Money
    method: Literal["card", "bank_transfer", "direct_debit", "cash", "wallet", "credit", "other"]
    status: Literal["pending", "authorized", "captured", "failed", "cancelled", "refunded"]
    invoiceIds: NotRequired[list[str]]
    provider: NotRequired[PaymentProvider]
    paidAt: NotRequired[str]


async def put_payment(
    call: Call[R], *, external_key: str, body: NewPayment, step: str = ""
) -> Payment:
    """Create a payment."""
    reply = await call.invoke(
        "system/stripe.v1", "putPayment", {"externalKey": external_key}, body=body, step=step
    )
    return cast(Payment, reply.body)


async def capture_payment(call: Call[R], *, payment_id: str, step: str = "") -> Payment:
    """Capture a payment."""
    reply = await call.invoke(
        "system/stripe.v1", "capturePayment", {"paymentId": payment_id}, step=step
    )
    return cast(Payment, reply.body)


async def cancel_payment(call: Call[R], *, payment_id: str, step: str = "") -> Payment:
    """Cancel a payment."""
    reply = await call.invoke(
        "system/stripe.v1", "cancelPayment", {"paymentId": payment_id}, step=step
    )
    return cast(Payment, reply.body)
