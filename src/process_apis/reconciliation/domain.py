"""What is compared with what, and which differences there are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

SubjectName = Literal["invoices", "orders", "customers"]
System = Literal["stripe", "quickbooks", "salesforce", "tryton"]
Kind = Literal[
    "missing",
    "only_in",
    "duplicate",
    "amount_differs",
    "currency_differs",
    "status_differs",
    "name_differs",
]
Fix = Literal[
    "start_order_to_cash", "put_invoice", "void_invoice", "put_customer", "create_order", ""
]

NAME = "reconciliation.v1"
NIGHTLY = "reconciliation-nightly.v1"
API = {
    "stripe": "system/stripe.v1",
    "quickbooks": "system/quickbooks.v1",
    "salesforce": "system/salesforce.v1",
    "tryton": "system/tryton.v1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is true, and where it should be as well."""

    name: SubjectName
    reference: System
    others: Sequence[System]


SUBJECTS: Mapping[SubjectName, Subject] = {
    "invoices": Subject(name="invoices", reference="stripe", others=("quickbooks",)),
    "orders": Subject(name="orders", reference="salesforce", others=("tryton",)),
    "customers": Subject(
        name="customers", reference="tryton", others=("salesforce", "quickbooks", "stripe")
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list of a system that is read to its end, or as far as the period goes."""

    subject: SubjectName
    system: System
    operation_id: str
    newest_first: bool = False

    @property
    def api(self) -> str:
        return API[self.system]

    @property
    def work(self) -> str:
        """Return what it is called in the progress of a run."""
        return f"read {self.subject} of {self.system}"


_ACCOUNTS = Listing(subject="customers", system="salesforce", operation_id="listCustomers")
_LISTINGS: Mapping[SubjectName, Sequence[Listing]] = {
    # Whose code a customer has is known before the others are matched with it by name.
    "customers": (
        Listing(subject="customers", system="tryton", operation_id="listCustomers"),
        _ACCOUNTS,
        Listing(subject="customers", system="quickbooks", operation_id="listCustomers"),
        Listing(subject="customers", system="stripe", operation_id="listCustomers"),
    ),
    # An order in Salesforce names its account, and the account has the customer's key.
    "orders": (
        _ACCOUNTS,
        Listing(
            subject="orders", system="salesforce", operation_id="listOrders", newest_first=True
        ),
        Listing(subject="orders", system="tryton", operation_id="listSales", newest_first=True),
    ),
    "invoices": (
        Listing(
            subject="invoices", system="stripe", operation_id="listInvoices", newest_first=True
        ),
        Listing(subject="invoices", system="quickbooks", operation_id="listInvoices"),
    ),
}
_NEEDS = {
    _LISTINGS["customers"][1]: _LISTINGS["customers"][0],
    _LISTINGS["customers"][2]: _LISTINGS["customers"][0],
    _LISTINGS["customers"][3]: _LISTINGS["customers"][0],
    _LISTINGS["orders"][1]: _ACCOUNTS,
}


def ordered(subjects: Sequence[SubjectName]) -> list[SubjectName]:
    """Return subjects in the order in which they are worked on."""
    return [name for name in _LISTINGS if name in subjects]


def listings(subjects: Sequence[SubjectName]) -> list[Listing]:
    """Return what is read for some subjects, each list once, those first that others need."""
    found = [listing for name in ordered(subjects) for listing in _LISTINGS[name]]
    return list(dict.fromkeys(found))


def waits_for(listing: Listing, left: Sequence[Listing]) -> bool:
    """Tell whether a list is read later because another one has to be complete before."""
    return _NEEDS.get(listing) in left


def comparison(subject: SubjectName) -> str:
    """Return what comparing a subject is called in the progress of a run."""
    return f"compare {subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """When the records were made that are compared: from a moment on, to another one."""

    since: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A comparison as it was asked for."""

    run_id: str
    subjects: Sequence[SubjectName]
    period: Period
    begun_at: str
    settled_until: str
    oldest: str
