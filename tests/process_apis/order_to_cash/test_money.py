"""Payments, refunds and cancellations, from Stripe's webhooks to the books and the stage."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from portico.sandbox.faults import Faults
from tests.process_apis.order_to_cash.conftest import RUNS
from tests.support.serving import eventually

if TYPE_CHECKING:
    from tests.process_apis.order_to_cash.conftest import Network

SECONDS = 30.0
PAID, REFUNDED = "invoice.paid", "refund.created"
ENDED = "customer.subscription.deleted"
CARD = "pm_card_visa"
OVER = {"done", "cancelled", "dead"}


def ended(
    network: Network, record_id: str, kind: str = "customer.subscription.created", to: str = "done"
) -> dict[str, Any]:
    """Return the run of an event once it has this phase."""
    there = eventually(lambda: network.run(record_id, kind).get("phase") == to, SECONDS)
    run = network.run(record_id, kind)
    assert there, run
    return run


def is_over(network: Network, record_id: str, kind: str) -> bool:
    return network.run(record_id, kind).get("phase") in OVER


def billed(network: Network) -> tuple[str, str]:
    """Return a subscription that is in the books, and its invoice in Stripe, over 54.80."""
    subscription_id = network.subscribe()
    ended(network, subscription_id)
    return subscription_id, network.invoice_of(subscription_id)


def paid(network: Network) -> tuple[str, str, str]:
    """Return a subscription, its invoice, and the payment in Stripe, all of it in the books."""
    subscription_id, invoice_id = billed(network)
    network.at_stripe("POST", f"invoices/{invoice_id}/pay", payment_method=CARD)
    ended(network, invoice_id, PAID)
    (part,) = network.at_stripe("GET", "invoice_payments", invoice=invoice_id)["data"]
    return subscription_id, invoice_id, str(part["payment"]["payment_intent"])


def started(network: Network, **body: str) -> dict[str, Any]:
    """Start a run over the API, and return it when it is over."""
    answer = network.ask("POST", RUNS, json=body)
    assert answer.status_code == 202, answer.text
    path = f"{RUNS}/{answer.json()['id']}"
    over = eventually(lambda: network.ask("GET", path).json()["phase"] != "running", SECONDS)
    run: dict[str, Any] = network.ask("GET", path).json()
    assert over, run
    return run


def test_a_payment_leaves_nothing_due_and_the_opportunity_won(network: Network) -> None:
    subscription_id, invoice_id, _ = paid(network)

    run = network.run(invoice_id, PAID)
    (invoice,) = network.invoices()
    (payment,) = network.in_books("Payment")
    assert (invoice["status"], invoice["totals"]["due"]["amount"]) == ("paid", "0.00")
    assert str(payment["TotalAmt"]) == "54.80"
    assert run["kind"] == "payment"
    assert run["subscriptionId"] == subscription_id
    assert run["invoice"] == {
        "id": invoice["id"],
        "number": invoice["number"],
        "status": "paid",
    }
    assert [each["number"] for each in run["payments"]] == [payment["PaymentRefNum"]]
    assert network.stage() == "Closed Won"
    assert {"step": "record the payment", "tries": 1, "failed": False} in run["steps"]


def test_a_payment_that_comes_before_its_invoice_and_twice_is_entered_once(
    network: Network,
) -> None:
    """The webhooks of a charged subscription come at once, the last one first."""
    customers = network.at_stripe("GET", "customers", limit="100")["data"]
    (customer,) = [
        each["id"] for each in customers if each["metadata"].get("external_key") == "C-1001"
    ]
    network.at_stripe("POST", f"payment_methods/{CARD}/attach", customer=customer)
    subscription_id = network.subscribe()
    ended(network, subscription_id)
    network.begin()
    faults = Faults(webhooks_twice=True, webhooks_out_of_order=True)
    network.running["stripe"].faulty.set(faults)

    subscription_id = network.subscribe()
    invoice_id = network.invoice_of(subscription_id)
    network.at_stripe("POST", f"invoices/{invoice_id}/pay", payment_method=CARD)
    ended(network, invoice_id, PAID)
    ended(network, subscription_id)

    (invoice,) = network.invoices()
    assert invoice["status"] == "paid"
    assert len(network.in_books("Payment")) == 1
    assert network.stage() == "Closed Won"


def test_payments_in_part_are_entered_one_by_one(network: Network) -> None:
    subscription_id, invoice_id = billed(network)
    customer = network.at_stripe("GET", f"subscriptions/{subscription_id}")["customer"]
    statuses = []
    for amount, event in (("2000", "invoice_payment.paid"), ("3480", "invoice_payment.paid")):
        intent = network.at_stripe(
            "POST",
            "payment_intents",
            amount=amount,
            currency="eur",
            customer=customer,
            payment_method=CARD,
            confirm="true",
        )
        path = f"invoices/{invoice_id}/attach_payment"
        network.at_stripe("POST", path, payment_intent=intent["id"])
        newest = network.at_stripe("GET", "invoice_payments", invoice=invoice_id)["data"][0]
        ended(network, newest["id"], event)
        statuses.append(network.invoices()[0]["status"])

    assert statuses == ["partially_paid", "paid"]
    amounts = [str(each["TotalAmt"]) for each in network.in_books("Payment")]
    assert amounts == ["20.00", "34.80"]


def test_what_was_paid_outside_of_stripe_is_entered_too(network: Network) -> None:
    _, invoice_id = billed(network)
    network.at_stripe("POST", f"invoices/{invoice_id}/pay", paid_out_of_band="true")

    ended(network, invoice_id, PAID)

    assert network.invoices()[0]["status"] == "paid"
    assert len(network.in_books("Payment")) == 1


def test_an_invoice_of_no_subscription_is_ignored(network: Network) -> None:
    customer = network.at_stripe("GET", "customers")["data"][0]["id"]
    invoice = network.at_stripe("POST", "invoices", customer=customer)["id"]
    network.at_stripe("POST", f"invoices/{invoice}/finalize")

    assert "of no subscription" in ended(network, invoice, PAID, "ignored")["cause"]


def test_refunds_are_recorded_once_each(network: Network) -> None:
    network.running["stripe"].faulty.set(Faults(webhooks_twice=True))
    _, _, payment = paid(network)
    refunds = [
        network.at_stripe("POST", "refunds", payment_intent=payment, amount=amount)
        for amount in ("1000", "4480")
    ]
    runs = [ended(network, refund["id"], REFUNDED) for refund in refunds]
    again = started(network, refundId=refunds[0]["id"])

    receipts = network.in_books("RefundReceipt")
    assert sorted(str(receipt["TotalAmt"]) for receipt in receipts) == ["10.00", "44.80"]
    assert [run["refund"]["amount"]["amount"] for run in runs] == ["-10.00", "-44.80"]
    assert again["refund"] == runs[0]["refund"]
    assert len(network.in_books("Payment")) == 1
    assert network.stage() == "Closed Won", "money went back, and the sale stands"


def test_a_refund_that_comes_first_has_invoice_and_payment_made(network: Network) -> None:
    stripe = network.running["stripe"].sandbox
    assert stripe.webhooks is not None
    endpoints = list(stripe.webhooks.endpoints)
    stripe.webhooks.endpoints.clear()
    try:
        subscription_id = network.subscribe()
        invoice_id = network.invoice_of(subscription_id)
        network.at_stripe("POST", f"invoices/{invoice_id}/pay", payment_method=CARD)
        (part,) = network.at_stripe("GET", "invoice_payments", invoice=invoice_id)["data"]
        intent = part["payment"]["payment_intent"]
        refund = network.at_stripe("POST", "refunds", payment_intent=intent, amount="1000")
    finally:
        stripe.webhooks.endpoints.extend(endpoints)

    run = started(network, refundId=refund["id"])

    assert run["kind"] == "refund"
    assert run["invoice"]["status"] == "paid"
    # The look at Stripe's list finds the events all the same.
    for record_id, kind in ((refund["id"], REFUNDED), (invoice_id, PAID)):
        ended(network, record_id, kind)
    ended(network, subscription_id)
    counts = [len(network.in_books(name)) for name in ("Invoice", "Payment", "RefundReceipt")]
    assert counts == [1, 1, 1]


def test_a_subscription_that_ends_unpaid_is_undone(network: Network) -> None:
    subscription_id, _ = billed(network)
    network.at_stripe("DELETE", f"subscriptions/{subscription_id}")

    run = ended(network, subscription_id, ENDED)

    (invoice,) = network.invoices()
    assert (invoice["status"], run["invoice"]["status"]) == ("void", "void")
    assert network.stage() == "Closed Lost"
    steps = [step["step"] for step in run["steps"]]
    assert steps[-2:] == ["void the invoice", "lose the opportunity"], "the last thing first"


def test_an_end_that_comes_while_billing_waits_leaves_no_invoice(network: Network) -> None:
    network.running["quickbooks"].faulty.set(Faults(unavailable_seconds=3600))
    subscription_id = network.subscribe()
    waiting = eventually(lambda: "nextTryAt" in network.run(subscription_id), SECONDS)
    network.at_stripe("DELETE", f"subscriptions/{subscription_id}")
    network.running["quickbooks"].faulty.set(Faults())

    # A machine that is slow tonight may have run out of tries meanwhile.
    for kind in ("customer.subscription.created", ENDED):
        over = eventually(partial(is_over, network, subscription_id, kind), SECONDS)
        run = network.run(subscription_id, kind)
        assert over, run
        if run["phase"] == "dead":
            letter = quote(f"workflow:{run['id']}", safe="")
            network.ask("POST", f"/experience/operations/v1/dead-letters/{letter}/replay")
    stopped = ended(network, subscription_id, to="cancelled")
    ended(network, subscription_id, ENDED)

    assert waiting
    assert network.in_books("Invoice") == []
    assert network.stage() == "Closed Lost"
    assert stopped["kind"] == "billing"


def test_an_end_that_comes_before_the_beginning_leaves_nothing(network: Network) -> None:
    network.running["stripe"].faulty.set(Faults(webhooks_twice=True, webhooks_out_of_order=True))
    stage = network.stage()
    subscription_id = network.subscribe()
    network.at_stripe("DELETE", f"subscriptions/{subscription_id}")

    ended(network, subscription_id, ENDED)
    run = ended(network, subscription_id, to="cancelled")

    assert network.in_books("Invoice") == []
    assert network.stage() == stage
    assert "opportunityId" not in run


def test_what_was_paid_is_credited_and_a_later_refund_takes_it_back(network: Network) -> None:
    """Within the days in which a customer may withdraw."""
    subscription_id, _, payment = paid(network)
    run = started(network, cancelSubscriptionId=subscription_id)
    (credit,) = network.in_books("CreditMemo")
    credited = str(credit["TotalAmt"])
    status = network.invoices()[0]["status"]
    refund = network.at_stripe("POST", "refunds", payment_intent=payment, amount="5000")
    refunded = ended(network, refund["id"], REFUNDED)
    (credit,) = network.in_books("CreditMemo")

    assert network.at_stripe("GET", f"subscriptions/{subscription_id}")["status"] == "canceled"
    assert (run["kind"], run["phase"]) == ("cancellation", "done")
    assert run["credit"]["amount"]["amount"] == credited == "54.80"
    assert status == "paid"
    assert refunded["credit"]["amount"]["amount"] == str(credit["TotalAmt"]) == "4.80"
    assert len(network.in_books("RefundReceipt")) == 1
    assert network.stage() == "Closed Lost"


def test_money_that_comes_after_the_end_is_a_credit_of_the_customer(network: Network) -> None:
    subscription_id, invoice_id = billed(network)
    network.at_stripe("DELETE", f"subscriptions/{subscription_id}")
    ended(network, subscription_id, ENDED)
    network.at_stripe("POST", f"invoices/{invoice_id}/pay", payment_method=CARD)

    ended(network, invoice_id, PAID)

    (payment,) = network.in_books("Payment")
    assert str(payment["UnappliedAmt"]) == "54.80"
    assert network.invoices()[0]["status"] == "void"
    assert network.stage() == "Closed Lost"


@pytest.mark.parametrize(
    "body", [{}, {"invoiceId": "in_1", "refundId": "re_1"}, {"invoiceId": "in 1"}]
)
def test_a_run_is_for_one_thing(network: Network, body: dict[str, str]) -> None:
    answer = network.ask("POST", RUNS, json=body, headers={"idempotency-key": str(uuid4())})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
