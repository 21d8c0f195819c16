"""The records of one key, compared across systems. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from portico.server.call import combine
from process_apis.reconciliation.domain import Fix, Kind, Period, Subject, System
from process_apis.reconciliation.rows import Row

PAID = frozenset({"paid", "partially_paid"})
# The ids of duplicates that a finding names; there may be thousands.
MAX_IDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The records of a key in one system, those in force first; `live` is how many of them."""

    rows: Sequence[Row]
    live: int

    @property
    def first(self) -> Row:
        return self.rows[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a difference is."""

    period: Period
    settled_until: str
    amount_tolerance: Decimal
    exempt: frozenset[tuple[str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference. One that is not settled may still be on its way to be none."""

    subject: str
    kind: Kind
    system: System
    key: str
    records: Mapping[str, Sequence[str]]
    expected: str
    found: str
    at: str
    settled: bool
    fix: Fix

    @property
    def finding_id(self) -> str:
        """Return the same id for the same difference in each run."""
        return combine("finding", self.subject, self.kind, self.system, self.key)

    @property
    def fingerprint(self) -> str:
        """Return what changes when the difference becomes another one."""
        return combine(self.expected, self.found)


def compare(
    subject: Subject, key: str, groups: Mapping[System, Group], rules: Rules
) -> list[Difference]:
    """Return the differences between the records of a key."""
    return [
        difference
        for difference in _differences(subject, key, groups, rules)
        if _is_reported(subject, difference, rules)
    ]


def _is_reported(subject: Subject, difference: Difference, rules: Rules) -> bool:
    if (subject.name, difference.kind, difference.system) in rules.exempt:
        return False
    # Customers are compared whenever they were made.
    since, until = rules.period.since, rules.period.until
    return subject.name == "customers" or since <= difference.at < until


def _differences(
    subject: Subject, key: str, groups: Mapping[System, Group], rules: Rules
) -> Iterator[Difference]:
    for system, group in groups.items():
        if group.live > 1:
            yield _duplicate(subject, key, system, group, rules)
    reference = groups.get(subject.reference)
    for system in subject.others:
        other = groups.get(system)
        if reference is None and other is not None and not other.first.quiet:
            yield _only_in(subject, key, system, other.first, rules)
        elif reference is not None and other is None and not reference.first.quiet:
            yield _missing(subject, key, system, reference.first, rules)
        elif reference is not None and other is not None:
            yield from _pair(subject, key, system, (reference.first, other.first), rules)


def _duplicate(
    subject: Subject, key: str, system: System, group: Group, rules: Rules
) -> Difference:
    rows = [row for row in group.rows if not row.quiet]
    return Difference(
        subject=subject.name,
        kind="duplicate",
        system=system,
        key=key,
        records={system: [row.record_id for row in rows[:MAX_IDS]]},
        expected="1 record",
        found=f"{group.live} records",
        at=min(row.created_at for row in rows),
        settled=max(row.changed_at for row in rows) <= rules.settled_until,
        fix="",
    )


def _only_in(subject: Subject, key: str, system: System, row: Row, rules: Rules) -> Difference:
    return Difference(
        subject=subject.name,
        kind="only_in",
        system=system,
        key=key,
        records={system: [row.record_id]},
        expected="",
        found=_described(row),
        at=row.created_at,
        settled=row.changed_at <= rules.settled_until,
        fix="",
    )


def _missing(subject: Subject, key: str, system: System, row: Row, rules: Rules) -> Difference:
    fixes: Mapping[str, Fix] = {
        "invoices": "start_order_to_cash" if row.subscription else "put_invoice",
        "orders": "create_order",
        "customers": "put_customer",
    }
    return Difference(
        subject=subject.name,
        kind="missing",
        system=system,
        key=key,
        records={subject.reference: [row.record_id]},
        expected=_described(row),
        found="",
        at=row.created_at,
        settled=row.changed_at <= rules.settled_until,
        fix=fixes[subject.name],
    )


def _pair(
    subject: Subject, key: str, system: System, pair: tuple[Row, Row], rules: Rules
) -> Iterator[Difference]:
    reference, other = pair
    for kind, expected, found in _values(reference, other, rules.amount_tolerance):
        yield Difference(
            subject=subject.name,
            kind=kind,
            system=system,
            key=key,
            records={subject.reference: [reference.record_id], system: [other.record_id]},
            expected=expected,
            found=found,
            at=reference.created_at,
            settled=max(reference.changed_at, other.changed_at) <= rules.settled_until,
            fix=_fix_of_pair(subject, kind, reference, other),
        )


def _values(reference: Row, other: Row, tolerance: Decimal) -> Iterator[tuple[Kind, str, str]]:
    """Yield what differs, with both values.

    1. What a void record comes to says nothing.
    2. Amounts in two currencies cannot be compared.
    3. A system that keeps no names or statuses has an empty one, and agrees.
    """
    if _differ(reference.status, other.status):
        yield "status_differs", reference.status, other.status
    if not reference.quiet and not other.quiet and reference.amount and other.amount:
        if reference.currency != other.currency:
            yield "currency_differs", reference.currency, other.currency
        elif abs(Decimal(reference.amount) - Decimal(other.amount)) > tolerance:
            yield "amount_differs", _money(reference), _money(other)
    if _differ(reference.alias, other.alias):
        yield "name_differs", reference.name, other.name


def _differ(expected: str, found: str) -> bool:
    return bool(expected and found) and expected != found


def _fix_of_pair(subject: Subject, kind: Kind, reference: Row, other: Row) -> Fix:
    if kind == "name_differs":
        return "put_customer"
    if subject.name != "invoices" or kind != "status_differs":
        return ""
    if reference.status == "void":
        # What was paid has to be paid back first, and that is for people to do.
        return "void_invoice" if other.status == "issued" else ""
    behind = reference.status in PAID and other.status in {"issued", "partially_paid"}
    return "start_order_to_cash" if behind and reference.subscription else ""


def _money(row: Row) -> str:
    return f"{row.amount} {row.currency}"


def _described(row: Row) -> str:
    return f"{_money(row)} {row.status}" if row.amount else row.name
