"""What order-to-cash does, step by step. It survives whatever ends its process.

Everything with an effect is a step under a key of its own, so that doing it again does nothing.
The retries are here and not in the steps: their waits are in the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dbos import DBOS

from portico.durable import Durable
from portico.problems import CONFLICT
from portico.workflow.definition import Schedule, Workflow
from portico.workflow.errors import DeadLetterError
from portico.workflow.steps import Outcome, Steps
from process_apis.order_to_cash import domain
from process_apis.order_to_cash.app import Settings
from process_apis.order_to_cash.missed import NAME, MissedEvents

POLL = "order-to-cash-poll.v1"
STRIPE, BOOKS, CRM = "system/stripe.v1", "system/quickbooks.v1", "system/salesforce.v1"
# Five minutes apart, as the settings have it, this is a quarter of an hour: enough for a system to
# be restarted, and short enough for somebody to see to it on the same day.
RETRIES = 3

Try = Callable[[], Awaitable[Outcome]]


class RefusedError(Exception):
    """A system does not do what it was asked, and would not later either."""


class OrderToCash:
    """The workflow of one subscription."""

    def __init__(self, steps: Steps, retry_seconds: float) -> None:
        self._retry_seconds = retry_seconds
        self._get_subscription = steps.call(STRIPE, "getSubscription")
        self._get_customer = steps.call(STRIPE, "getCustomer")
        self._put_customer = steps.call(BOOKS, "putCustomer")
        self._put_invoice = steps.call(BOOKS, "putInvoice")
        self._list_accounts = steps.call(CRM, "listCustomers")
        self._list_opportunities = steps.call(CRM, "listOpportunities")
        self._move_opportunity = steps.call(CRM, "moveOpportunity")

    async def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Bring a subscription to the books. Raises DeadLetterError."""
        subscription_id = domain.subscription_of(payload)
        if not subscription_id:
            return {"phase": "ignored"}
        subscription = await self._insist(
            lambda: self._get_subscription({"subscriptionId": subscription_id})
        )
        customer = await self._insist(
            lambda: self._get_customer({"customerId": subscription["customerId"]})
        )
        key = domain.customer_key(customer)
        opportunity = await self._find_opportunity(key)

        def in_books() -> Awaitable[Outcome]:
            return self._put_customer({"externalKey": key}, body=domain.books_customer(customer))

        # At the same time: each is one step, and their numbers are drawn in this order.
        moved, billed = await asyncio.gather(self._move(opportunity, domain.WON), in_books())
        try:
            in_the_books = await self._insist(in_books, billed)
            invoice = await self._bill(subscription, in_the_books["id"])
        except RefusedError as refusal:
            await self._put_back(opportunity)
            return {"phase": "refused", "cause": str(refusal)}
        await self._insist(lambda: self._move(opportunity, domain.WON), moved)
        return _done(invoice, opportunity)

    async def _bill(self, subscription: Mapping[str, Any], customer_id: str) -> Any:
        number = domain.document_number(subscription)
        body = domain.books_invoice(subscription, customer_id)
        return await self._insist(lambda: self._put_invoice({"documentNumber": number}, body=body))

    async def _find_opportunity(self, key: str) -> Mapping[str, Any] | None:
        accounts = await self._insist(lambda: self._list_accounts({"externalKey": key, "limit": 1}))
        if not accounts["items"]:
            return None
        customer_id = accounts["items"][0]["id"]
        found = await self._insist(
            lambda: self._list_opportunities({"customerId": customer_id, "limit": 100})
        )
        return domain.open_opportunity(found)

    async def _move(self, opportunity: Mapping[str, Any] | None, stage: str) -> Outcome:
        if opportunity is None:
            return Outcome()
        return await self._move_opportunity(
            {"opportunityId": opportunity["id"]}, body={"stage": stage}, item=stage
        )

    async def _put_back(self, opportunity: Mapping[str, Any] | None) -> None:
        """Undo what was done in the CRM, whether or not it had been done yet."""
        if opportunity is not None:
            await self._insist(lambda: self._move(opportunity, opportunity["stage"]))

    async def _insist(self, attempt: Try, first: Outcome | None = None) -> Any:
        """Return what a step comes to, tried again while that may help.

        Raises DeadLetterError when it still does not, RefusedError when it never will.
        """
        outcome = first or await attempt()
        for _ in range(RETRIES):
            if not _may_pass(outcome):
                break
            await DBOS.sleep_async(self._retry_seconds)
            outcome = await attempt()
        failure = outcome.failure
        if failure is None:
            return outcome.body
        if failure.passing:
            raise DeadLetterError(str(failure), system=failure.system)
        raise RefusedError(f"{failure.system}: {failure}")


def _may_pass(outcome: Outcome) -> bool:
    """Tell whether trying again makes sense.

    A conflict may be with another run for the same customer at the same moment: of two changes of
    one version, QuickBooks takes the first and calls the other stale. One that stays is a refusal.
    """
    failure = outcome.failure
    return outcome.may_pass or (failure is not None and failure.status == CONFLICT.status)


def _done(invoice: Mapping[str, Any], opportunity: Mapping[str, Any] | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "phase": "done",
        "invoice": {"id": invoice["id"], "number": invoice.get("number", "")},
    }
    if opportunity is not None:
        result["opportunityId"] = opportunity["id"]
    return result


def workflows(steps: Steps, settings: Settings, durable: Durable) -> Sequence[Workflow]:
    """Return the workflows of this API."""
    missed = MissedEvents(steps, durable, settings.door)
    return [
        Workflow(name=NAME, run=OrderToCash(steps, settings.retry_seconds).run),
        Workflow(name=POLL, run=missed.run),
    ]


def schedules(settings: Settings) -> Sequence[Schedule]:
    """Return when missed webhooks are looked for."""
    if not settings.poll:
        return []
    return [Schedule(name=POLL, workflow=POLL, cron=settings.poll)]
