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


class OpportunityPage(TypedDict):
    """One page of opportunities."""

    items: list[Opportunity]
    nextCursor: NotRequired[str]


class StageMove(TypedDict):
    """The stage an opportunity is moved to."""

    stage: str
    version: NotRequired[int]


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


async def list_opportunities(
    call: Call[R],
    *,
    customer_id: str | None = None,
    stage: str | None = None,
    changed_since: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> OpportunityPage:
    """List opportunities."""
    reply = await call.invoke(
        "system/salesforce.v1",
        "listOpportunities",
        {
            "customerId": customer_id,
            "stage": stage,
            "changedSince": changed_since,
            "limit": limit,
            "cursor": cursor,
        },
    )
    return cast(OpportunityPage, reply.body)


async def move_opportunity(
    call: Call[R], *, opportunity_id: str, body: StageMove, step: str = ""
) -> Opportunity:
    """Move an opportunity to a stage."""
    reply = await call.invoke(
        "system/salesforce.v1",
        "moveOpportunity",
        {"opportunityId": opportunity_id},
        body=body,
        step=step,
    )
    return cast(Opportunity, reply.body)
