"""Data of process/customer-360.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


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


class Money(TypedDict):
    """An amount in one currency."""

    amount: str
    currency: str


class Opportunity(TypedDict):
    """Something that may be sold, and how far its sale has come."""

    id: str
    version: NotRequired[int]
    externalIds: list[ExternalId]
    createdAt: NotRequired[str]
    updatedAt: NotRequired[str]
    deleted: NotRequired[bool]
    source: NotRequired[Source]
    extensions: NotRequired[dict[str, dict[str, object]]]
    type: Literal["opportunity"]
    name: str
    customerId: NotRequired[str]
    stage: str
    status: Literal["open", "won", "lost"]
    amount: NotRequired[Money]
    probability: NotRequired[int]
    closeDate: str
    nextStep: NotRequired[str]


class Quantity(TypedDict):
    """How much of something, as a decimal string with its unit."""

    value: str
    uom: str


class TaxAmount(TypedDict):
    """One tax on a line or a document."""

    category: str
    rate: NotRequired[str]
    base: NotRequired[Money]
    amount: NotRequired[Money]


class OrderLine(TypedDict):
    """One product on an order."""

    lineNo: int
    sku: str
    description: NotRequired[str]
    quantity: Quantity
    unitPrice: Money
    discount: NotRequired[Money]
    taxes: NotRequired[list[TaxAmount]]
    netAmount: Money
    shippedQty: NotRequired[Quantity]
    invoicedQty: NotRequired[Quantity]


class Charge(TypedDict):
    kind: Literal["shipping", "handling", "discount"]
    amount: Money
    taxes: NotRequired[list[TaxAmount]]


class OrderTotals(TypedDict):
    """Sums of the order."""

    net: Money
    tax: Money
    charges: NotRequired[Money]
    gross: Money


class Order(TypedDict):
    """What a customer has ordered, and how far it has come."""

    id: str
    version: NotRequired[int]
    externalIds: list[ExternalId]
    createdAt: NotRequired[str]
    updatedAt: NotRequired[str]
    deleted: NotRequired[bool]
    source: NotRequired[Source]
    extensions: NotRequired[dict[str, dict[str, object]]]
    type: Literal["order"]
    number: NotRequired[str]
    customerId: str
    currency: str
    orderedAt: str
    poNumber: NotRequired[str]
    channel: NotRequired[str]
    status: Literal["draft", "open", "confirmed", "on_hold", "completed", "cancelled"]
    fulfilmentStatus: NotRequired[Literal["none", "partial", "full"]]
    paymentStatus: NotRequired[Literal["none", "authorized", "partial", "paid", "refunded"]]
    lines: list[OrderLine]
    billTo: NotRequired[Address]
    shipTo: NotRequired[Address]
    requestedDelivery: NotRequired[str]
    charges: NotRequired[list[Charge]]
    totals: OrderTotals


class InvoiceLine(TypedDict):
    lineNo: int
    sku: NotRequired[str]
    description: NotRequired[str]
    quantity: NotRequired[Quantity]
    unitPrice: NotRequired[Money]
    netAmount: Money
    taxes: NotRequired[list[TaxAmount]]


class InvoiceTotals(TypedDict):
    """Sums of the invoice."""

    net: Money
    tax: Money
    gross: Money
    paid: Money
    due: Money


class Invoice(TypedDict):
    """What a customer is asked to pay, or is credited."""

    id: str
    version: NotRequired[int]
    externalIds: list[ExternalId]
    createdAt: NotRequired[str]
    updatedAt: NotRequired[str]
    deleted: NotRequired[bool]
    source: NotRequired[Source]
    extensions: NotRequired[dict[str, dict[str, object]]]
    type: Literal["invoice"]
    number: NotRequired[str]
    kind: Literal["invoice", "credit_note"]
    customerId: str
    issueDate: NotRequired[str]
    dueDate: NotRequired[str]
    currency: str
    status: Literal["draft", "issued", "partially_paid", "paid", "void"]
    orderIds: NotRequired[list[str]]
    lines: list[InvoiceLine]
    taxes: NotRequired[list[TaxAmount]]
    totals: InvoiceTotals


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


class UsedSource(TypedDict):
    """Where a piece of the profile comes from."""

    source: Literal["erp", "crm", "accounting", "billing"]
    asOf: str
    ageSeconds: int
    truncated: NotRequired[bool]


class MissingSource(TypedDict):
    """A source of which there is nothing."""

    source: Literal["erp", "crm", "accounting", "billing"]
    reason: Literal["unavailable", "deadline", "not_found"]


class CustomerProfile(TypedDict):
    """What the systems know of one customer."""

    customerId: str
    complete: bool
    customer: Customer
    people: NotRequired[list[Customer]]
    opportunities: NotRequired[list[Opportunity]]
    orders: NotRequired[list[Order]]
    invoices: NotRequired[list[Invoice]]
    balances: NotRequired[list[Money]]
    subscriptions: NotRequired[list[Subscription]]
    payments: NotRequired[list[Payment]]
    sources: list[UsedSource]
    missing: list[MissingSource]
