"""Every operation against the sandbox, the contract enforced on both sides."""

from __future__ import annotations

from typing import Any

import pytest

from portico.connectors.messages import Job
from portico.deadline import Deadline
from portico.problems import Problem
from tests.system_apis.stripe.conftest import Account

pytestmark = pytest.mark.anyio

EUR = "EUR"
GRINDER, FILTERS = {"amount": "149.00", "currency": EUR}, {"amount": "6.50", "currency": EUR}
LINES = [
    {"description": "Burr grinder M1", "quantity": 2, "unitPrice": GRINDER},
    {"description": "Filters", "quantity": 1, "unitPrice": FILTERS},
]
CLUB = {"name": "Club", "unitPrice": {"amount": "27.40", "currency": EUR}, "billedEvery": "month"}


async def call(account: Account, name: str, *, body: Any = None, **arguments: Any) -> Any:
    return (await account.api.invoke(name, arguments, body=body)).body


async def put(account: Account, name: str, body: Any, **arguments: Any) -> tuple[int, Any]:
    reply = await account.api.invoke(name, arguments, body=body)
    return reply.status, reply.body


async def first_customer(account: Account) -> str:
    page = await call(account, "listCustomers", email="orders@harbour-street.example")
    (customer,) = page["items"]
    return str(customer["id"])


