"""What the sandbox answers, held to Stripe's own OpenAPI document by Prism.

A violation is an answer of Prism's own, which neither Stripe's library nor the connector takes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from portico.contract import load
from portico.testing import APIUnderTest
from system_apis.stripe.sandbox.kind import StripeKind
from tests.support import prism
from tests.support.sandbox import running_beside
from tests.support.serving import free_port
from tests.system_apis.stripe.conftest import API_KEY, CONTRACT, open_stripe

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(prism.INSTALL_SECONDS + prism.START_SECONDS + 60),
    # The library's own use of httpx.
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]
QUAY = {"name": "Quay", "email": "q@quay.example"}
EURO = {"amount": "1.00", "currency": "EUR"}
CLUB = {"name": "Club", "unitPrice": EURO, "billedEvery": "month"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("prism") / "log"
    try:
        with (
            running_beside(StripeKind(), lambda _: API_KEY) as running,
            prism.before(running.url, free_port(), log) as url,
        ):
            yield url
    except prism.UnavailableError as error:
        pytest.skip(f"needs {error}")


@pytest.fixture
async def client(judged: str, anyio_backend: str) -> AsyncIterator[stripe.StripeClient]:
    del anyio_backend
    http = stripe.HTTPXClient()
    yield stripe.StripeClient(API_KEY, base_addresses={"api": judged}, http_client=http)
    await http.close_async()  # type: ignore[no-untyped-call]  # theirs


@pytest.fixture
async def api(judged: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[APIUnderTest]:
    del anyio_backend
    async with open_stripe(judged, tmp_path / "references.sqlite") as (_, opened):
        yield opened


async def test_customers_products_and_prices_are_as_documented(client: stripe.StripeClient) -> None:
    v1 = client.v1
    customer = await v1.customers.create_async(
        {"name": "Judge", "email": "j@court.example", "address": {"line1": "1 Quay"}}
    )
    await v1.customers.update_async(customer.id, {"metadata": {"k": "v"}, "phone": "+31 1"})
    await v1.customers.search_async({"query": "metadata['k']:'v'"})
    product = await v1.products.create_async({"name": "Club"})
    await v1.products.update_async(product.id, {"description": "Beans, monthly"})
    price = await v1.prices.create_async(
        {"product": product.id, "currency": "eur", "unit_amount": 950}
    )
    await v1.prices.retrieve_async(price.id, {"expand": ["product"]})
    for listed in (v1.customers, v1.products, v1.prices, v1.events):
        assert (await listed.list_async({"limit": 2})).data
    assert (await v1.customers.delete_async(customer.id)).deleted


async def test_subscriptions_and_invoices_are_as_documented(client: stripe.StripeClient) -> None:
    v1 = client.v1
    customer = await v1.customers.create_async({"name": "Judge"})
    product = await v1.products.create_async({"name": "Club"})
    price = await v1.prices.create_async(
        {
            "product": product.id,
            "currency": "eur",
            "unit_amount": 2740,
            "recurring": {"interval": "month"},
        }
    )
    subscription = await v1.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": price.id, "quantity": 2}],
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "expand": ["latest_invoice"],
        }
    )
    invoice = subscription.latest_invoice
    assert not isinstance(invoice, str)
    assert invoice is not None
    assert invoice.id is not None
    await v1.invoices.pay_async(invoice.id, {"paid_out_of_band": True})
    draft = await v1.invoices.create_async({"customer": customer.id, "currency": "eur"})
    assert draft.id is not None
    await v1.invoice_items.create_async(
        {"customer": customer.id, "invoice": draft.id, "amount": 500, "currency": "eur"}
    )
    await v1.invoices.finalize_invoice_async(draft.id)
    await v1.invoices.void_invoice_async(draft.id)
    for listed in (v1.subscriptions, v1.invoices):
        assert (await listed.list_async({"limit": 5})).data
    await v1.subscriptions.cancel_async(subscription.id)


async def test_payments_and_refunds_are_as_documented(client: stripe.StripeClient) -> None:
    v1 = client.v1
    customer = await v1.customers.create_async({"name": "Judge"})
    method = await v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    intent = await v1.payment_intents.create_async(
        {
            "amount": 2000,
            "currency": "eur",
            "customer": customer.id,
            "payment_method": method.id,
            "confirm": True,
            "capture_method": "manual",
        }
    )
    captured = await v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 1500})
    await v1.refunds.create_async({"payment_intent": intent.id, "amount": 500})
    await v1.payment_intents.retrieve_async(intent.id, {"expand": ["latest_charge"]})
    with pytest.raises(stripe.InvalidRequestError):
        await v1.payment_intents.cancel_async(captured.id)
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await v1.payment_intents.retrieve_async("pi_none")

    assert missing.value.http_status == 404


async def test_what_the_connector_asks_in_every_operation_is_as_documented(
    api: APIUnderTest,
) -> None:
    asked: set[str] = set()

    async def ask(name: str, body: object = None, **arguments: object) -> Any:
        asked.add(name)
        return (await api.invoke(name, arguments, body=body, seconds=30)).body

    customer = (await ask("putCustomer", QUAY, externalKey="C-J"))["id"]
    await ask("putCustomer", {**QUAY, "phone": "+31 10 555 0100"}, externalKey="C-J")
    await ask("getCustomer", customerId=customer)
    await ask("putProduct", CLUB, sku="CLUB-J")
    await ask("putProduct", {**CLUB, "unitPrice": {**EURO, "amount": "2.00"}}, sku="CLUB-J")
    await ask("getProduct", sku="CLUB-J")
    subscribed = {"customerId": customer, "items": [{"sku": "CLUB-J"}], "daysUntilDue": 14}
    subscription = (await ask("putSubscription", subscribed, externalKey="S-J"))["id"]
    await ask("getSubscription", subscriptionId=subscription)

    line = {"description": "Beans", "quantity": 2, "unitPrice": EURO}
    invoice = {"customerId": customer, "currency": "EUR", "lines": [line] * 12}
    billed = (await ask("putInvoice", invoice, externalKey="I-J"))["id"]
    await ask("finalizeInvoice", invoiceId=billed)
    await ask("getInvoice", invoiceId=billed)
    taken = {"customerId": customer, "amount": EURO, "paymentToken": "pm_card_visa"}
    paid = await ask("putPayment", {**taken, "invoiceId": billed}, externalKey="P-J")
    held = await ask("putPayment", {**taken, "capture": "manual"}, externalKey="P-K")
    await ask("capturePayment", paymentId=held["id"])
    given_up = await ask("putPayment", {**taken, "capture": "manual"}, externalKey="P-L")
    await ask("cancelPayment", paymentId=given_up["id"])
    await ask("getPayment", paymentId=paid["id"])
    refund = await ask("putRefund", {"amount": EURO}, paymentId=paid["id"], externalKey="R-J")
    await ask("getRefund", refundId=refund["id"])
    await ask("listRefunds", paymentId=paid["id"], limit=2)
    await ask("listInvoicePayments", invoiceId=billed, limit=2)
    for name in ("listCustomers", "listProducts", "listSubscriptions", "listInvoices"):
        assert (await ask(name, limit=2))["items"]
    page = await ask("listProducts", limit=1)
    assert (await ask("listProducts", limit=1, cursor=page["nextCursor"]))["items"]
    await ask("listCustomers", email=QUAY["email"], limit=2)
    await ask("listPayments", customerId=customer, limit=2)
    await ask("listEvents", since="2026-01-01T00:00:00Z", types=["invoice.finalized"], limit=2)
    await ask("voidInvoice", invoiceId=billed)
    await ask("cancelSubscription", subscriptionId=subscription)

    assert asked == set(load(CONTRACT).operations)


async def test_prism_does_say_what_is_wrong(judged: str) -> None:
    async with httpx.AsyncClient(auth=(API_KEY, ""), trust_env=False, timeout=30) as http:
        answer = await http.get(f"{judged}/v1/customers", params={"limit": "many"})

    assert answer.status_code == 422
    assert "errors#UNPROCESSABLE_ENTITY" in answer.json()["type"]
