"""What a difference is, without any system."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from process_apis.order_to_cash.domain import current_sale
from process_apis.reconciliation.comparing import Difference, Group, Rules, compare
from process_apis.reconciliation.domain import SUBJECTS, Period, Run, listings
from process_apis.reconciliation.findings import fate
from process_apis.reconciliation.report import harmless
from process_apis.reconciliation.rows import Row, alias, customer, document_number

INVOICES, CUSTOMERS = SUBJECTS["invoices"], SUBJECTS["customers"]
RULES = Rules(
    period=Period(since="2026-11-01T00:00:00Z", until="2026-12-01T00:00:00Z"),
    settled_until="2026-11-20T12:00:00Z",
    amount_tolerance=Decimal(0),
    exempt=frozenset(),
)
RUN = Run(
    run_id="r",
    subjects=["invoices"],
    period=RULES.period,
    begun_at="2026-11-20T13:00:00Z",
    settled_until=RULES.settled_until,
    oldest="2026-08-01T00:00:00Z",
)
OLD, YOUNG = RULES.settled_until, "2026-11-20T12:00:01Z"
ROW = Row(
    record_id="1",
    key="A-1",
    status="issued",
    currency="EUR",
    amount="10.00",
    created_at="2026-11-10T09:00:00Z",
    changed_at="2026-11-10T09:00:00Z",
)


def row(**values: Any) -> Row:
    return replace(ROW, **values)


def group(*rows: Row) -> Group:
    return Group(rows=rows, live=sum(not each.quiet for each in rows))


def kinds(rules: Rules = RULES, **systems: Row) -> list[str]:
    groups: Any = {system: group(found) for system, found in systems.items()}
    return [each.kind for each in compare(INVOICES, "A-1", groups, rules)]


def missing(**values: Any) -> Difference:
    (found,) = compare(INVOICES, "A-1", {"stripe": group(row(**values))}, RULES)
    return found


@pytest.mark.parametrize(
    ("stripe", "books", "expected"),
    [
        ({}, {}, []),
        ({}, {"amount": "10.0"}, []),
        ({}, {"amount": "10.01"}, ["amount_differs"]),
        ({}, {"amount": "9.00", "currency": "USD"}, ["currency_differs"]),
        ({"status": "paid"}, {}, ["status_differs"]),
        ({"status": "void"}, {"amount": "0.00"}, ["status_differs"]),
        ({"status": "void"}, {"amount": "0.00", "status": "void"}, []),
    ],
)
def test_a_pair_is_compared_value_by_value(
    stripe: dict[str, Any], books: dict[str, Any], expected: list[str]
) -> None:
    assert kinds(stripe=row(**stripe), quickbooks=row(**books)) == expected


@pytest.mark.parametrize("status", ["draft", "void"])
def test_what_is_not_in_force_is_missed_nowhere(status: str) -> None:
    assert kinds(stripe=row(status=status)) == []
    assert kinds(quickbooks=row(status=status)) == []
    assert kinds(stripe=row()) == ["missing"]
    assert kinds(quickbooks=row()) == ["only_in"]


def test_amounts_may_differ_by_the_tolerance_and_are_exact() -> None:
    tolerant = replace(RULES, amount_tolerance=Decimal("0.01"))

    assert kinds(tolerant, stripe=row(), quickbooks=row(amount="10.01")) == []
    assert kinds(tolerant, stripe=row(), quickbooks=row(amount="10.010001")) == ["amount_differs"]
    large = row(amount="999999999999999.000001")
    assert kinds(stripe=large, quickbooks=row(amount="999999999999999.000002")) == [
        "amount_differs"
    ]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("2026-10-31T23:59:59Z", []),
        ("2026-11-01T00:00:00Z", ["missing"]),
        ("2026-11-30T23:59:59Z", ["missing"]),
        ("2026-12-01T00:00:00Z", []),
    ],
)
def test_a_period_begins_with_its_first_moment_and_ends_before_its_last(
    made: str, expected: list[str]
) -> None:
    assert kinds(stripe=row(created_at=made)) == expected


def test_what_is_exempt_is_no_difference() -> None:
    exempt = replace(RULES, exempt=frozenset({("invoices", "missing", "quickbooks")}))

    assert kinds(exempt, stripe=row()) == []
    assert kinds(exempt, quickbooks=row()) == ["only_in"]


def test_a_void_invoice_that_was_paid_in_the_books_is_for_people() -> None:
    void = group(row(status="void"))
    by_status = {
        status: compare(
            INVOICES, "A-1", {"stripe": void, "quickbooks": group(row(status=status))}, RULES
        )[0].fix
        for status in ("issued", "partially_paid", "paid")
    }

    assert by_status == {"issued": "void_invoice", "partially_paid": "", "paid": ""}


@pytest.mark.parametrize(
    ("subscription", "stripe", "books", "fix"),
    [
        ("sub_1", "paid", "issued", "start_order_to_cash"),
        ("sub_1", "partially_paid", "issued", "start_order_to_cash"),
        ("sub_1", "issued", "paid", ""),
        ("", "paid", "issued", ""),
    ],
)
def test_what_was_paid_in_stripe_is_entered_by_order_to_cash(
    subscription: str, stripe: str, books: str, fix: str
) -> None:
    paid, entered = row(status=stripe, subscription=subscription), row(status=books)
    groups: Any = {"stripe": group(paid), "quickbooks": group(entered)}

    assert [each.fix for each in compare(INVOICES, "A-1", groups, RULES)] == [fix]


def test_a_difference_waits_until_its_records_have_settled() -> None:
    young = missing(changed_at="2026-11-20T12:30:00Z")
    known: dict[str, Any] = {"state": "open", "fingerprint": young.fingerprint, "fixed_at": ""}

    assert fate(None, young, RUN) is None
    new, old = fate(None, missing(), RUN), fate(known, young, RUN)
    assert new is not None
    assert (new.state, new.reported) == ("open", True)
    assert old is not None, "what is known stays known"
    assert (old.state, old.reported) == ("open", True)


def first_is_settled(**systems: list[str]) -> bool:
    """Tell it of the first difference of records that were changed at some moments."""
    amounts = {"stripe": "10.00", "quickbooks": "11.00"}
    groups: Any = {
        system: group(*(row(amount=amounts[system], changed_at=moment) for moment in moments))
        for system, moments in systems.items()
    }
    return compare(INVOICES, "A-1", groups, RULES)[0].settled


@pytest.mark.parametrize(
    "systems",
    [
        {"stripe": [YOUNG]},
        {"quickbooks": [YOUNG]},
        {"stripe": [OLD], "quickbooks": [OLD, YOUNG]},
        {"stripe": [OLD], "quickbooks": [YOUNG]},
        {"stripe": [YOUNG], "quickbooks": [OLD]},
    ],
    ids=["missing", "only_in", "duplicate", "the counterpart changed", "the reference changed"],
)
def test_what_was_changed_lately_is_too_young_however_old_it_is(
    systems: dict[str, list[str]],
) -> None:
    left_alone = {system: [OLD] * len(moments) for system, moments in systems.items()}

    assert not first_is_settled(**systems)
    assert first_is_settled(**left_alone)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"state": "resolved"}, ("open", True)),
        ({"state": "acknowledged"}, ("acknowledged", False)),
        ({"state": "acknowledged", "fingerprint": "another"}, ("open", True)),
        ({"state": "fixed", "fixed_at": "2026-11-20T12:30:00Z"}, ("fixed", True)),
        ({"state": "fixed", "fixed_at": "2026-11-20T11:30:00Z"}, ("open", True)),
    ],
)
def test_what_became_of_a_finding_decides_what_becomes_of_it(
    known: dict[str, str], expected: tuple[str, bool]
) -> None:
    difference = missing()
    before = {"fingerprint": difference.fingerprint, "fixed_at": "", **known}

    becomes = fate(before, difference, RUN)

    assert becomes is not None
    assert (becomes.state, becomes.reported) == expected


def test_a_finding_is_the_same_whatever_its_values() -> None:
    assert missing().finding_id == missing(amount="11.00", record_id="2").finding_id
    assert missing().fingerprint != missing(amount="11.00").fingerprint


def test_an_invoice_has_the_number_that_order_to_cash_gives_it() -> None:
    sale = current_sale({"id": "sub_1", "latestInvoiceId": "in_1"})

    assert document_number("sub_1", "in_1") == sale.number


def test_a_customer_without_a_name_in_stripe_is_compared_by_its_key_alone() -> None:
    stripe = listings(["customers"])[-1]
    record = {
        "id": "cus_1",
        "name": "a@b.example",
        "email": "a@b.example",
        "status": "active",
        "externalIds": [],
        "extensions": {"stripe": {"externalKey": "C-1"}},
        "createdAt": "2026-11-10T09:00:00+01:00",
    }
    found = customer(stripe, record)
    erp = row(name="Old Mill", alias=alias("Old Mill"), status="active", amount="", currency="")
    groups: Any = {"tryton": group(erp), "stripe": group(found)}

    assert (found.key, found.name, found.created_at) == ("C-1", "", "2026-11-10T08:00:00Z")
    kinds = {(each.kind, each.system) for each in compare(CUSTOMERS, "C-1", groups, RULES)}
    assert kinds == {("missing", "salesforce"), ("missing", "quickbooks")}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@x", "\tx", "\rx", "\n=1"])
def test_a_cell_is_no_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "-5.00", "5", "PO-1", "a=b"])
def test_a_cell_that_is_none_anyway_stays(text: str) -> None:
    assert harmless(text) == text
