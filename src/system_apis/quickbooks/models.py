"""Data of system/quickbooks.v1. Generated from the contract by `make codegen`; do not edit."""

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


class CustomerChange(TypedDict):
    """What of a customer is to be different; an address replaces that of its role."""

    name: NotRequired[str]
    email: NotRequired[str]
    phone: NotRequired[str]
    addresses: NotRequired[list[NewAddress]]


class NewCustomer(TypedDict):
    """What a customer is to be."""

    name: str
    email: NotRequired[str]
    phone: NotRequired[str]
    currency: NotRequired[str]
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


class InvoicePage(TypedDict):
    """One page of invoices."""

    items: list[Invoice]
    nextCursor: NotRequired[str]


class OrderedQuantity(TypedDict):
    """How much is ordered; more than nothing."""

    value: str
    uom: NotRequired[str]


class Price(TypedDict):
    """An amount for one unit."""

    amount: str
    currency: str


class NewInvoiceLinesItem(TypedDict):
    """One line."""

    sku: str
    description: NotRequired[str]
    quantity: OrderedQuantity
    unitPrice: Price


class NewInvoice(TypedDict):
    """What is to be billed."""

    customerId: str
    currency: str
    issueDate: NotRequired[str]
    dueDate: NotRequired[str]
    lines: list[NewInvoiceLinesItem]


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


class NewPayment(TypedDict):
    """What was paid."""

    customerId: str
    amount: Price
    invoiceIds: NotRequired[list[str]]
    paidAt: NotRequired[str]


class NewCredit(TypedDict):
    """What a customer need not pay after all."""

    customerId: str
    amount: Price
    sku: str
    description: NotRequired[str]


class NewRefund(TypedDict):
    """What was given back."""

    customerId: str
    amount: Price
    sku: str
    paymentId: str
    paidAt: NotRequired[str]


class Change(TypedDict):
    """A record that was changed."""

    entity: Literal["customer", "product", "invoice", "payment"]
    recordId: str
    version: NotRequired[int]
    changedAt: str
    deleted: NotRequired[bool]


class Changes(TypedDict):
    """What was changed."""

    items: list[Change]
