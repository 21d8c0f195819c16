"""What order-to-cash does, step by step. It survives whatever ends its process.

Everything with an effect is a step under a key of its own, so that doing it again does nothing.
Runs go by what Stripe says at the moment, so their order does not matter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from portico.durable import Durable
from portico.workflow.definition import Schedule, Workflow
from portico.workflow.steps import Steps
from process_apis.order_to_cash import domain, results
from process_apis.order_to_cash.app import Settings
from process_apis.order_to_cash.billing import Billing, BooksRefuseError
from process_apis.order_to_cash.cancellations import Cancellations
from process_apis.order_to_cash.domain import Body, Sale
from process_apis.order_to_cash.missed import NAME, MissedEvents
from process_apis.order_to_cash.opportunities import Opportunities
from process_apis.order_to_cash.patience import STRIPE, Patience
from process_apis.order_to_cash.payments import Paid, Payments
from process_apis.order_to_cash.tasks import Task, task_of

POLL = "order-to-cash-poll.v1"

Result = dict[str, Any]


class SubscriptionEndedError(Exception):
    """The subscription ended while it was being billed."""


class OrderToCash:
    """The workflow of everything that happens to a subscription."""

    def __init__(self, steps: Steps, settings: Settings, durable: Durable) -> None:
        self._get_subscription = steps.call(STRIPE, "getSubscription")
        self._cancel_subscription = steps.call(STRIPE, "cancelSubscription")
        self._get_invoice = steps.call(STRIPE, "getInvoice")
        self._get_refund = steps.call(STRIPE, "getRefund")
        patience = self._patience = Patience(settings.retry_seconds)
        self._opportunities = Opportunities(steps, durable, patience)
        self._billing = Billing(steps, patience, self._opportunities)
        self._payments = Payments(steps, durable, patience, self._billing)
        self._cancellations = Cancellations(
            steps,
            patience,
            self._billing,
            self._payments,
            self._opportunities,
            settings.withdrawal_days,
        )

    async def run(self, payload: Mapping[str, Any]) -> Result:
        """Bring what happened to the books and the CRM. Raises DeadLetterError, RefusedError."""
        task = task_of(payload)
        if task is None:
            return {"phase": "ignored"}
        runs: Mapping[str, Callable[[Task], Awaitable[Result]]] = {
            "billing": self._bill,
            "payment": self._receive,
            "refund": self._give_back,
            "cancellation": self._cancel,
        }
        return await runs[task.kind](task)

    async def _bill(self, task: Task) -> Result:
        subscription = await self._subscription(task.record_id)
        if domain.has_ended(subscription):
            return await self._stopped(subscription)
        sale = domain.current_sale(subscription)
        try:
            invoice, opportunity = await self._billing.book(sale, self._wanted(sale))
            result = {"phase": "done", **results.invoice(invoice)}
            result.update(results.opportunity(str((opportunity or {}).get("id", ""))))
        except BooksRefuseError as refusal:
            result = {"phase": "refused", "cause": str(refusal)}
        except SubscriptionEndedError:
            result = {}
        # Looked at after all that was done: an end that comes later finds it in the books.
        subscription = await self._subscription(task.record_id)
        if domain.has_ended(subscription):
            return await self._stopped(subscription)
        return result

    async def _stopped(self, subscription: Body) -> Result:
        return {"phase": "cancelled", **await self._cancellations.settle(subscription)}

    async def _receive(self, task: Task) -> Result:
        return await self._paid(task.record_id)

    async def _paid(self, invoice_id: str, refund: Body | None = None) -> Result:
        """Enter what was paid on an invoice of Stripe's, and then what was given back of it."""
        invoice = await self._patience.read(self._get_invoice, {"invoiceId": invoice_id})
        subscription_id = domain.subscription_of(invoice)
        if not subscription_id:
            return _ignored(f"invoice {invoice_id} is of no subscription")
        sale = Sale(subscription=await self._subscription(subscription_id), invoice_id=invoice_id)
        named = {"subscriptionId": subscription_id}
        try:
            booked = await self._booked(sale)
        except BooksRefuseError as refusal:
            return {"phase": "refused", "cause": str(refusal), **named}
        paid = await self._payments.enter(sale, invoice, booked)
        result = {"phase": "done", **named, **results.paid(paid)}
        if refund is not None:
            result["refund"] = await self._refund(sale, refund, paid)
        return {**await self._staged(subscription_id), **result}

    async def _booked(self, sale: Sale) -> Body:
        """Return the invoice of the books that is paid, made where it is not there yet."""
        booked = await self._billing.find(sale)
        if booked is not None:
            return booked
        if not domain.has_ended(sale.subscription):
            return (await self._billing.book(sale, _always_wanted))[0]
        return await self._billing.book_alone(sale)

    async def _staged(self, subscription_id: str) -> Result:
        """Have the stage be right for what was paid: won, or what an end makes of it."""
        if not domain.has_ended(await self._subscription(subscription_id)):
            opportunity_id = await self._opportunities.win(subscription_id)
            subscription = await self._subscription(subscription_id)
            if not domain.has_ended(subscription):
                return results.opportunity(opportunity_id)
        return await self._cancellations.settle(await self._subscription(subscription_id))

    async def _give_back(self, task: Task) -> Result:
        refund = await self._patience.read(self._get_refund, {"refundId": task.record_id})
        if not domain.has_happened(refund):
            return _ignored(f"refund {task.record_id} is {refund['status']}")
        if not refund.get("invoiceIds") or not domain.refunded_payment(refund):
            return _ignored(f"refund {task.record_id} is of no invoice")
        result: Result = {}
        # Stripe does not say which invoice it is of. One document has it whole: under the first
        # that is of a subscription.
        for invoice_id in refund["invoiceIds"]:
            result = await self._paid(str(invoice_id), refund)
            if result["phase"] != "ignored":
                break
        return result

    async def _refund(self, sale: Sale, refund: Body, paid: Paid) -> Result:
        payment_id = domain.refunded_payment(refund)
        entered = await self._payments.refund(sale, refund, paid, payment_id)
        return results.booked(entered, domain.number("order-to-cash refund", str(refund["id"])))

    async def _cancel(self, task: Task) -> Result:
        if task.ends:
            named = {"subscriptionId": task.record_id}
            await self._patience.insist(lambda again: self._cancel_subscription(named, item=again))
        subscription = await self._subscription(task.record_id)
        if not domain.has_ended(subscription):
            return _ignored(f"subscription {task.record_id} has not ended")
        return {"phase": "done", **await self._cancellations.settle(subscription)}

    async def _subscription(self, subscription_id: str) -> Body:
        found: Body = await self._patience.read(
            self._get_subscription, {"subscriptionId": subscription_id}
        )
        return found

    def _wanted(self, sale: Sale) -> Callable[[], Awaitable[None]]:
        """Return what is asked before a sale is billed again after a wait."""

        async def check() -> None:
            found = await self._get_subscription({"subscriptionId": sale.subscription_id})
            # Where Stripe does not answer now, it is asked again when all is done.
            if found.succeeded and domain.has_ended(found.body):
                raise SubscriptionEndedError

        return check


async def _always_wanted() -> None:
    """What was paid is billed, whatever became of the subscription."""


def _ignored(cause: str) -> Result:
    return {"phase": "ignored", "cause": cause}


def workflows(steps: Steps, settings: Settings, durable: Durable) -> Sequence[Workflow]:
    """Return the workflows of this API."""
    missed = MissedEvents(steps, durable, settings.door)
    return [
        Workflow(name=NAME, run=OrderToCash(steps, settings, durable).run),
        Workflow(name=POLL, run=missed.run),
    ]


def schedules(settings: Settings) -> Sequence[Schedule]:
    """Return when missed webhooks are looked for."""
    if not settings.poll:
        return []
    return [Schedule(name=POLL, workflow=POLL, cron=settings.poll)]
