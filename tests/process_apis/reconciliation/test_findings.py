"""What people do about findings: fix, acknowledge, read them as a report."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.process_apis.reconciliation.conftest import BASE, SECONDS
from tests.support.serving import eventually

if TYPE_CHECKING:
    from tests.process_apis.reconciliation.conftest import Network

CARD = "pm_card_visa"


def about(network: Network, subject: str, record_id: str) -> dict[str, Any]:
    """Compare, and return the finding about a record."""
    findings = network.compared(subject)
    (found,) = [each for each in findings if record_id in str(each["records"])]
    return network.finding(found["id"])


def invoices(network: Network) -> int:
    return len(network.table("quickbooks", "Invoice"))


def test_an_unbilled_subscription_is_billed_and_the_next_run_is_clean(network: Network) -> None:
    invoice_id = network.subscribe()
    finding = about(network, "invoices", invoice_id)
    before = invoices(network)

    first, again = network.fix(finding["id"]), network.fix(finding["id"])
    billed = eventually(lambda: invoices(network) == before + 1, SECONDS)
    findings = network.compared("invoices")

    assert (first.status_code, again.status_code) == (200, 200)
    assert billed
    assert first.json()["state"] == "fixed"
    assert first.json()["history"] == again.json()["history"], "it was done once"
    (deed,) = first.json()["history"]
    assert (deed["actor"], deed["action"]) == ("tests", "fix")
    assert deed["detail"].startswith("run o2c-")
    assert finding["id"] not in {found["id"] for found in findings}
    assert network.finding(finding["id"])["state"] == "resolved"
    assert network.fix(finding["id"]).status_code == 409
    assert invoices(network) == before + 1


def test_what_was_paid_in_stripe_is_entered_in_the_books(network: Network) -> None:
    """Of an invoice that was billed, and of one that was not."""
    billed, number = network.billed()
    unbilled = network.subscribe()
    for invoice_id in (billed, unbilled):
        network.at_stripe(f"invoices/{invoice_id}/pay", payment_method=CARD)
    paid, missing = about(network, "invoices", billed), about(network, "invoices", unbilled)
    payments = len(network.table("quickbooks", "Payment"))

    fixed = [network.fix(finding["id"]) for finding in (paid, missing)]
    there = eventually(lambda: len(network.table("quickbooks", "Payment")) == payments + 2, SECONDS)
    after = {found["id"] for found in network.compared("invoices")}

    assert (paid["kind"], paid["expected"], paid["found"]) == ("status_differs", "paid", "issued")
    assert missing["kind"] == "missing"
    assert [answer.status_code for answer in fixed] == [200, 200]
    assert there
    assert network.books_invoice(number)["Balance"] == 0
    assert not after & {paid["id"], missing["id"]}


def test_an_invoice_without_subscription_is_entered_in_the_books(network: Network) -> None:
    key = f"INV-{uuid4().hex[:8]}"
    price = {"amount": "149.00", "currency": "EUR"}
    line = {"description": "Grinder", "sku": "GRINDER-M1", "quantity": 2, "unitPrice": price}
    body = {"customerId": network.stripe_customer(), "currency": "EUR", "lines": [line]}
    made = network.put("PUT", f"/system/stripe/v1/invoices/by-key/{key}", body)
    network.put("POST", f"/system/stripe/v1/invoices/{made['id']}/actions/finalize")
    finding = about(network, "invoices", made["id"])

    assert finding["fix"] == "put_invoice"
    assert network.fix(finding["id"]).json()["state"] == "fixed"
    assert finding["id"] not in {found["id"] for found in network.compared("invoices")}
    assert network.books_invoice(key)["TotalAmt"] == 298


def test_a_line_that_the_books_cannot_take_is_told(network: Network) -> None:
    key = f"INV-{uuid4().hex[:8]}"
    line = {"description": "Help", "quantity": 1, "unitPrice": {"amount": "9", "currency": "EUR"}}
    body = {"customerId": network.stripe_customer(), "currency": "EUR", "lines": [line]}
    made = network.put("PUT", f"/system/stripe/v1/invoices/by-key/{key}", body)
    network.put("POST", f"/system/stripe/v1/invoices/{made['id']}/actions/finalize")
    finding = about(network, "invoices", made["id"])

    refused = network.fix(finding["id"])

    assert refused.status_code == 422
    assert refused.json()["detail"] == "line 1 of the invoice in Stripe has no sku"
    after = network.finding(finding["id"])
    assert after["state"] == "open"
    assert [deed["detail"] for deed in after["history"]] == [
        "not made: line 1 of the invoice in Stripe has no sku"
    ]


def test_a_void_invoice_is_void_in_the_books_as_well(network: Network) -> None:
    invoice_id, number = network.billed()
    network.put("POST", f"/system/stripe/v1/invoices/{invoice_id}/actions/void")
    finding = about(network, "invoices", invoice_id)

    assert network.fix(finding["id"]).status_code == 200
    assert network.books_invoice(number)["TotalAmt"] == 0
    assert finding["id"] not in {found["id"] for found in network.compared("invoices")}


def test_an_order_that_the_erp_lacks_is_placed_there(network: Network) -> None:
    number = network.order(["salesforce"])
    finding = about(network, "orders", _order_id(network, number))

    fixed = network.fix(finding["id"])
    (sale,) = network.items(f"/system/tryton/v1/sales?customerId=C-1001&poNumber={number}")

    assert fixed.json()["history"][0]["detail"] == f"sale {sale['id']} in the ERP"
    assert (sale["status"], sale["totals"]["net"]["amount"]) == ("confirmed", "298.00")
    assert finding["id"] not in {found["id"] for found in network.compared("orders")}


def _order_id(network: Network, number: str) -> str:
    (order,) = network.items(f"/system/salesforce/v1/orders?poNumber={number}")
    return str(order["id"])


def test_a_customer_is_put_where_it_is_missing_and_named_as_the_erp_does(
    network: Network,
) -> None:
    books, billing = network.table("quickbooks", "Customer"), network.table("stripe", "customer")
    (unknown,) = [each for each in books.values() if each["DisplayName"] == "Old Mill Bakery"]
    unknown["DisplayName"] = "Somebody Else"
    (renamed,) = [each for each in billing.values() if each["name"] == "Harbour Street Coffee"]
    renamed["name"] = "Harbor St. Coffee"
    findings = {found["kind"]: found for found in network.compared("customers")}

    fixed = [network.fix(findings[kind]["id"]) for kind in ("missing", "name_differs")]
    after = network.compared("customers")

    assert {kind: found["fix"] for kind, found in findings.items()} == {
        "missing": "put_customer",
        "name_differs": "put_customer",
    }
    assert [answer.status_code for answer in fixed] == [200, 200]
    assert after == []


def test_what_people_have_to_decide_has_no_fix_and_can_be_accepted(network: Network) -> None:
    invoice_id, number = network.billed()
    network.books_invoice(number).update(TotalAmt=99, Balance=99)
    finding = about(network, "invoices", invoice_id)

    refused = network.fix(finding["id"])
    accepted, again = network.acknowledge(finding["id"]), network.acknowledge(finding["id"])
    unchanged = {found["id"] for found in network.compared("invoices")}
    network.books_invoice(number).update(TotalAmt=98, Balance=98)
    changed = {found["id"] for found in network.compared("invoices")}

    assert refused.status_code == 422
    assert refused.json()["detail"].endswith("which amount is right is for people to decide")
    assert accepted.json()["state"] == again.json()["state"] == "acknowledged"
    assert len(again.json()["history"]) == 1
    assert finding["id"] not in unchanged
    assert finding["id"] in changed, "it is another difference now"
    assert network.finding(finding["id"])["state"] == "open"
    assert network.finding(finding["id"])["firstSeenAt"] == finding["firstSeenAt"]


def test_an_accepted_difference_is_not_fixed(network: Network) -> None:
    finding = about(network, "invoices", network.subscribe())
    network.acknowledge(finding["id"])

    refused = network.fix(finding["id"])

    assert (refused.status_code, refused.json()["detail"]) == (409, "the finding is acknowledged")


def test_findings_are_filtered_and_come_in_pages(network: Network) -> None:
    for _ in range(3):
        network.subscribe()
    run_id = network.start("invoices")
    reported = network.done(run_id)["findings"]["byKind"]["missing"]
    query = f"{BASE}/findings?runId={run_id}&kind=missing&subject=invoices&system=quickbooks"
    found, cursor = [], ""
    while True:
        page = network.put("GET", f"{query}&limit=2{cursor}")
        found += page["items"]
        if "nextCursor" not in page:
            break
        cursor = f"&cursor={page['nextCursor']}"

    assert len(found) == len({each["id"] for each in found}) == reported >= 3
    assert {each["state"] for each in found} <= {"open", "fixed"}
    assert network.items(f"{query}&state=resolved") == []


def test_the_report_is_json_or_csv_and_no_cell_of_it_is_a_formula(network: Network) -> None:
    body = {
        "customerId": "1",
        "currency": "EUR",
        "lines": [
            {
                "sku": "GRINDER-M1",
                "quantity": {"value": "1"},
                "unitPrice": {"amount": "149.00", "currency": "EUR"},
            }
        ],
    }
    made = network.put("PUT", f"/system/quickbooks/v1/invoices/by-key/X{uuid4().hex[:8]}", body)
    formula = '=HYPERLINK("x";"y")'
    network.table("quickbooks", "Invoice")[made["id"]]["DocNumber"] = formula
    run_id = network.start("invoices")
    network.done(run_id)
    path = f"{BASE}/runs/{run_id}/report"

    as_csv = network.ask("GET", path, headers={"accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(as_csv.text)))
    refused = network.ask("GET", path, headers={"accept": "image/png"})

    assert as_csv.headers["content-type"].startswith("text/csv")
    assert "attachment" in as_csv.headers["content-disposition"]
    assert {row["id"] for row in rows} == {found["id"] for found in network.report(run_id)}
    (row,) = [row for row in rows if row["records"] == f"quickbooks {made['id']}"]
    assert row["key"] == f"'{formula}"
    assert refused.status_code == 406


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"period": {"from": "2026-11-02T00:00:00Z", "to": "2026-11-01T00:00:00Z"}}, "#/period/to"),
        ({"subjects": ["payments"]}, "#/subjects/0"),
        ({"subjects": []}, "#/subjects"),
        ({"everything": True}, "#/everything"),
    ],
)
def test_a_run_that_cannot_be_is_refused(
    network: Network, body: dict[str, Any], pointer: str
) -> None:
    refused = network.ask("POST", f"{BASE}/runs", json=body)

    assert refused.status_code == 422, refused.text
    assert pointer.startswith(refused.json()["errors"][0]["pointer"])


def test_a_run_is_started_once_for_a_key(network: Network) -> None:
    key = {"idempotency-key": str(uuid4())}
    first, again = (
        network.ask("POST", f"{BASE}/runs", json={"subjects": ["orders"]}, headers=key)
        for _ in range(2)
    )

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"].endswith(f"/runs/{first.json()['id']}")
    network.done(first.json()["id"])


@pytest.mark.parametrize(
    "path",
    [
        "/runs/none",
        "/runs/none/report",
        f"/findings/{'0' * 40}",
        "/findings?cursor=bm90aGluZw",
        "/runs?cursor=bm90aGluZw",
    ],
)
def test_what_is_not_there_is_not_found(network: Network, path: str) -> None:
    assert network.ask("GET", f"{BASE}{path}").status_code == 404
