"""Every operation against the sandbox, the contract enforced on both sides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portico.connectors.failures import ConflictError
from portico.connectors.messages import Job
from portico.connectors.moments import timestamp
from portico.deadline import Deadline
from portico.problems import Problem
from system_apis.quickbooks.sandbox.server import REALM_ID
from tests.system_apis.quickbooks.conftest import Company

pytestmark = pytest.mark.anyio

EUR = "EUR"
GRINDER = {
    "sku": "GRINDER-M1",
    "quantity": {"value": "2"},
    "unitPrice": {"amount": "149.00", "currency": EUR},
}
BEANS = {
    "sku": "BEANS-HOUSE",
    "description": "House blend",
    "quantity": {"value": "1.125"},
    "unitPrice": {"amount": "21.50", "currency": EUR},
}
INVOICE = {"customerId": "1", "currency": EUR, "lines": [GRINDER, BEANS]}


async def call(company: Company, name: str, **arguments: Any) -> Any:
    return (await company.api.invoke(name, arguments)).body


async def put(company: Company, name: str, body: Any, **arguments: Any) -> tuple[int, Any]:
    reply = await company.api.invoke(name, arguments, body=body)
    return reply.status, reply.body


async def refusal(company: Company, name: str, *, body: Any = None, **arguments: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        await company.api.invoke(name, arguments, body=body)
    return raised.value


async def test_the_company_is_there(company: Company) -> None:
    page = await call(company, "listCustomers", limit=3)
    rest = await call(company, "listCustomers", limit=3, cursor=page["nextCursor"])
    customers = page["items"] + rest["items"]

    assert "nextCursor" not in rest
    assert [customer["id"] for customer in customers] == ["1", "2", "3", "4", "5"]
    assert customers[1]["name"] == "Old Mill Bakery"
    assert [address["role"] for address in customers[1]["addresses"]] == ["billing", "shipping"]
    assert await call(company, "getCustomer", customerId="2") == customers[1]
    assert (await refusal(company, "getCustomer", customerId="99")).status == 404


async def test_a_customer_is_found_by_the_key_it_was_put_under(company: Company) -> None:
    before = await call(company, "listCustomers", externalKey="C-1002")
    await put(company, "putCustomer", {"name": "Old Mill Bakery"}, externalKey="C-1002")

    after = await call(company, "listCustomers", externalKey="C-1002")

    assert before == {"items": []}
    assert after["items"] == [await call(company, "getCustomer", customerId="2")]
    assert after["items"][0]["extensions"]["quickbooks"]["externalKey"] == "C-1002"
    listed = (await call(company, "listCustomers"))["items"]
    keyed = [found["id"] for found in listed if "externalKey" in found["extensions"]["quickbooks"]]
    assert keyed == ["2"]
    assert "nextCursor" not in after


async def test_a_customer_is_put_once_for_its_key(company: Company) -> None:
    body = {"name": "O'Brien & Sons", "email": "a@b.example"}
    created = await put(company, "putCustomer", body, externalKey="C-9")
    phone = {"name": "O'Brien & Sons", "phone": "+31 10 555 0199"}
    changed = await put(company, "putCustomer", phone, externalKey="C-9")

    assert (created[0], changed[0]) == (201, 200)
    assert changed[1]["id"] == created[1]["id"]
    assert changed[1]["email"] == "a@b.example"  # a sparse update leaves out what stays
    assert (created[1]["version"], changed[1]["version"]) == (0, 1)
    link = await company.books.references.find_external(
        "Customer", "quickbooks", REALM_ID, created[1]["id"]
    )
    assert link is not None
    assert link.is_echo(version="1", read_hash="")  # what we wrote comes back as a change


async def test_a_customer_that_was_there_before_us_is_taken_over(company: Company) -> None:
    body = {"name": "Night Ferry Lounge", "phone": "+31 255 555 0100"}
    status, customer = await put(company, "putCustomer", body, externalKey="C-1005")

    assert (status, customer["id"]) == (200, "5")
    assert company.count("Customer") == 5


async def test_a_name_belongs_to_one_key(company: Company) -> None:
    await put(company, "putCustomer", {"name": "Night Ferry Lounge"}, externalKey="C-1005")
    other = await refusal(
        company, "putCustomer", body={"name": "Night Ferry Lounge"}, externalKey="C-6"
    )
    await put(company, "putCustomer", {"name": "New"}, externalKey="C-7")
    renamed = await refusal(
        company, "putCustomer", body={"name": "Old Mill Bakery"}, externalKey="C-7"
    )

    assert (other.status, renamed.status) == (409, 409)
    assert (renamed.kind.slug, renamed.says_when) == ("conflict", False)
    assert renamed.extensions["systemCode"] == "6240"


async def test_a_change_that_met_another_is_merged_with_it(company: Company) -> None:
    job = Job(deadline=Deadline.after(5))
    first = await company.books.get("Customer", "1", job)
    await company.books.change("Customer", "1", {"Notes": "theirs"}, job)
    stale = {"Id": "1", "SyncToken": first.text("SyncToken"), "sparse": True, "Notes": "ours"}
    with pytest.raises(Exception, match="Stale"):
        await company.books.post("Customer", stale, job)
    changed = await company.books.change("Customer", "1", {"PrintOnCheckName": "ours"}, job)

    assert (changed.text("Notes"), changed.text("PrintOnCheckName")) == ("theirs", "ours")


async def test_products_are_items_with_a_sku(company: Company) -> None:
    page = await call(company, "listProducts", limit=100)
    product = await call(company, "getProduct", sku="GRINDER-M1")

    assert len(page["items"]) == 15
    assert product in page["items"]
    assert product["prices"] == [{"list": "standard", "amount": "149.00", "currency": EUR}]
    assert (await refusal(company, "getProduct", sku="NO-SUCH")).status == 404


async def test_an_invoice_is_made_once_paid_and_read(company: Company) -> None:
    status, invoice = await put(company, "putInvoice", INVOICE, documentNumber="INV-1")
    again = await put(company, "putInvoice", INVOICE, documentNumber="INV-1")
    body = {
        "customerId": "1",
        "amount": {"amount": "100.00", "currency": EUR},
        "invoiceIds": [invoice["id"]],
        "paidAt": "2026-11-20",
    }
    paid = await put(company, "putPayment", body, referenceNumber="PAY-1")
    paid_again = await put(company, "putPayment", body, referenceNumber="PAY-1")
    rest = {**body, "amount": {"amount": "222.19", "currency": EUR}}
    await put(company, "putPayment", rest, referenceNumber="PAY-2")
    final = await call(company, "getInvoice", invoiceId=invoice["id"])

    assert (status, again) == (201, (200, invoice))
    assert invoice["status"] == "issued"
    assert [line["sku"] for line in invoice["lines"]] == ["GRINDER-M1", "BEANS-HOUSE"]
    assert invoice["lines"][1]["netAmount"] == {"amount": "24.19", "currency": EUR}
    assert invoice["totals"]["gross"] == {"amount": "322.19", "currency": EUR}
    assert (paid[0], paid_again) == (201, (200, paid[1]))
    assert paid[1]["invoiceIds"] == [invoice["id"]]
    assert final["status"] == "paid"
    assert final["totals"]["due"] == {"amount": "0.00", "currency": EUR}
    assert (await call(company, "listPayments", customerId="1"))["items"][0] == paid[1]
    assert (await call(company, "listInvoices", customerId="1"))["items"] == [final]
    assert (await call(company, "listInvoices", customerId="2"))["items"] == []
    assert await call(company, "getPayment", paymentId=paid[1]["id"]) == paid[1]


async def test_a_payment_in_part_leaves_the_rest_due(company: Company) -> None:
    _, invoice = await put(company, "putInvoice", INVOICE, documentNumber="INV-1")
    body = {
        "customerId": "1",
        "amount": {"amount": "0.01", "currency": EUR},
        "invoiceIds": [invoice["id"]],
    }
    await put(company, "putPayment", body, referenceNumber="PAY-1")
    part = await call(company, "getInvoice", invoiceId=invoice["id"])

    assert part["status"] == "partially_paid"
    assert part["totals"]["due"] == {"amount": "322.18", "currency": EUR}


async def test_an_invoice_is_voided_once(company: Company) -> None:
    _, invoice = await put(company, "putInvoice", INVOICE, documentNumber="INV-1")
    void = await call(company, "voidInvoice", invoiceId=invoice["id"])

    assert void["status"] == "void"
    assert void["version"] == 1
    assert await call(company, "voidInvoice", invoiceId=invoice["id"]) == void


def payment_of(invoice_id: str, amount: str) -> dict[str, Any]:
    money = {"amount": amount, "currency": EUR}
    return {"customerId": "1", "amount": money, "invoiceIds": [invoice_id]}


async def test_an_invoice_that_was_paid_is_not_voided(company: Company) -> None:
    _, invoice = await put(company, "putInvoice", INVOICE, documentNumber="INV-1")
    await put(company, "putPayment", payment_of(invoice["id"], "0.01"), referenceNumber="PAY-1")

    assert (await refusal(company, "voidInvoice", invoiceId=invoice["id"])).status == 409
    still = await call(company, "getInvoice", invoiceId=invoice["id"])
    assert still["status"] == "partially_paid"


async def test_a_payment_that_comes_while_an_invoice_is_voided_wins(company: Company) -> None:
    """The SyncToken is that of the invoice before it was paid."""
    _, invoice = await put(company, "putInvoice", INVOICE, documentNumber="INV-1")
    await put(company, "putPayment", payment_of(invoice["id"], "0.01"), referenceNumber="PAY-1")
    values = {"Id": invoice["id"], "SyncToken": "0"}
    job = Job(deadline=Deadline.after(5))

    with pytest.raises(ConflictError, match="Stale"):
        await company.books.post("Invoice", values, job, operation="void")


async def test_an_invoice_is_found_by_its_number(company: Company) -> None:
    _, invoice = await put(company, "putInvoice", INVOICE, documentNumber="INV-1")
    await put(company, "putInvoice", INVOICE, documentNumber="INV-2")

    assert (await call(company, "listInvoices", documentNumber="INV-1"))["items"] == [invoice]
    assert (await call(company, "listInvoices", documentNumber="INV-3"))["items"] == []


async def test_a_credit_is_made_once_and_comes_to_what_is_said_last(company: Company) -> None:
    body = {
        "customerId": "1",
        "amount": {"amount": "54.80", "currency": EUR},
        "sku": "BEANS-HOUSE",
        "description": "Credit for INV-1",
    }
    made = await put(company, "putCredit", body, documentNumber="CR-1")
    again = await put(company, "putCredit", body, documentNumber="CR-1")
    less = {**body, "amount": {"amount": "0.00", "currency": EUR}}
    changed = await put(company, "putCredit", less, documentNumber="CR-1")
    unknown = {**body, "sku": "NO-SUCH"}

    assert made[0] == 201
    assert again == (200, made[1])
    assert (made[1]["kind"], made[1]["number"]) == ("credit_note", "CR-1")
    assert made[1]["totals"]["due"]["amount"] == "54.80"
    assert made[1]["lines"][0]["sku"] == "BEANS-HOUSE"
    assert made[1]["lines"][0]["description"] == "Credit for INV-1"
    assert (changed[0], changed[1]["id"]) == (200, made[1]["id"])
    assert changed[1]["totals"]["gross"]["amount"] == "0.00"
    assert await call(company, "getCredit", creditId=made[1]["id"]) == changed[1]
    assert company.count("CreditMemo") == 1
    assert (await refusal(company, "putCredit", body=unknown, documentNumber="CR-2")).status == 422


async def test_a_refund_leaves_the_account_of_its_payment_once(company: Company) -> None:
    _, invoice = await put(company, "putInvoice", INVOICE, documentNumber="INV-1")
    paid = payment_of(invoice["id"], "322.19")
    _, payment = await put(company, "putPayment", paid, referenceNumber="PAY-1")
    body = {
        "customerId": "1",
        "amount": {"amount": "20.00", "currency": EUR},
        "sku": "BEANS-HOUSE",
        "paymentId": payment["id"],
        "paidAt": "2026-11-20",
    }
    made = await put(company, "putRefund", body, referenceNumber="RE-1")
    again = await put(company, "putRefund", body, referenceNumber="RE-1")
    (receipt,) = company.sandbox.state.table("RefundReceipt").values()

    assert made[0] == 201
    assert again == (200, made[1])
    assert made[1]["amount"] == {"amount": "-20.00", "currency": EUR}
    assert (made[1]["status"], made[1]["paidAt"]) == ("refunded", "2026-11-20T00:00:00Z")
    assert receipt["DepositToAccountRef"]["name"] == "Undeposited Funds"
    assert await call(company, "getRefund", refundId=made[1]["id"]) == made[1]
    unknown = {**body, "paymentId": "99"}
    problem = await refusal(company, "putRefund", body=unknown, referenceNumber="RE-2")
    assert problem.status == 404


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"customerId": "99"}, "2500"),
        ({"lines": [{**GRINDER, "sku": "NO-SUCH"}]}, None),
        ({"currency": "USD"}, None),
    ],
)
async def test_what_cannot_be_billed_is_422_and_nothing_is_made(
    company: Company, change: dict[str, Any], code: str | None
) -> None:
    problem = await refusal(
        company, "putInvoice", body={**INVOICE, **change}, documentNumber="INV-1"
    )

    assert problem.status == 422
    assert problem.extensions.get("systemCode") == code
    assert company.count("Invoice") == 0
    # The corrected one is another operation.
    assert (await put(company, "putInvoice", INVOICE, documentNumber="INV-1"))[0] == 201


async def test_changes_are_told_the_earliest_first_with_what_is_gone(company: Company) -> None:
    since = timestamp(datetime.now(UTC) - timedelta(minutes=2))
    _, invoice = await put(company, "putInvoice", INVOICE, documentNumber="INV-1")
    gone = {"Id": invoice["id"], "SyncToken": "0"}
    await company.books.post("Invoice", gone, Job(deadline=Deadline.after(5)), operation="delete")
    everything = await call(company, "listChanges", since=since)
    invoices = await call(company, "listChanges", since=since, entities=["invoice"])

    assert len(everything["items"]) == 5 + 15 + 1
    (change,) = invoices["items"]
    assert (change["recordId"], change["deleted"]) == (invoice["id"], True)
    assert (await refusal(company, "listChanges", since="2020-01-01T00:00:00Z")).status == 422


@pytest.mark.parametrize("cursor", ["Y3VzXzE", "_", "LTE", "MTIzNDU2Nzg5MDEy"])
async def test_a_cursor_that_leads_nowhere_is_not_found(company: Company, cursor: str) -> None:
    assert (await refusal(company, "listCustomers", cursor=cursor)).status == 404


async def test_a_customer_that_people_made_is_changed_by_its_id(company: Company) -> None:
    before = await call(company, "getCustomer", customerId="1")

    status, changed = await put(
        company, "changeCustomer", {"email": "books@harbour-street.example"}, customerId="1"
    )

    assert status == 200
    assert changed["email"] == "books@harbour-street.example"
    for name in ("name", "addresses", "currency"):
        assert changed[name] == before[name]
    refused = await refusal(company, "changeCustomer", body={"name": "X"}, customerId="99")
    assert refused.status == 404
    taken = {"name": "Old Mill Bakery"}
    assert (await refusal(company, "changeCustomer", body=taken, customerId="1")).status == 409
