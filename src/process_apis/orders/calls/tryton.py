"""Calls to system/tryton.v1. Generated from the contract by `make codegen`; do not edit."""

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


class OrderedQuantity(TypedDict):
    """How much is ordered; more than nothing."""

    value: str
    uom: NotRequired[str]


class Price(TypedDict):
    """An amount of money that is not negative, as in what is asked for one unit."""

    amount: str
    currency: str


class NewOrderLine(TypedDict):
    """One product to order at a price already decided."""

    sku: str
    quantity: OrderedQuantity
    unitPrice: Price


class NewOrder(TypedDict):
    """An order for a system of record to take over, with customer and prices decided."""

    customerId: str
    currency: str
    poNumber: str
    requestedDelivery: NotRequired[str]
    lines: list[NewOrderLine]


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


class SalePage(TypedDict):
    """One page of sales."""

    items: list[Order]
    nextCursor: NotRequired[str]


async def get_customer(call: Call[R], *, customer_id: str) -> Customer:
    """Get a customer."""
    reply = await call.invoke("system/tryton.v1", "getCustomer", {"customerId": customer_id})
    return cast(Customer, reply.body)


async def create_sale(call: Call[R], *, body: NewOrder, step: str = "") -> Order:
    """Create a sale."""
    reply = await call.invoke("system/tryton.v1", "createSale", {}, body=body, step=step)
    return cast(Order, reply.body)


async def confirm_sale(call: Call[R], *, sale_id: str, step: str = "") -> Order:
    """Confirm a sale."""
    reply = await call.invoke("system/tryton.v1", "confirmSale", {"saleId": sale_id}, step=step)
    return cast(Order, reply.body)


async def cancel_sale(call: Call[R], *, sale_id: str, step: str = "") -> Order:
    """Cancel a sale."""
    reply = await call.invoke("system/tryton.v1", "cancelSale", {"saleId": sale_id}, step=step)
    return cast(Order, reply.body)


async def get_sale(call: Call[R], *, sale_id: str) -> Order:
    """Get a sale."""
    reply = await call.invoke("system/tryton.v1", "getSale", {"saleId": sale_id})
    return cast(Order, reply.body)


async def list_sales(
    call: Call[R],
    *,
    customer_id: str | None = None,
    po_number: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> SalePage:
    """List sales."""
    reply = await call.invoke(
        "system/tryton.v1",
        "listSales",
        {"customerId": customer_id, "poNumber": po_number, "limit": limit, "cursor": cursor},
    )
    return cast(SalePage, reply.body)
