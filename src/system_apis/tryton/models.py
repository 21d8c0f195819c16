"""Data of system/tryton.v1. Generated from the contract by `make codegen`; do not edit."""

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


class CustomerPage(TypedDict):
    """One page of customers."""

    items: list[Customer]
    nextCursor: NotRequired[str]


class NewAddress(TypedDict):
    """A postal address."""

    role: Literal["billing", "shipping"]
    line1: NotRequired[str]
    city: NotRequired[str]
    postalCode: NotRequired[str]
    country: NotRequired[str]


class NewCustomer(TypedDict):
    """What a customer is to be."""

    name: NotRequired[str]
    email: NotRequired[str]
    phone: NotRequired[str]
    addresses: NotRequired[list[NewAddress]]


class ListPrice(TypedDict):
    list: str
    amount: str
    currency: str
    minQty: NotRequired[str]
    validFrom: NotRequired[str]
    validTo: NotRequired[str]


class Quantity(TypedDict):
    """How much of something, as a decimal string with its unit."""

    value: str
    uom: str


class Product(TypedDict):
    """Something that is sold, down to the variant that has its own stock."""

    id: str
    version: NotRequired[int]
    externalIds: list[ExternalId]
    createdAt: NotRequired[str]
    updatedAt: NotRequired[str]
    deleted: NotRequired[bool]
    source: NotRequired[Source]
    extensions: NotRequired[dict[str, dict[str, object]]]
    type: Literal["product"]
    sku: str
    name: str
    gtin: NotRequired[str]
    description: NotRequired[str]
    kind: Literal["good", "service", "digital"]
    status: Literal["active", "inactive", "discontinued"]
    uom: str
    prices: NotRequired[list[ListPrice]]
    taxCategory: NotRequired[str]
    weight: NotRequired[Quantity]
    parentSku: NotRequired[str]
    options: NotRequired[dict[str, str]]
    trackInventory: NotRequired[bool]


class ProductPage(TypedDict):
    """One page of products."""

    items: list[Product]
    nextCursor: NotRequired[str]


class InventoryLevel(TypedDict):
    """How much of one product is at one location at one moment, in the product's own unit."""

    sku: str
    locationId: str
    onHand: Quantity
    reserved: Quantity
    available: Quantity
    asOf: str


class StockLevels(TypedDict):
    """Stock levels, by product in the order asked for."""

    items: list[InventoryLevel]


class StockChange(TypedDict):
    """A product whose stock changed."""

    sku: str


class StockChanges(TypedDict):
    """One page of products whose stock changed."""

    items: list[StockChange]
    nextCursor: NotRequired[str]


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
