"""Calls to system/stripe.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, TypeVar, cast

if TYPE_CHECKING:
    from portico.server.call import Call

R = TypeVar("R")


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


class TaxId(TypedDict):
    scheme: str
    value: str
    country: NotRequired[str]


class PaymentTerms(TypedDict):
    """When the customer pays."""

    code: str
    days: NotRequired[int]


class Address(TypedDict):
    """A postal address."""

    id: NotRequired[str]
    role: NotRequired[Literal["billing", "shipping", "legal"]]
    attention: NotRequired[str]
    line1: NotRequired[str]
    line2: NotRequired[str]
    city: NotRequired[str]
    region: NotRequired[str]
    postalCode: NotRequired[str]
    country: NotRequired[str]


class Contact(TypedDict):
    kind: Literal["email", "phone", "mobile", "fax", "website", "other"]
    value: str


class Customer(TypedDict):
    """A person or an organization that buys."""

    id: str
    version: NotRequired[int]
    externalIds: list[ExternalId]
    createdAt: NotRequired[str]
    updatedAt: NotRequired[str]
    deleted: NotRequired[bool]
    source: NotRequired[Source]
    extensions: NotRequired[dict[str, dict[str, object]]]
    type: Literal["customer"]
    kind: Literal["person", "organization"]
    name: str
    legalName: NotRequired[str]
    givenName: NotRequired[str]
    familyName: NotRequired[str]
    email: NotRequired[str]
    phone: NotRequired[str]
    taxIds: NotRequired[list[TaxId]]
    status: Literal["prospect", "active", "inactive"]
    currency: NotRequired[str]
    language: NotRequired[str]
    paymentTerms: NotRequired[PaymentTerms]
    parentId: NotRequired[str]
    addresses: NotRequired[list[Address]]
    contacts: NotRequired[list[Contact]]


class CustomerPage(TypedDict):
    """One page of customers."""

    items: list[Customer]
    nextCursor: NotRequired[str]


class Money(TypedDict):
    """An amount in one currency."""

    amount: str
    currency: str


class SubscriptionItem(TypedDict):
    sku: str
    quantity: int
    unitPrice: NotRequired[Money]
    billedEvery: NotRequired[Literal["day", "week", "month", "year"]]


class Subscription(TypedDict):
    """What a customer pays for again and again."""

    id: str
    version: NotRequired[int]
    externalIds: list[ExternalId]
    createdAt: NotRequired[str]
    updatedAt: NotRequired[str]
    deleted: NotRequired[bool]
    source: NotRequired[Source]
    extensions: NotRequired[dict[str, dict[str, object]]]
    type: Literal["subscription"]
    customerId: str
    status: Literal["pending", "trial", "active", "past_due", "paused", "ended"]
    startedAt: NotRequired[str]
    endedAt: NotRequired[str]
    latestInvoiceId: NotRequired[str]
    items: list[SubscriptionItem]


class SubscriptionPage(TypedDict):
    """One page of subscriptions."""

    items: list[Subscription]
    nextCursor: NotRequired[str]


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


class PaymentPage(TypedDict):
    """One page of payments."""

    items: list[Payment]
    nextCursor: NotRequired[str]


async def list_customers(
    call: Call[R],
    *,
    email: str | None = None,
    external_key: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> CustomerPage:
    """List customers."""
    reply = await call.invoke(
        "system/stripe.v1",
        "listCustomers",
        {"email": email, "externalKey": external_key, "limit": limit, "cursor": cursor},
    )
    return cast(CustomerPage, reply.body)


async def list_subscriptions(
    call: Call[R],
    *,
    customer_id: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> SubscriptionPage:
    """List subscriptions."""
    reply = await call.invoke(
        "system/stripe.v1",
        "listSubscriptions",
        {"customerId": customer_id, "limit": limit, "cursor": cursor},
    )
    return cast(SubscriptionPage, reply.body)


async def list_payments(
    call: Call[R],
    *,
    customer_id: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> PaymentPage:
    """List payments."""
    reply = await call.invoke(
        "system/stripe.v1",
        "listPayments",
        {"customerId": customer_id, "limit": limit, "cursor": cursor},
    )
    return cast(PaymentPage, reply.body)
