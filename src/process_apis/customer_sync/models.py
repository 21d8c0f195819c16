"""Data of process/customer-sync.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class CustomerSummary(TypedDict):
    """A customer, and whether something is still to be done about it."""

    id: str
    name: NotRequired[str]
    syncedAt: str
    waitingFor: NotRequired[Literal["salesforce", "tryton", "quickbooks"]]
    cause: NotRequired[str]


class CustomerPage(TypedDict):
    """One page of customers."""

    items: list[CustomerSummary]
    nextCursor: NotRequired[str]


class BillingAddress(TypedDict):
    """Where invoices go."""

    line1: NotRequired[str]
    city: NotRequired[str]
    postalCode: NotRequired[str]
    country: NotRequired[str]


class Values(TypedDict):
    """Fields by name."""

    name: NotRequired[str]
    phone: NotRequired[str]
    email: NotRequired[str]
    taxId: NotRequired[str]
    billingAddress: NotRequired[BillingAddress]


class SyncedLink(TypedDict):
    """A record of the customer in a system."""

    system: Literal["salesforce", "tryton", "quickbooks"]
    instance: str
    id: str
    state: Literal["pending", "linked", "conflict", "tombstone"]


class HistoryEntry(TypedDict):
    """Something that happened to a customer."""

    at: str
    kind: Literal["put-back", "deleted", "merged", "resolved"]
    by: NotRequired[str]
    detail: dict[str, object]


class SyncedCustomer(TypedDict):
    """A customer across the systems."""

    id: str
    syncedAt: str
    waitingFor: NotRequired[Literal["salesforce", "tryton", "quickbooks"]]
    cause: NotRequired[str]
    agreed: Values
    links: list[SyncedLink]
    openConflicts: list[str]
    history: list[HistoryEntry]


class Sync(TypedDict):
    """A sync of one customer."""

    id: str
    phase: Literal["running", "done", "waiting", "dead"]
    customerId: NotRequired[str]
    written: NotRequired[list[Literal["salesforce", "tryton", "quickbooks"]]]
    conflicts: NotRequired[int]
    cause: NotRequired[str]


class Merge(TypedDict):
    """What a customer is merged into."""

    into: str


class Conflict(TypedDict):
    """Something that people are to decide."""

    id: str
    kind: Literal["field", "match", "refusal"]
    customerId: NotRequired[str]
    subject: str
    state: Literal["open", "decided", "resolved"]
    openedAt: str
    said: NotRequired[dict[str, str | BillingAddress]]
    candidates: NotRequired[list[str]]
    cause: NotRequired[str]
    resolvedAt: NotRequired[str]
    resolvedBy: NotRequired[str]
    resolution: NotRequired[dict[str, object]]


class ConflictPage(TypedDict):
    """One page of conflicts."""

    items: list[Conflict]
    nextCursor: NotRequired[str]


class Resolution(TypedDict):
    """One decision: `system` or `value` for a field; `customerId`, or `action` new, for a record;
    `action` retry or leave for a refusal."""

    system: NotRequired[Literal["salesforce", "tryton", "quickbooks"]]
    value: NotRequired[str | BillingAddress]
    customerId: NotRequired[str]
    action: NotRequired[Literal["new", "retry", "leave"]]


class SyncedSystem(TypedDict):
    """The last look at a system."""

    system: Literal["salesforce", "tryton", "quickbooks"]
    instance: NotRequired[str]
    complete: bool
    lookedAt: NotRequired[str]
    watermark: NotRequired[str]
    seen: NotRequired[int]
    echoes: NotRequired[int]
    started: NotRequired[int]
    cause: NotRequired[str]


class SyncedSystems(TypedDict):
    """The systems."""

    items: list[SyncedSystem]
