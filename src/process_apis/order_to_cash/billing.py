"""The invoice of a subscription in the books, and its opportunity won at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from portico.workflow.steps import Steps
from process_apis.order_to_cash import domain
from process_apis.order_to_cash.domain import Body, Sale
from process_apis.order_to_cash.opportunities import Opportunities, Opportunity
from process_apis.order_to_cash.patience import (
    BOOKS,
    STRIPE,
    Check,
    Patience,
    RefusedError,
    Try,
    refusal,
)


class BooksRefuseError(Exception):
    """The books do not take the invoice; what was done in the CRM is undone."""


class Billing:
    """Makes the invoice of a sale once, however many runs want it."""

    def __init__(self, steps: Steps, patience: Patience, opportunities: Opportunities) -> None:
        self._get_customer = steps.call(STRIPE, "getCustomer")
        self._get_invoice = steps.call(STRIPE, "getInvoice")
        self._put_customer = steps.call(BOOKS, "putCustomer")
        self._list_invoices = steps.call(BOOKS, "listInvoices")
        self._put_invoice = steps.call(BOOKS, "putInvoice")
        self._patience = patience
        self._opportunities = opportunities

    async def find(self, sale: Sale) -> Body | None:
        """Return the invoice of a sale as it is in the books, None where it is not there."""
        asked = {"documentNumber": sale.number, "limit": 1}
        invoices: Sequence[Body] = (await self._patience.read(self._list_invoices, asked))["items"]
        return invoices[0] if invoices else None

    async def book(self, sale: Sale, still_wanted: Check) -> tuple[Body, Opportunity | None]:
        """Return the invoice of a sale, made if it is not there, and the opportunity that is won.

        `still_wanted` is asked before each further try. Raises BooksRefuseError.
        """
        customer = await self._customer(sale)
        key = domain.customer_key(customer)
        opportunity = await self._opportunities.find(sale, key)
        enter = self._entering(key, customer)
        # At the same time: each is one step, and their numbers are drawn in this order.
        moved, entered = await asyncio.gather(
            self._opportunities.move(opportunity, domain.WON), enter("")
        )
        try:
            in_books = await self._patience.insist(enter, entered, before_retry=still_wanted)
            invoice = await self._make(sale, in_books["id"], still_wanted)
        except RefusedError as refusal:
            await self._opportunities.put_back(opportunity)
            raise BooksRefuseError(str(refusal)) from refusal
        await self._patience.insist(
            lambda again: self._opportunities.move(opportunity, domain.WON, again), moved
        )
        return invoice, opportunity

    async def book_alone(self, sale: Sale) -> Body:
        """Return the invoice of a sale, made if it is not there; the opportunity stays as it is."""
        customer = await self._customer(sale)
        enter = self._entering(domain.customer_key(customer), customer)
        in_books = await self._patience.insist(enter)
        made: Body = await self._make(sale, in_books["id"], None)
        return made

    async def _customer(self, sale: Sale) -> Body:
        found: Body = await self._patience.read(
            self._get_customer, {"customerId": sale.subscription["customerId"]}
        )
        return found

    def _entering(self, key: str, customer: Body) -> Try:
        body = domain.books_customer(customer)
        return lambda again: self._put_customer({"externalKey": key}, body=body, item=again)

    async def _make(self, sale: Sale, customer_id: str, still_wanted: Check | None) -> Any:
        invoice = None
        if sale.invoice_id and not sale.has_prices:
            asked = {"invoiceId": sale.invoice_id}
            invoice = await self._patience.read(self._get_invoice, asked)
        try:
            body = domain.books_invoice(sale, invoice, customer_id)
        except domain.UnbillableError as error:
            raise RefusedError(refusal(str(error), "stripe")) from error
        return await self._patience.insist(
            lambda again: self._put_invoice({"documentNumber": sale.number}, body=body, item=again),
            before_retry=still_wanted,
        )
