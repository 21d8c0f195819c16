"""Calls to system/salesforce.v1. Generated from the contract by `make codegen`; do not edit."""

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
    """One page of customers or contacts."""

    items: list[Customer]
    nextCursor: NotRequired[str]


class NewAddress(TypedDict):
    """A postal address of a customer, one of each role."""

    role: Literal["billing", "shipping"]
    line1: NotRequired[str]
    city: NotRequired[str]
    postalCode: NotRequired[str]
    country: NotRequired[str]


class CustomerChange(TypedDict):
    """What of a customer is to be different; an address replaces that of its role."""

    name: NotRequired[str]
    phone: NotRequired[str]
    addresses: NotRequired[list[NewAddress]]


class NewCustomer(TypedDict):
    """What an account is to be."""

    name: str
    phone: NotRequired[str]
    status: NotRequired[Literal["prospect", "active"]]
    currency: NotRequired[str]
    parentId: NotRequired[str]
    addresses: NotRequired[list[NewAddress]]


async def list_customers(
    call: Call[R],
    *,
    q: str | None = None,
    external_key: str | None = None,
    changed_since: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> CustomerPage:
    """List customers."""
    reply = await call.invoke(
        "system/salesforce.v1",
        "listCustomers",
        {
            "q": q,
            "externalKey": external_key,
            "changedSince": changed_since,
            "limit": limit,
            "cursor": cursor,
        },
    )
    return cast(CustomerPage, reply.body)


async def get_customer(call: Call[R], *, customer_id: str) -> Customer:
    """Get a customer."""
    reply = await call.invoke("system/salesforce.v1", "getCustomer", {"customerId": customer_id})
    return cast(Customer, reply.body)


async def change_customer(
    call: Call[R], *, customer_id: str, body: CustomerChange, step: str = ""
) -> Customer:
    """Change a customer."""
    reply = await call.invoke(
        "system/salesforce.v1", "changeCustomer", {"customerId": customer_id}, body=body, step=step
    )
    return cast(Customer, reply.body)


async def put_customer(
    call: Call[R], *, external_key: str, body: NewCustomer, step: str = ""
) -> Customer:
    """Create or change a customer."""
    reply = await call.invoke(
        "system/salesforce.v1", "putCustomer", {"externalKey": external_key}, body=body, step=step
    )
    return cast(Customer, reply.body)
