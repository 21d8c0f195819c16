"""Calls to system/quickbooks.v1. Generated from the contract by `make codegen`; do not edit."""

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

    name: str
    email: NotRequired[str]
    phone: NotRequired[str]
    currency: NotRequired[str]
    addresses: NotRequired[list[NewAddress]]


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


async def list_invoices(
    call: Call[R],
    *,
    customer_id: str | None = None,
    document_number: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> InvoicePage:
    """List invoices."""
    reply = await call.invoke(
        "system/quickbooks.v1",
        "listInvoices",
        {
            "customerId": customer_id,
            "documentNumber": document_number,
            "limit": limit,
            "cursor": cursor,
        },
    )
    return cast(InvoicePage, reply.body)


async def list_customers(
    call: Call[R],
    *,
    external_key: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> CustomerPage:
    """List customers."""
    reply = await call.invoke(
        "system/quickbooks.v1",
        "listCustomers",
        {"externalKey": external_key, "limit": limit, "cursor": cursor},
    )
    return cast(CustomerPage, reply.body)


async def put_customer(
    call: Call[R], *, external_key: str, body: NewCustomer, step: str = ""
) -> Customer:
    """Create or change a customer."""
    reply = await call.invoke(
        "system/quickbooks.v1", "putCustomer", {"externalKey": external_key}, body=body, step=step
    )
    return cast(Customer, reply.body)


async def put_invoice(
    call: Call[R], *, document_number: str, body: NewInvoice, step: str = ""
) -> Invoice:
    """Create an invoice."""
    reply = await call.invoke(
        "system/quickbooks.v1",
        "putInvoice",
        {"documentNumber": document_number},
        body=body,
        step=step,
    )
    return cast(Invoice, reply.body)


async def void_invoice(call: Call[R], *, invoice_id: str, step: str = "") -> Invoice:
    """Void an invoice."""
    reply = await call.invoke(
        "system/quickbooks.v1", "voidInvoice", {"invoiceId": invoice_id}, step=step
    )
    return cast(Invoice, reply.body)
