"""What was done for a subscription that ended, undone: the last thing first."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from portico.workflow.errors import DeadLetterError
from portico.workflow.steps import Outcome, Steps
from process_apis.order_to_cash import domain, results
from process_apis.order_to_cash.billing import Billing
from process_apis.order_to_cash.domain import Body, Sale
from process_apis.order_to_cash.opportunities import Opportunities
from process_apis.order_to_cash.patience import BOOKS, STRIPE, Patience, is_overtaken
from process_apis.order_to_cash.payments import Paid, Payments

# Each round answers something that happened at the same moment: a payment, a refund.
_ROUNDS = 5
_REFUNDS = 100


class Cancellations:
    """Settles subscriptions that ended.

    Every run that finds its subscription ended does this last, and looks at Stripe after what it
    did itself: whichever of them is last sees what all the others did.
    """

    def __init__(
        self,
        steps: Steps,
        patience: Patience,
        billing: Billing,
        payments: Payments,
        opportunities: Opportunities,
        withdrawal_days: float,
    ) -> None:
        self._get_invoice = steps.call(STRIPE, "getInvoice")
        self._list_refunds = steps.call(STRIPE, "listRefunds")
        self._void_invoice = steps.call(BOOKS, "voidInvoice")
        self._put_credit = steps.call(BOOKS, "putCredit")
        self._patience = patience
        self._billing = billing
        self._payments = payments
        self._opportunities = opportunities
        self._withdrawal_days = withdrawal_days

    async def settle(self, subscription: Body) -> dict[str, Any]:
        """Undo what is to be undone, and return what there is in the books now."""
        sale = domain.current_sale(subscription)
        withdrawn = domain.was_withdrawn(subscription, self._withdrawal_days)
        shown, paid = await self._settle_books(sale, withdrawn=withdrawn)
        if withdrawn or not (paid or await self._payments.were_made(sale.subscription_id)):
            shown.update(results.opportunity(await self._opportunities.lose(sale.subscription_id)))
        return shown

    async def _settle_books(self, sale: Sale, *, withdrawn: bool) -> tuple[dict[str, Any], bool]:
        """Return what there is in the books, and whether it was paid."""
        if not sale.invoice_id:
            return {}, False
        for turn in range(_ROUNDS):
            invoice = await self._patience.read(self._get_invoice, {"invoiceId": sale.invoice_id})
            if domain.is_paid(invoice):
                return await self._settle_paid(sale, invoice, withdrawn=withdrawn), True
            booked = await self._billing.find(sale)
            if booked is None:
                return {}, False
            voided = await self._void(booked, f"turn {turn}")
            if voided is not None:
                return results.invoice(voided), False
        raise DeadLetterError(f"{sale.number} was paid in the books, and not in Stripe")

    async def _void(self, booked: Body, turn: str) -> Body | None:
        """Return the voided invoice, None where a payment came first."""

        async def attempt(_: str) -> Outcome:
            outcome = await self._void_invoice({"invoiceId": booked["id"]}, item=turn)
            return Outcome() if is_overtaken(outcome) else outcome

        found: Body | None = await self._patience.insist(attempt)
        return found

    async def _settle_paid(self, sale: Sale, invoice: Body, *, withdrawn: bool) -> dict[str, Any]:
        booked = await self._billing.find(sale) or await self._billing.book_alone(sale)
        paid = await self._payments.enter(sale, invoice, booked, turn="at the end")
        shown = results.paid(paid)
        if withdrawn and paid.invoice["status"] != "void":
            credit = await self._credit(sale, paid)
            if credit is not None:
                shown["credit"] = results.booked(credit, credit["number"])
        return shown

    async def _credit(self, sale: Sale, paid: Paid) -> Body | None:
        """Credit what was paid and not given back; looked at again after each change."""
        credit: Body | None = None
        for turn in range(_ROUNDS):
            # A payment may be for other invoices too, and what is given back be theirs.
            left = max(_sum(paid) - await self._given_back(paid), domain.ZERO)
            there = Decimal(credit["totals"]["gross"]["amount"]) if credit is not None else None
            if left == there:
                return credit
            credit = await self._put(sale, paid, left, f"turn {turn}")
        raise DeadLetterError(f"refunds of {sale.number} do not come to rest")

    async def _put(self, sale: Sale, paid: Paid, left: Decimal, turn: str) -> Body:
        currency = str(paid.invoice["currency"])
        body = domain.books_credit(sale, paid.invoice, {"amount": f"{left}", "currency": currency})
        numbered = domain.number("order-to-cash credit", sale.number)
        found: Body = await self._patience.insist(
            lambda again: self._put_credit(
                {"documentNumber": numbered}, body=body, item=f"{turn} {again}".rstrip()
            )
        )
        return found

    async def _given_back(self, paid: Paid) -> Decimal:
        total = domain.ZERO
        for payment_id in dict.fromkeys(part.payment_id for part, _ in paid.payments):
            if payment_id:
                refunds = await self._patience.read(
                    self._list_refunds, {"paymentId": payment_id, "limit": _REFUNDS}
                )
                total += domain.given_back(refunds["items"])
        return total


def _sum(paid: Paid) -> Decimal:
    return sum((Decimal(part.amount["amount"]) for part, _ in paid.payments), domain.ZERO)
