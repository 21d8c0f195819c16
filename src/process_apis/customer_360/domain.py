"""What a profile is made of: who masters which field, what counts as open; no input or output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypedDict, cast

from portico.problems import DEADLINE_EXCEEDED, NOT_FOUND, TOO_MANY_REQUESTS, Problem
from process_apis.customer_360.models import (
    Customer,
    CustomerProfile,
    Invoice,
    Money,
    Opportunity,
    Order,
    Payment,
    Subscription,
    UsedSource,
)

Name = Literal["erp", "crm", "accounting", "billing"]
Reason = Literal["unavailable", "deadline", "not_found"]

# Who is asked for each field of a customer: its master first, then those who may know it as well.
MASTERS: Mapping[str, tuple[Name, ...]] = {
    "kind": ("erp", "crm"),
    "name": ("crm", "erp", "accounting", "billing"),
    "legalName": ("erp", "accounting"),
    "givenName": ("crm", "erp", "accounting"),
    "familyName": ("crm", "erp", "accounting"),
    "email": ("crm", "billing", "accounting", "erp"),
    "phone": ("crm", "billing", "accounting", "erp"),
    "taxIds": ("erp",),
    "status": ("erp", "crm"),
    "currency": ("erp", "accounting", "billing"),
    "language": ("erp", "billing"),
    "paymentTerms": ("erp",),
    "addresses": ("erp", "crm", "billing", "accounting"),
    "contacts": ("erp", "crm"),
}
MAX_EXTERNAL_IDS = 20  # of the canonical model


class Parts(TypedDict, total=False):
    """What a source tells beside the customer itself, by the names of the profile."""

    people: list[Customer]
    opportunities: list[Opportunity]
    orders: list[Order]
    invoices: list[Invoice]
    balances: list[Money]
    subscriptions: list[Subscription]
    payments: list[Payment]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one source knows of a customer. `truncated` says that it has more records."""

    customer: Customer
    parts: Parts = field(default_factory=Parts)
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A piece, and when its source was asked for it."""

    piece: Piece
    as_of: datetime
    age_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Why there is no piece of a source."""

    reason: Reason


Outcomes = Mapping[Name, Reading | Missing]


def profile(customer_id: str, outcomes: Outcomes) -> CustomerProfile:
    """Return the profile of what was read; one source at least tells what a customer must have."""
    readings = {name: each for name, each in outcomes.items() if isinstance(each, Reading)}
    missing = {name: each for name, each in outcomes.items() if isinstance(each, Missing)}
    pieces = {name: reading.piece for name, reading in readings.items()}
    merged: CustomerProfile = {
        "customerId": customer_id,
        "complete": not missing and all(map(_is_whole, readings.values())),
        "customer": merge(customer_id, {name: piece.customer for name, piece in pieces.items()}),
        "sources": [_used(name, reading) for name, reading in readings.items()],
        "missing": [{"source": name, "reason": each.reason} for name, each in missing.items()],
    }
    for piece in pieces.values():
        merged.update(cast("CustomerProfile", piece.parts))
    return merged


def _is_whole(reading: Reading) -> bool:
    return not reading.age_seconds and not reading.piece.truncated


def _used(name: Name, reading: Reading) -> UsedSource:
    used: UsedSource = {
        "source": name,
        "asOf": reading.as_of.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "ageSeconds": reading.age_seconds,
    }
    if reading.piece.truncated:
        used["truncated"] = True
    return used


def merge(customer_id: str, customers: Mapping[Name, Customer]) -> Customer:
    """Return one customer, each field as the first of its MASTERS that has it tells it."""
    known = [each for customer in customers.values() for each in customer["externalIds"]]
    merged: dict[str, object] = {
        "id": customer_id,
        "type": "customer",
        "externalIds": known[:MAX_EXTERNAL_IDS],
    }
    for name, masters in MASTERS.items():
        told = (customers[master].get(name) for master in masters if master in customers)
        value = next((each for each in told if each), None)
        if value is not None:
            merged[name] = value
    return cast("Customer", merged)


def undecided(opportunities: Iterable[Opportunity]) -> list[Opportunity]:
    return [each for each in opportunities if each["status"] == "open"]


def unfinished(orders: Iterable[Order]) -> list[Order]:
    return [each for each in orders if each["status"] not in {"completed", "cancelled"}]


def unpaid(invoices: Iterable[Invoice]) -> list[Invoice]:
    return [each for each in invoices if each["status"] in {"issued", "partially_paid"}]


def lasting(subscriptions: Iterable[Subscription]) -> list[Subscription]:
    return [each for each in subscriptions if each["status"] != "ended"]


def balances(invoices: Sequence[Invoice]) -> list[Money]:
    """Return what is still to be paid on invoices, for each currency."""
    due: dict[str, Decimal] = {}
    for invoice in invoices:
        money = invoice["totals"]["due"]
        due[money["currency"]] = due.get(money["currency"], Decimal()) + Decimal(money["amount"])
    return [{"amount": f"{amount:f}", "currency": currency} for currency, amount in due.items()]


def reason_of(problem: Problem) -> Reason | None:
    """Return why there is no piece, or None for a problem that is not the system's."""
    if problem.status == NOT_FOUND.status:
        return "not_found"
    if problem.status == DEADLINE_EXCEEDED.status:
        return "deadline"
    if problem.status >= 500 or problem.status == TOO_MANY_REQUESTS.status:
        return "unavailable"
    return None
