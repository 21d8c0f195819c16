"""What was paid and given back in Stripe, as payments and refunds in the books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portico.durable import Durable
from portico.workflow.errors import DeadLetterError
from portico.workflow.steps import Steps
from process_apis.order_to_cash import domain
from process_apis.order_to_cash.billing import Billing
from process_apis.order_to_cash.domain import Body, Received, Sale
from process_apis.order_to_cash.patience import BOOKS, STRIPE, Patience

# An invoice has at most some tens of parts; Stripe lists a hundred at a time.
_PARTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """An invoice of the books, and its payments there beside what was received in Stripe."""

    invoice: Body
    payments: Sequence[tuple[Received, Body]]


class Payments:
    """Brings what was paid to the books, each part once."""

    def __init__(
        self, steps: Steps, durable: Durable, patience: Patience, billing: Billing
    ) -> None:
        self._list_parts = steps.call(STRIPE, "listInvoicePayments")
        self._put_payment = steps.call(BOOKS, "putPayment")
        self._put_refund = steps.call(BOOKS, "putRefund")
        self._durable = durable
        self._patience = patience
        self._billing = billing

    async def enter(self, sale: Sale, invoice: Body, booked: Body, *, turn: str = "") -> Paid:
        """Enter all that was paid on an invoice of Stripe's; `booked` is that of the books.

        `turn` tells apart what one run does several times.
        """
        parts = await self._patience.read(
            self._list_parts, {"invoiceId": sale.invoice_id, "limit": _PARTS}
        )
        entered = [
            (part, await self._enter_part(part, booked, turn))
            for part in domain.received(invoice, parts["items"])
        ]
        if entered:
            notes = (await self._durable.ready()).notes
            await notes.keep(_name(sale.subscription_id), sale.number)
        return Paid(invoice=await self._billing.find(sale) or booked, payments=entered)

    async def refund(self, sale: Sale, refund: Body, paid: Paid, payment_id: str) -> Body:
        """Enter a refund of the payment that Stripe calls `payment_id`."""
        in_books = next(
            (body for part, body in paid.payments if part.payment_id == payment_id), None
        )
        if in_books is None:
            raise DeadLetterError(f"{payment_id} did not pay {sale.number}", system="stripe")
        numbered = domain.number("order-to-cash refund", str(refund["id"]))
        body = domain.books_refund(
            refund, sale, str(paid.invoice["customerId"]), str(in_books["id"])
        )
        found: Body = await self._patience.insist(
            lambda again: self._put_refund({"referenceNumber": numbered}, body=body, item=again)
        )
        return found

    async def were_made(self, subscription_id: str) -> bool:
        """Tell whether anything was ever paid for a subscription."""
        notes = (await self._durable.ready()).notes
        return bool(await notes.read(_name(subscription_id)))

    async def _enter_part(self, part: Received, booked: Body, turn: str) -> Body:
        body = domain.books_payment(part, booked)
        found: Body = await self._patience.insist(
            lambda again: self._put_payment(
                {"referenceNumber": part.number},
                body=body,
                item=" ".join(filter(None, (part.number, turn, again))),
            )
        )
        return found


def _name(subscription_id: str) -> str:
    return f"order-to-cash paid {subscription_id}"
