"""Customers of Stripe's who do not mind that gateways are killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import httpx

from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from tests.process_apis.order_to_cash.conftest import SECRET
from tests.process_apis.order_to_cash.kills.stories import Stripe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portico.sandbox.running import Running

# What becomes of subscriptions: one stays unpaid, one is paid, one gets money back, one ends
# unpaid, and one after it was paid.
FATES: tuple[list[Callable[[Stripe], None]], ...] = (
    [],
    [Stripe.pay],
    [Stripe.pay, Stripe.refund],
    [Stripe.cancel],
    [Stripe.pay, Stripe.cancel],
)


def expected(rounds: int) -> dict[str, int]:
    """Return what the books have to hold after so many rounds of all fates."""
    return {
        "open": rounds,
        "paid": 3 * rounds,
        "payments": 3 * rounds,
        "unapplied": 0,
        "refunds": rounds,
        "credits": rounds,
    }


def in_the_end(books: QuickBooksSandbox) -> dict[str, int]:
    """Return how many documents there are; those that are void count for nothing."""
    invoices = [
        record
        for record in books.state.table("Invoice").values()
        if "Voided" not in record.get("PrivateNote", "")
    ]
    payments = books.state.table("Payment").values()
    return {
        "open": sum(record["Balance"] > 0 for record in invoices),
        "paid": sum(record["Balance"] == 0 for record in invoices),
        "payments": len(payments),
        "unapplied": sum(record["UnappliedAmt"] > 0 for record in payments),
        "refunds": len(books.state.table("RefundReceipt")),
        "credits": len(books.state.table("CreditMemo")),
    }


class Subscribing:
    """A customer of Stripe's who subscribes again and again."""

    def __init__(self, running: Mapping[str, Running]) -> None:
        self._http = httpx.Client(
            base_url=running["stripe"].url, headers={"authorization": f"Bearer {SECRET}"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def live(self, fate: Sequence[Callable[[Stripe], None]]) -> None:
        """Subscribe, and have this become of the subscription."""
        stripe = Stripe(self._http)
        stripe.subscribe()
        for act in fate:
            act(stripe)