async def refusal(account: Account, name: str, *, body: Any = None, **arguments: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        await account.api.invoke(name, arguments, body=body)
    return raised.value


async def test_the_company_is_there(account: Account) -> None:
    page = await call(account, "listCustomers", limit=2)
    rest = await call(account, "listCustomers", limit=100, cursor=page["nextCursor"])
    customers = page["items"] + rest["items"]

    assert "nextCursor" not in rest
    assert [customer["name"] for customer in customers][-1] == "Harbour Street Coffee"
    assert customers[-1]["extensions"]["stripe"]["externalKey"] == "C-1001"
    assert customers[-1]["addresses"][0] == {
        "role": "billing",
        "line1": "4 Harbour Street",
        "city": "Rotterdam",
        "postalCode": "3011 AA",
        "country": "NL",
    }


async def test_a_customer_is_found_by_its_key(account: Account) -> None:
    named = await call(account, "listCustomers", externalKey="C-1001")
    elsewhere = await call(
        account, "listCustomers", externalKey="C-1001", email="bar@night-ferry.example"
    )

    assert [customer["name"] for customer in named["items"]] == ["Harbour Street Coffee"]
    assert elsewhere == {"items": []}
    assert await call(account, "listCustomers", externalKey="C-9999") == {"items": []}


async def test_a_customer_that_was_put_is_found_by_its_key_before_the_search_knows_it(
    account: Account,
) -> None:
    _, made = await put(account, "putCustomer", {"name": "Corner Kiosk"}, externalKey="K-1")
    # As if the search were behind.
    account.sandbox.state.table("customer")[made["id"]]["metadata"] = {}

    found = await call(account, "listCustomers", externalKey="K-1")

    assert [customer["id"] for customer in found["items"]] == [made["id"]]


async def test_a_customer_that_was_deleted_is_not_found_by_its_key(account: Account) -> None:
    _, made = await put(account, "putCustomer", {"name": "Corner Kiosk"}, externalKey="K-2")
    await account.stripe.end(f"customers/{made['id']}", Job(deadline=Deadline.after(5)))

    assert await call(account, "listCustomers", externalKey="K-2") == {"items": []}


async def test_a_customer_is_put_once_for_its_key(account: Account) -> None:
    created = await put(account, "putCustomer", {"name": "New"}, externalKey="C-9")
    changed = await put(
        account, "putCustomer", {"name": "Newer", "email": "a@b.example"}, externalKey="C-9"
    )

    assert (created[0], changed[0]) == (201, 200)
    assert created[1]["id"] == changed[1]["id"]
    assert (await call(account, "getCustomer", customerId=changed[1]["id"]))["name"] == "Newer"
    assert account.count("customer") == 6


async def test_a_customer_that_was_there_before_us_is_taken_over(account: Account) -> None:
    status, customer = await put(account, "putCustomer", {"name": "Renamed"}, externalKey="C-1001")

    assert (status, customer["id"]) == (200, await first_customer(account))
    assert customer["email"] == "orders@harbour-street.example"  # what is left out stays


async def test_a_deleted_customer_is_not_found_and_not_made_again(account: Account) -> None:
    _, customer = await put(account, "putCustomer", {"name": "New"}, externalKey="C-9")
    await account.stripe.end(f"customers/{customer['id']}", Job(deadline=Deadline.after(5)))

    assert (await refusal(account, "getCustomer", customerId=customer["id"])).status == 404
    for _ in range(2):
        again = await refusal(account, "putCustomer", body={"name": "New"}, externalKey="C-9")
        assert again.status == 409


async def test_products_have_their_sku_and_price(account: Account) -> None:
    page = await call(account, "listProducts", limit=100)
    grinder = await call(account, "getProduct", sku="GRINDER-M1")

    assert len(page["items"]) == 15
    assert grinder in page["items"]
    assert grinder["prices"] == [{"list": "standard", "amount": "149.00", "currency": EUR}]
    assert (await refusal(account, "getProduct", sku="NO-SUCH")).status == 404


async def test_another_amount_is_another_price(account: Account) -> None:
    body = {"name": "Filters", "unitPrice": {"amount": "7.00", "currency": EUR}}
    status, product = await put(account, "putProduct", body, sku="FILTER-V60-100")
    again = await put(account, "putProduct", body, sku="FILTER-V60-100")

    assert status == 200
    assert product["prices"][0]["amount"] == "7.00"
    assert again[1]["extensions"] == product["extensions"]
    assert account.count("price") == 16


async def test_a_new_product_is_made_once(account: Account) -> None:
    assert (await put(account, "putProduct", CLUB, sku="BEANS-CLUB"))[0] == 201
    assert (await put(account, "putProduct", CLUB, sku="BEANS-CLUB"))[0] == 200


async def test_a_subscription_bills_at_once_and_ends(account: Account) -> None:
    await put(account, "putProduct", CLUB, sku="BEANS-CLUB")
    wanted = {
        "customerId": await first_customer(account),
        "items": [{"sku": "BEANS-CLUB", "quantity": 2}],
        "daysUntilDue": 14,
    }
    status, made = await put(account, "putSubscription", wanted, externalKey="S-1")
    again = await put(account, "putSubscription", wanted, externalKey="S-1")
    invoice = await call(account, "getInvoice", invoiceId=made["latestInvoiceId"])
    ended = await call(account, "cancelSubscription", subscriptionId=made["id"])

    assert (status, again) == (201, (200, made))
    assert made["items"][0]["billedEvery"] == "month"
    assert invoice["totals"]["gross"] == {"amount": "54.80", "currency": EUR}
    assert invoice["extensions"]["stripe"]["subscriptionId"] == made["id"]
    assert ended["status"] == "ended"
    assert await call(account, "cancelSubscription", subscriptionId=made["id"]) == ended
    assert (await call(account, "listSubscriptions"))["items"] == [ended]


async def subscribed(account: Account) -> tuple[str, Any]:
    """Return a customer and the open invoice of a new subscription, over 54.80."""
    await put(account, "putProduct", CLUB, sku="BEANS-CLUB")
    customer_id = await first_customer(account)
    items = [{"sku": "BEANS-CLUB", "quantity": 2}]
    wanted = {"customerId": customer_id, "items": items, "daysUntilDue": 14}
    _, made = await put(account, "putSubscription", wanted, externalKey="S-1")
    return customer_id, await call(account, "getInvoice", invoiceId=made["latestInvoiceId"])


async def test_an_invoice_is_paid_in_parts_and_given_back(account: Account) -> None:
    customer_id, invoice = await subscribed(account)
    statuses, references = [], []
    for key, amount in (("P-1", "20.00"), ("P-2", "40.00")):
        body = {
            "customerId": customer_id,
            "amount": {"amount": amount, "currency": EUR},
            "paymentToken": "pm_card_visa",
        }
        _, payment = await put(account, "putPayment", body, externalKey=key)
        references.append(payment["id"])
        values = {"payment_intent": payment["id"]}
        job = Job(deadline=Deadline.after(5))
        await account.stripe.post(f"invoices/{invoice['id']}/attach_payment", values, job)
        found = await call(account, "getInvoice", invoiceId=invoice["id"])
        statuses.append((found["status"], found["totals"]["due"]["amount"]))
    parts = (await call(account, "listInvoicePayments", invoiceId=invoice["id"]))["items"]
    await put(account, "putRefund", {}, paymentId=references[0], externalKey="R-1")
    (refund,) = (await call(account, "listRefunds", paymentId=references[0]))["items"]
    read = await call(account, "getRefund", refundId=refund["id"])

    assert invoice["extensions"]["stripe"]["subscriptionId"].startswith("sub_")
    assert statuses == [("partially_paid", "34.80"), ("paid", "0.00")]
    assert [part["amount"]["amount"] for part in parts] == ["34.80", "20.00"]
    assert [part["provider"]["reference"] for part in parts] == references[::-1]
    assert {part["status"] for part in parts} == {"captured"}
    assert (read["amount"]["amount"], read["status"]) == ("-20.00", "refunded")
    assert read == {**refund, "invoiceIds": [invoice["id"]]}
    assert read["extensions"]["stripe"]["paymentId"] == references[0]
    events = await call(account, "listEvents", types=["invoice_payment.paid", "invoice.paid"])
    assert [event["recordId"] for event in events["items"]] == [
        invoice["id"],
        parts[0]["id"],
        parts[1]["id"],
    ]


async def test_what_was_paid_outside_of_stripe_has_no_payment(account: Account) -> None:
    _, invoice = await subscribed(account)
    job = Job(deadline=Deadline.after(5))
    await account.stripe.post(f"invoices/{invoice['id']}/pay", {"paid_out_of_band": True}, job)
    paid = await call(account, "getInvoice", invoiceId=invoice["id"])

    assert (paid["status"], paid["totals"]["paid"]["amount"]) == ("paid", "54.80")
    assert await call(account, "listInvoicePayments", invoiceId=invoice["id"]) == {"items": []}
    assert (await refusal(account, "getRefund", refundId="re_none")).status == 404


async def test_a_one_time_price_cannot_be_subscribed_to(account: Account) -> None:
    customer_id = await first_customer(account)
    for sku in ("GRINDER-M1", "NO-SUCH"):
        body = {"customerId": customer_id, "items": [{"sku": sku}], "daysUntilDue": 14}
        problem = await refusal(account, "putSubscription", body=body, externalKey="S-1")
        assert problem.status == 422


async def test_an_invoice_from_draft_to_void(account: Account) -> None:
    body = {"customerId": await first_customer(account), "currency": EUR, "lines": LINES}
    status, draft = await put(account, "putInvoice", body, externalKey="I-1")
    again = await put(account, "putInvoice", body, externalKey="I-1")
    early = await refusal(account, "voidInvoice", invoiceId=draft["id"])
    issued = await call(account, "finalizeInvoice", invoiceId=draft["id"])
    void = await call(account, "voidInvoice", invoiceId=draft["id"])

    assert (status, again) == (201, (200, draft))
    assert (draft["status"], issued["status"], void["status"]) == ("draft", "issued", "void")
    assert early.status == 409
    assert draft["totals"]["gross"] == {"amount": "304.50", "currency": EUR}
    assert draft["lines"][0]["unitPrice"] == {"amount": "149.00", "currency": EUR}
    assert issued["number"]
    assert issued["dueDate"] > issued["issueDate"]
    assert await call(account, "finalizeInvoice", invoiceId=draft["id"]) == void
    assert (await call(account, "listInvoices"))["items"] == [void]


async def test_an_invoice_with_many_lines_is_read_whole(account: Account) -> None:
    lines = [{**LINES[1], "description": f"Line {number}"} for number in range(12)]
    body = {"customerId": await first_customer(account), "currency": EUR, "lines": lines}
    _, invoice = await put(account, "putInvoice", body, externalKey="I-1")

    assert [line["description"] for line in invoice["lines"]] == [f"Line {n}" for n in range(12)]
    assert (await call(account, "listInvoices"))["items"] == [invoice]


async def test_a_price_in_another_currency_is_refused(account: Account) -> None:
    body = {"customerId": await first_customer(account), "currency": "USD", "lines": LINES}

    assert (await refusal(account, "putInvoice", body=body, externalKey="I-1")).status == 422
    assert account.count("invoice") == 0


async def test_a_payment_is_charged_once_and_refunded_in_parts(account: Account) -> None:
    body = {
        "customerId": await first_customer(account),
        "amount": {"amount": "50.00", "currency": EUR},
        "paymentToken": "pm_card_visa",
    }
    status, payment = await put(account, "putPayment", body, externalKey="P-1")
    again = await put(account, "putPayment", body, externalKey="P-1")
    part = {"amount": {"amount": "20.00", "currency": EUR}}
    refunds = [
        await put(account, "putRefund", wanted, paymentId=payment["id"], externalKey=key)
        for wanted, key in ((part, "R-1"), (part, "R-1"), ({}, "R-2"))
    ]
    late = await refusal(account, "cancelPayment", paymentId=payment["id"])

    assert (status, again) == (201, (200, payment))
    assert (payment["status"], payment["method"]) == ("captured", "card")
    assert [refund[0] for refund in refunds] == [201, 200, 201]
    assert [refund[1]["amount"]["amount"] for refund in refunds] == ["-20.00", "-20.00", "-30.00"]
    assert late.status == 409
    assert account.count("refund") == 2


async def test_a_declined_card_is_422_with_its_code(account: Account) -> None:
    body = {
        "customerId": await first_customer(account),
        "amount": {"amount": "50.00", "currency": EUR},
        "paymentToken": "pm_card_chargeDeclinedInsufficientFunds",
    }
    problem = await refusal(account, "putPayment", body=body, externalKey="P-1")
    status, payment = await put(account, "putPayment", body, externalKey="P-1")

    assert problem.status == 422
    assert problem.extensions["systemCode"] == "insufficient_funds"
    assert (status, payment["status"]) == (200, "failed")


async def test_an_authorized_payment_is_cancelled(account: Account) -> None:
    body = {
        "customerId": await first_customer(account),
        "amount": {"amount": "50.00", "currency": EUR},
        "capture": "manual",
        "paymentToken": "pm_card_visa",
    }
    _, payment = await put(account, "putPayment", body, externalKey="P-1")
    cancelled = await call(account, "cancelPayment", paymentId=payment["id"])

    assert (payment["status"], cancelled["status"]) == ("authorized", "cancelled")
    assert await call(account, "cancelPayment", paymentId=payment["id"]) == cancelled
    assert (await call(account, "listPayments"))["items"] == [cancelled]


async def test_an_authorized_payment_is_captured_once(account: Account) -> None:
    body = {
        "customerId": await first_customer(account),
        "amount": {"amount": "50.00", "currency": EUR},
        "capture": "manual",
        "paymentToken": "pm_card_visa",
    }
    _, payment = await put(account, "putPayment", body, externalKey="P-1")
    captured = await call(account, "capturePayment", paymentId=payment["id"])
    again = await call(account, "capturePayment", paymentId=payment["id"])
    _, other = await put(account, "putPayment", body, externalKey="P-2")
    await call(account, "cancelPayment", paymentId=other["id"])
    late = await refusal(account, "capturePayment", paymentId=other["id"])

    assert (captured["status"], captured["amount"]["amount"]) == ("captured", "50.00")
    assert again == captured
    assert late.status == 409
    assert account.count("charge") == 1


async def test_events_tell_what_happened_to_what(account: Account) -> None:
    _, customer = await put(account, "putCustomer", {"name": "New"}, externalKey="C-9")
    since = customer["createdAt"]
    page = await call(account, "listEvents", since=since, types=["customer.created"], limit=1)
    later = await call(account, "listEvents", since="2099-01-01T00:00:00Z")

    assert page["items"][0]["recordId"] == customer["id"]
    assert page["items"][0]["externalKey"] == "C-9"
    assert later["items"] == []


@pytest.mark.parametrize("cursor", ["Y3VzX25vLXN1Y2g", "_", "a"])
async def test_a_cursor_that_leads_nowhere_is_not_found(account: Account, cursor: str) -> None:
    assert (await refusal(account, "listCustomers", cursor=cursor)).status == 404
