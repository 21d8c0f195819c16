"""What each source is asked for, and its answer as a piece of the profile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from portico.problems import NOT_FOUND, Problem
from portico.server.call import Call
from process_apis.customer_360 import domain
from process_apis.customer_360.calls import quickbooks, salesforce, stripe, tryton
from process_apis.customer_360.domain import Name, Piece
from process_apis.customer_360.mapping import of_customer, person, stripped
from process_apis.customer_360.pages import PAGE, read_pages
from process_apis.customer_360.profiles import Profiles

C = TypeVar("C")
LAST_PAYMENTS = 10
# A second record under a key is enough to know that the key names nobody.
SEVERAL = 2


async def read_erp(call: Call[Profiles], customer_id: str) -> Piece:
    """Return the customer as the ERP has it, with the orders."""
    async with asyncio.TaskGroup() as tasks:
        customer = tasks.create_task(tryton.get_customer(call, customer_id=customer_id))
        sales = tasks.create_task(
            read_pages(
                lambda cursor: tryton.list_sales(
                    call, customer_id=customer_id, limit=PAGE, cursor=cursor
                )
            )
        )
    orders, whole = sales.result()
    return Piece(
        customer=stripped(customer.result()),
        parts={"orders": of_customer(customer_id, domain.unfinished(orders))},
        truncated=not whole,
    )


async def read_crm(call: Call[Profiles], customer_id: str) -> Piece:
    """Return the customer as the CRM has it, with the people there and what they may buy."""
    page = await salesforce.list_customers(call, external_key=customer_id, limit=SEVERAL)
    account = _only(page["items"])
    async with asyncio.TaskGroup() as tasks:
        contacts = tasks.create_task(
            read_pages(
                lambda cursor: salesforce.list_contacts(
                    call, customer_id=account["id"], limit=PAGE, cursor=cursor
                )
            )
        )
        chances = tasks.create_task(
            read_pages(
                lambda cursor: salesforce.list_opportunities(
                    call, customer_id=account["id"], limit=PAGE, cursor=cursor
                )
            )
        )
    people, all_people = contacts.result()
    opportunities, all_opportunities = chances.result()
    return Piece(
        customer=stripped(account),
        parts={
            "people": [person(customer_id, each) for each in people],
            "opportunities": of_customer(customer_id, domain.undecided(opportunities)),
        },
        truncated=not (all_people and all_opportunities),
    )


async def read_accounting(call: Call[Profiles], customer_id: str) -> Piece:
    """Return the customer as accounting has it, with what is to be paid."""
    page = await quickbooks.list_customers(call, external_key=customer_id, limit=SEVERAL)
    customer = _only(page["items"])
    invoices, whole = await read_pages(
        lambda cursor: quickbooks.list_invoices(
            call, customer_id=customer["id"], limit=PAGE, cursor=cursor
        )
    )
    unpaid = domain.unpaid(invoices)
    parts: domain.Parts = {"invoices": of_customer(customer_id, unpaid)}
    if whole:
        parts["balances"] = domain.balances(unpaid)
    return Piece(customer=stripped(customer), parts=parts, truncated=not whole)


async def read_billing(call: Call[Profiles], customer_id: str) -> Piece:
    """Return the customer as billing has it, with subscriptions and the last payments."""
    page = await stripe.list_customers(call, external_key=customer_id, limit=SEVERAL)
    customer = _only(page["items"])
    async with asyncio.TaskGroup() as tasks:
        subscribed = tasks.create_task(
            read_pages(
                lambda cursor: stripe.list_subscriptions(
                    call, customer_id=customer["id"], limit=PAGE, cursor=cursor
                )
            )
        )
        paid = tasks.create_task(
            stripe.list_payments(call, customer_id=customer["id"], limit=LAST_PAYMENTS)
        )
    subscriptions, whole = subscribed.result()
    return Piece(
        customer=stripped(customer),
        parts={
            "subscriptions": of_customer(customer_id, domain.lasting(subscriptions)),
            "payments": of_customer(customer_id, paid.result()["items"]),
        },
        truncated=not whole,
    )


def _only(customers: Sequence[C]) -> C:
    """Return the one customer of a code; who is one of several is not known."""
    if len(customers) != 1:
        raise Problem(NOT_FOUND, "no customer, or several, of this code")
    return customers[0]


READERS: Mapping[Name, Callable[[Call[Profiles], str], Awaitable[Piece]]] = {
    "erp": read_erp,
    "crm": read_crm,
    "accounting": read_accounting,
    "billing": read_billing,
}
