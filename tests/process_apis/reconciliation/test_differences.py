"""Differences on the systems themselves: each kind found, and nothing else."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx

from tests.process_apis.order_to_cash.conftest import SECRET
from tests.process_apis.reconciliation.conftest import BASE

if TYPE_CHECKING:
    from tests.process_apis.reconciliation.conftest import Network

Seen = set[tuple[str, str, str]]


def seen(findings: list[dict[str, Any]]) -> Seen:
    return {(found["kind"], found["system"], found["key"]) for found in findings}


def named(findings: list[dict[str, Any]], kind: str, key: str) -> dict[str, Any]:
    (found,) = [each for each in findings if (each["kind"], each["key"]) == (kind, key)]
    return found


def number_of(network: Network, invoice_id: str) -> str:
    """Return the number that an invoice of a subscription has in the books, or would have."""
    findings = network.compared("invoices")
    (found,) = [each for each in findings if each["records"][0]["ids"] == [invoice_id]]
    return str(found["key"])


def test_systems_that_agree_have_no_differences(network: Network) -> None:
    network.billed()
    network.order(["salesforce", "tryton"])

    assert network.compared("customers", "orders", "invoices") == []


def test_each_difference_of_invoices_is_found_and_none_besides(network: Network) -> None:
    before = seen(network.compared("invoices"))
    for _ in range(3):
        network.billed()
    unbilled = network.subscribe()
    (_, amount), (_, currency), (_, twice) = (network.billed() for _ in range(3))
    void_id, void = network.billed()
    network.put("POST", f"/system/stripe/v1/invoices/{void_id}/actions/void")
    never_billed = network.subscribe()  # and taken back before anybody missed it
    network.put("POST", f"/system/stripe/v1/invoices/{never_billed}/actions/void")
    draft = f"DRAFT-{uuid4().hex[:8]}"
    draft_line = {
        "description": "x",
        "quantity": 1,
        "unitPrice": {"amount": "1", "currency": "EUR"},
    }
    body = {"customerId": network.stripe_customer(), "currency": "EUR", "lines": [draft_line]}
    network.put("PUT", f"/system/stripe/v1/invoices/by-key/{draft}", body)
    by_hand = f"HAND-{uuid4().hex[:8]}"
    books_line = {
        "sku": "GRINDER-M1",
        "quantity": {"value": "1"},
        "unitPrice": {"amount": "149.00", "currency": "EUR"},
    }
    body = {"customerId": "1", "currency": "EUR", "lines": [books_line]}
    network.put("PUT", f"/system/quickbooks/v1/invoices/by-key/{by_hand}", body)
    network.books_invoice(amount).update(TotalAmt=54.81, Balance=54.81)
    network.books_invoice(currency)["CurrencyRef"] = {"value": "USD"}
    table = network.table("quickbooks", "Invoice")
    table["9999"] = {**copy.deepcopy(network.books_invoice(twice)), "Id": "9999"}

    findings = network.compared("invoices")

    missing = next(found["key"] for found in findings if found["records"][0]["ids"] == [unbilled])
    assert seen(findings) - before == {
        ("missing", "quickbooks", missing),
        ("amount_differs", "quickbooks", amount),
        ("currency_differs", "quickbooks", currency),
        ("status_differs", "quickbooks", void),
        ("duplicate", "quickbooks", twice),
        ("only_in", "quickbooks", by_hand),
    }
    assert before <= seen(findings)
    assert named(findings, "amount_differs", amount)["expected"] == "54.80 EUR"
    assert named(findings, "amount_differs", amount)["found"] == "54.81 EUR"
    assert named(findings, "missing", missing)["expected"] == "54.80 EUR issued"
    assert len(named(findings, "duplicate", twice)["records"][0]["ids"]) == 2
    fixes = {found["kind"]: found.get("fix", "") for found in findings}
    assert fixes == {
        "missing": "start_order_to_cash",
        "status_differs": "void_invoice",
        "amount_differs": "",
        "currency_differs": "",
        "duplicate": "",
        "only_in": "",
    }


def test_each_difference_of_customers_is_found_and_none_besides(network: Network) -> None:
    before = seen(network.compared("customers"))
    books, billing = network.table("quickbooks", "Customer"), network.table("stripe", "customer")
    kept = copy.deepcopy(dict(books)), copy.deepcopy(dict(billing))
    by_name = {record["DisplayName"]: record for record in books.values()}
    by_name["Old Mill Bakery"]["DisplayName"] = "Old Mill Bakers"  # not linked: only its name said
    by_name["Station Square Espresso"]["Active"] = False
    stripe_url = network.running["stripe"].url
    bearer = {"authorization": f"Bearer {SECRET}"}
    for key, name in (("C-1004", "Botanical Garden Café"), ("C-9999", "Nobody Else Knows")):
        values = {"name": name, "metadata[external_key]": key}
        httpx.post(f"{stripe_url}/v1/customers", data=values, headers=bearer).raise_for_status()
    (renamed,) = [each for each in billing.values() if each["name"] == "Harbour Street Coffee"]
    renamed["name"] = "Harbor St. Coffee"
    (guest,) = [each for each in billing.values() if each["name"] == "Night Ferry Lounge"]
    del billing[guest["id"]]
    try:
        findings = network.compared("customers")
    finally:
        for table, values in zip((books, billing), kept, strict=True):
            table.clear()
            table.update(values)

    assert seen(findings) - before == {
        ("missing", "quickbooks", "C-1002"),
        ("status_differs", "quickbooks", "C-1003"),
        ("duplicate", "stripe", "C-1004"),
        ("only_in", "stripe", "C-9999"),
        ("name_differs", "stripe", "C-1001"),
        ("missing", "stripe", "C-1005"),
    }
    assert seen(network.compared("customers")) == before, "and what was put back is no difference"


def test_each_difference_of_orders_is_found_and_none_besides(network: Network) -> None:
    before = seen(network.compared("orders"))
    network.order(["salesforce", "tryton"])
    missing = network.order(["salesforce"])
    amount = network.order(["salesforce"])
    network.order(["tryton"], amount, price="150.00")
    # The same number of another customer is another order, and the shop's orders are the ERP's.
    network.order(["tryton"], missing, code="C-1002")
    draft = network.order(["tryton"])
    line = {
        "sku": "GRINDER-M1",
        "quantity": {"value": "2"},
        "unitPrice": {"amount": "149.00", "currency": "EUR"},
    }
    body = {"currency": "EUR", "poNumber": draft, "lines": [line]}
    body["customerId"] = network.account("C-1001")
    network.put("POST", "/system/salesforce/v1/orders", body)

    findings = network.compared("orders")

    assert seen(findings) - before == {
        ("missing", "tryton", f"C-1001/{missing}"),
        ("amount_differs", "tryton", f"C-1001/{amount}"),
        ("status_differs", "tryton", f"C-1001/{draft}"),
    }
    found = named(findings, "amount_differs", f"C-1001/{amount}")
    assert (found["expected"], found["found"]) == ("298.00 EUR", "300.00 EUR")


def test_a_run_tells_how_far_it_came_and_leaves_nothing_staged(network: Network) -> None:
    network.subscribe()
    run = network.done(network.start("invoices"))

    work = {part["work"]: part for part in run["progress"]}
    assert list(work) == [
        "read invoices of stripe",
        "read invoices of quickbooks",
        "compare invoices",
    ]
    assert {part["state"] for part in work.values()} == {"done"}
    assert work["read invoices of stripe"]["records"] > 0
    assert run["findings"]["byKind"]["missing"] >= 1
    assert run["findings"]["total"] == sum(run["findings"]["byKind"].values())
    assert run["begunAt"] <= run["endedAt"]
    assert run["startedBy"] == "tests"
    listed = network.items(f"{BASE}/runs")
    assert run["id"] in [each["id"] for each in listed]
    times = [each["requestedAt"] for each in listed]
    assert times == sorted(times, reverse=True)


def test_a_period_has_only_what_was_made_in_it(network: Network) -> None:
    network.subscribe()
    period = {"from": "2020-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z"}
    run_id = network.start("invoices", period=period)

    assert network.done(run_id)["findings"]["total"] == 0
    assert network.compared("invoices") != []
