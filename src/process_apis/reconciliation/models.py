"""Data of process/reconciliation.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

Period = TypedDict("Period", {"from": "str", "to": "str"})


class Run(TypedDict):
    """A comparison."""

    id: str
    phase: Literal["waiting", "reading", "comparing", "done", "failed"]
    startedBy: str
    subjects: list[Literal["invoices", "orders", "customers"]]
    period: Period
    requestedAt: str
    begunAt: NotRequired[str]
    endedAt: NotRequired[str]
    nextTryAt: NotRequired[str]
    cause: NotRequired[str]


class RunPage(TypedDict):
    """One page of runs."""

    items: list[Run]
    nextCursor: NotRequired[str]


class NewRun(TypedDict):
    """What to compare; without anything, everything of the usual period."""

    subjects: NotRequired[list[Literal["invoices", "orders", "customers"]]]
    period: NotRequired[Period]


class Progress(TypedDict):
    """A list that is read, or a subject that is compared."""

    work: str
    state: Literal["waiting", "running", "done"]
    pages: int
    records: int
    unmatched: NotRequired[int]


class FindingCounts(TypedDict):
    """What was found so far."""

    total: int
    byKind: dict[str, int]


class RunDetail(TypedDict):
    """A comparison, and how far it came."""

    id: str
    phase: Literal["waiting", "reading", "comparing", "done", "failed"]
    startedBy: str
    subjects: list[Literal["invoices", "orders", "customers"]]
    period: Period
    requestedAt: str
    begunAt: NotRequired[str]
    endedAt: NotRequired[str]
    nextTryAt: NotRequired[str]
    cause: NotRequired[str]
    progress: list[Progress]
    findings: FindingCounts


class FoundRecords(TypedDict):
    system: Literal["stripe", "quickbooks", "salesforce", "tryton"]
    ids: list[str]


class ReportedFinding(TypedDict):
    """A difference as a run saw it."""

    id: str
    subject: Literal["invoices", "orders", "customers"]
    kind: Literal[
        "missing",
        "only_in",
        "duplicate",
        "amount_differs",
        "currency_differs",
        "status_differs",
        "name_differs",
    ]
    system: Literal["stripe", "quickbooks", "salesforce", "tryton"]
    key: str
    records: list[FoundRecords]
    expected: NotRequired[str]
    found: NotRequired[str]
    fix: NotRequired[
        Literal[
            "start_order_to_cash", "put_invoice", "void_invoice", "put_customer", "create_order"
        ]
    ]


class Report(TypedDict):
    """What a run found."""

    run: Run
    items: list[ReportedFinding]


class Finding(TypedDict):
    """A difference, and what became of it."""

    id: str
    subject: Literal["invoices", "orders", "customers"]
    kind: Literal[
        "missing",
        "only_in",
        "duplicate",
        "amount_differs",
        "currency_differs",
        "status_differs",
        "name_differs",
    ]
    system: Literal["stripe", "quickbooks", "salesforce", "tryton"]
    key: str
    records: list[FoundRecords]
    expected: NotRequired[str]
    found: NotRequired[str]
    fix: NotRequired[
        Literal[
            "start_order_to_cash", "put_invoice", "void_invoice", "put_customer", "create_order"
        ]
    ]
    state: Literal["open", "fixed", "acknowledged", "resolved"]
    firstSeenAt: str
    lastSeenAt: str
    lastRunId: str


class FindingPage(TypedDict):
    """One page of findings."""

    items: list[Finding]
    nextCursor: NotRequired[str]


class Deed(TypedDict):
    """Something that somebody did."""

    at: str
    actor: str
    action: Literal["fix", "acknowledge"]
    detail: str


class FindingDetail(TypedDict):
    """A difference with its history."""

    id: str
    subject: Literal["invoices", "orders", "customers"]
    kind: Literal[
        "missing",
        "only_in",
        "duplicate",
        "amount_differs",
        "currency_differs",
        "status_differs",
        "name_differs",
    ]
    system: Literal["stripe", "quickbooks", "salesforce", "tryton"]
    key: str
    records: list[FoundRecords]
    expected: NotRequired[str]
    found: NotRequired[str]
    fix: NotRequired[
        Literal[
            "start_order_to_cash", "put_invoice", "void_invoice", "put_customer", "create_order"
        ]
    ]
    state: Literal["open", "fixed", "acknowledged", "resolved"]
    firstSeenAt: str
    lastSeenAt: str
    lastRunId: str
    history: list[Deed]


class Acknowledgement(TypedDict):
    """Why a difference is accepted."""

    reason: str
