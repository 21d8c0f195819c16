"""The sandbox's objects have the members and types that Stripe's library declares."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import stripe

from portico.sandbox.running import Running
from tests.support.stripe_types import Record, violations
from tests.system_apis.stripe.conftest import API_KEY

pytestmark = [
    pytest.mark.anyio,
    # The library's own use of httpx.
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]


@pytest.fixture
async def used(sandbox: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an account in which there is something of each kind."""
    library = stripe.HTTPXClient()
    client = stripe.StripeClient(API_KEY, base_addresses={"api": sandbox.url}, http_client=library)
    v1 = client.v1
    customer = await v1.customers.create_async({"name": "Judge", "address": {"line1": "1 Quay"}})
    method = await v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    product = await v1.products.create_async({"name": "Club"})
    price = await v1.prices.create_async(
        {
            "product": product.id,
            "currency": "eur",
            "unit_amount": 2740,
            "recurring": {"interval": "month"},
        }
    )
    await v1.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": price.id, "quantity": 2}],
            "collection_method": "send_invoice",
            "days_until_due": 30,
        }
    )
    draft = await v1.invoices.create_async({"customer": customer.id, "currency": "eur"})
    await v1.invoice_items.create_async(
        {"customer": customer.id, "invoice": draft.id, "amount": 500, "currency": "eur"}
    )
    await v1.invoices.finalize_invoice_async(draft.id)
    await v1.invoices.pay_async(draft.id, {"payment_method": method.id})
    intent = await v1.payment_intents.create_async(
        {
            "amount": 2000,
            "currency": "eur",
            "customer": customer.id,
            "payment_method": method.id,
            "confirm": True,
        }
    )
    await v1.refunds.create_async({"payment_intent": intent.id, "amount": 500})
    async with httpx.AsyncClient(base_url=sandbox.url, auth=(API_KEY, ""), trust_env=False) as http:
        yield http
    await library.close_async()  # type: ignore[no-untyped-call]  # theirs


async def everything(http: httpx.AsyncClient, kind: str) -> list[Record]:
    found: list[Record] = (await http.get(f"/v1/{kind}", params={"limit": 100})).json()["data"]
    return found


@pytest.mark.parametrize(
    "kind",
    [
        "customers",
        "products",
        "prices",
        "subscriptions",
        "invoices",
        "invoice_payments",
        "payment_intents",
        "charges",
        "refunds",
        "events",
    ],
)
async def test_each_object_is_as_the_library_declares_it(
    used: httpx.AsyncClient, kind: str
) -> None:
    records = await everything(used, kind)

    assert records
    assert sorted({each for record in records for each in violations(record)}) == []


async def test_what_events_are_about_is_as_the_library_declares_it(
    used: httpx.AsyncClient,
) -> None:
    told = [event["data"]["object"] for event in await everything(used, "events")]

    assert {"invoiceitem", "payment_method"} <= {record["object"] for record in told}
    assert sorted({each for record in told for each in violations(record)}) == []


async def test_what_is_not_as_declared_is_told(used: httpx.AsyncClient) -> None:
    (record, *_) = await everything(used, "invoice_payments")
    del record["is_default"]
    record |= {"amount_requested": "5", "colour": "red", "payment": None}

    assert sorted(violations(record)) == [
        "invoice_payment.amount_requested is '5', not <class 'int'>",
        "invoice_payment.colour is not declared",
        "invoice_payment.is_default is missing",
        "invoice_payment.payment is None, not an object",
    ]
