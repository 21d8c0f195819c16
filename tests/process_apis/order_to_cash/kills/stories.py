"""What happens in Stripe, and which of its deliveries a process is killed over.

Each story has a part that is over when the killing begins, and one that is delivered then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

CREATED, DELETED = "customer.subscription.created", "customer.subscription.deleted"
PAID, REFUNDED = "invoice.paid", "refund.created"


class Stripe:
    """A customer of Stripe's, and the account's side of it, with Stripe's own requests."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def ask(self, method: str, path: str, **values: str) -> dict[str, Any]:
        sent: dict[str, Any] = {"data": values} if method == "POST" else {"params": values}
        answer = self._http.request(method, f"/v1/{path}", **sent)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def subscribe(self) -> None:
        """Subscribe the customer that has an open opportunity to two bags of beans a month."""
        products = self.ask("GET", "products", limit="100")["data"]
        (product,) = [each["id"] for each in products if each["metadata"]["sku"] == "BEANS-ETH-1KG"]
        price = self.ask(
            "POST",
            "prices",
            product=product,
            currency="eur",
            unit_amount="2740",
            lookup_key="BEANS-ETH-1KG",
            transfer_lookup_key="true",
            **{"recurring[interval]": "month"},
        )["id"]
        customers = self.ask("GET", "customers", limit="100")["data"]
        (customer,) = [
            each["id"] for each in customers if each["metadata"]["external_key"] == "C-1001"
        ]
        self.ask(
            "POST",
            "subscriptions",
            customer=customer,
            collection_method="send_invoice",
            days_until_due="30",
            **{"items[0][price]": price, "items[0][quantity]": "2"},
        )

    def pay(self) -> None:
        """Pay the invoice of the newest subscription."""
        path = f"invoices/{self._newest()['latest_invoice']}/pay"
        self.ask("POST", path, payment_method="pm_card_visa")

    def refund(self) -> None:
        """Give back 10.00 of what was paid for it."""
        invoice = self._newest()["latest_invoice"]
        (part,) = self.ask("GET", "invoice_payments", invoice=invoice)["data"]
        intent = part["payment"]["payment_intent"]
        self.ask("POST", "refunds", payment_intent=intent, amount="1000")

    def cancel(self) -> None:
        self.ask("DELETE", f"subscriptions/{self._newest()['id']}")

    def _newest(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "subscriptions", status="all")["data"][0]
        return found


Acts = Sequence[Callable[[Stripe], None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`before` and its deliveries are over; `acts` has happened, and `deliveries` come."""

    acts: Acts
    deliveries: Sequence[str]
    documents: dict[str, list[str]]
    """What the books hold in the end: what is left of each document, by kind."""

    stage: str
    before: Acts = ()
    delivered: Sequence[str] = ()
    lost_answers: int = 0
    """How many writes to QuickBooks take effect without an answer, in each process."""

    phases: Sequence[str] = field(default=("done",))


_SUBSCRIBE, _PAY, _REFUND, _CANCEL = Stripe.subscribe, Stripe.pay, Stripe.refund, Stripe.cancel
STORIES = {
    "billing": Story(
        acts=[_SUBSCRIBE],
        deliveries=[CREATED],
        documents={"Invoice": ["54.80"]},
        stage="Closed Won",
    ),
    "billing without an answer": Story(
        acts=[_SUBSCRIBE],
        deliveries=[CREATED],
        documents={"Invoice": ["54.80"]},
        stage="Closed Won",
        lost_answers=2,
    ),
    "payment": Story(
        before=[_SUBSCRIBE],
        delivered=[CREATED],
        acts=[_PAY],
        deliveries=[PAID],
        documents={"Invoice": ["0.00"], "Payment": ["0.00"]},
        stage="Closed Won",
    ),
    "payment before the invoice": Story(
        acts=[_SUBSCRIBE, _PAY],
        deliveries=[PAID, CREATED],
        documents={"Invoice": ["0.00"], "Payment": ["0.00"]},
        stage="Closed Won",
        phases=["done", "done"],
    ),
    "refund": Story(
        before=[_SUBSCRIBE, _PAY],
        delivered=[CREATED, PAID],
        acts=[_REFUND],
        deliveries=[REFUNDED],
        documents={"Invoice": ["0.00"], "Payment": ["0.00"], "RefundReceipt": ["10.00"]},
        stage="Closed Won",
    ),
    "cancellation": Story(
        before=[_SUBSCRIBE],
        delivered=[CREATED],
        acts=[_CANCEL],
        deliveries=[DELETED],
        documents={"Invoice": ["void"]},
        stage="Closed Lost",
    ),
    "cancellation of what was paid": Story(
        before=[_SUBSCRIBE, _PAY],
        delivered=[CREATED, PAID],
        acts=[_REFUND, _CANCEL],
        deliveries=[DELETED, REFUNDED],
        documents={
            "Invoice": ["0.00"],
            "Payment": ["0.00"],
            "RefundReceipt": ["10.00"],
            "CreditMemo": ["44.80"],
        },
        stage="Closed Lost",
        phases=["done", "done"],
    ),
}
