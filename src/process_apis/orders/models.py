"""Data of process/orders.v1. Generated from the contract by `make codegen`; do not edit."""

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


class Quantity(TypedDict):
    """How much of something, as a decimal string with its unit."""

    value: str
    uom: str


class Money(TypedDict):
    """An amount in one currency."""

    amount: str
    currency: str


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


class OrderPage(TypedDict):
    """One page of orders."""

    items: list[Order]
    nextCursor: NotRequired[str]


class CardPayment(TypedDict):
    """Who in Stripe pays, and with what."""

    payerId: str
    paymentToken: str


class OrderedQuantity(TypedDict):
    """How much is ordered; more than nothing."""

    value: str
    uom: NotRequired[str]


class OrderRequestLine(TypedDict):
    """One product to order."""

    sku: str
    quantity: OrderedQuantity


class OrderRequest(TypedDict):
    """What a customer wants; prices and currency follow from the catalogue."""

    customerId: str
    poNumber: NotRequired[str]
    requestedDelivery: NotRequired[str]
    onShortage: Literal["backorder", "refuse"]
    payment: NotRequired[CardPayment]
    lines: list[OrderRequestLine]


class PlacementStep(TypedDict):
    """Something that is done in one of the systems."""

    step: str
    tries: int
    failed: bool


class Placement(TypedDict):
    """An order on its way to be placed."""

    id: str
    type: Literal["placement"]
    phase: Literal["placing", "placed", "refused", "dead"]
    customerId: str
    poNumber: str
    attempts: int
    nextTryAt: NotRequired[str]
    cause: NotRequired[str]
    orderId: NotRequired[str]
    paymentId: NotRequired[str]
    steps: list[PlacementStep]
