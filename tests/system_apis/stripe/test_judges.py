"""Stripe's own library takes the sandbox for Stripe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import stripe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from portico.sandbox.faults import Faults
from portico.sandbox.running import Running, serve_on_loopback
from portico.sandbox.webhooks import Endpoint
from portico.webhooks.received import Received, WebhookRefusedError
from portico.webhooks.vendors import VENDORS
from system_apis.stripe.app import API_VERSION
from tests.system_apis.stripe.conftest import API_KEY

pytestmark = [
    pytest.mark.anyio,
    # The library's own use of httpx.
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]


@pytest.fixture
async def client(sandbox: Running) -> AsyncIterator[stripe.StripeClient]:
    http = stripe.HTTPXClient()
    yield stripe.StripeClient(API_KEY, base_addresses={"api": sandbox.url}, http_client=http)
    await http.close_async()  # type: ignore[no-untyped-call]  # Stripe's


@pytest.fixture
def blocking(sandbox: Running) -> Iterator[stripe.StripeClient]:
    http = stripe.RequestsClient()
    yield stripe.StripeClient(API_KEY, base_addresses={"api": sandbox.url}, http_client=http)
    http.close()  # type: ignore[no-untyped-call]  # Stripe's


def test_the_version_is_that_of_the_library() -> None:
    assert stripe.api_version == API_VERSION


async def test_the_blocking_client_creates_reads_lists_and_searches(
    blocking: stripe.StripeClient,
) -> None:
    def work() -> list[Any]:
        made = blocking.v1.customers.create({"name": "Judge", "metadata": {"external_key": "J"}})
        changed = blocking.v1.customers.update(made.id, {"email": "judge@court.example"})
        found = blocking.v1.customers.search({"query": "metadata['external_key']:'J'"})
        every = [
            customer.id for customer in blocking.v1.customers.list({"limit": 2}).auto_paging_iter()
        ]
        gone = blocking.v1.customers.delete(made.id)
        return [made, changed, found, every, gone]

    made, changed, found, every, gone = await asyncio.to_thread(work)

    assert changed.email == "judge@court.example"
    assert [customer.id for customer in found.data] == [made.id]
    assert len(every) == len(set(every)) == 6
    assert gone.deleted


async def test_the_async_client_takes_a_payment_and_gives_it_back(
    client: stripe.StripeClient,
) -> None:
    customer = await client.v1.customers.create_async({"name": "Judge"})
    method = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    intent = await client.v1.payment_intents.create_async(
        {
            "amount": 2000,
            "currency": "eur",
            "customer": customer.id,
            "payment_method": method.id,
            "confirm": True,
            "capture_method": "manual",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
    )
    assert intent.status == "requires_capture"
    captured = await client.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 1500})
    assert (captured.status, captured.amount_received) == ("succeeded", 1500)

    refund = await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 500})
    assert refund.status == "succeeded"
    expanded = await client.v1.payment_intents.retrieve_async(
        intent.id, {"expand": ["customer", "latest_charge"]}
    )
    assert isinstance(expanded.customer, stripe.Customer)
    assert expanded.customer.name == "Judge"
    assert isinstance(expanded.latest_charge, stripe.Charge)
    assert expanded.latest_charge.amount_refunded == 500


async def test_the_async_client_bills_and_subscribes(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"name": "Judge"})
    product = await client.v1.products.create_async({"name": "Club"})
    price = await client.v1.prices.create_async(
        {
            "product": product.id,
            "currency": "eur",
            "unit_amount": 2740,
            "recurring": {"interval": "month"},
        }
    )
    subscription = await client.v1.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": price.id, "quantity": 2}],
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "expand": ["latest_invoice"],
        }
    )
    assert subscription.status == "active"
    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    assert subscription.latest_invoice.total == 5480
    paid = await client.v1.invoices.pay_async(
        subscription.latest_invoice.id, {"payment_method": "pm_card_visa"}
    )
    assert (paid.status, paid.amount_remaining) == ("paid", 0)
    assert paid.parent is not None
    assert paid.parent.subscription_details is not None
    assert paid.parent.subscription_details.subscription == subscription.id
    parts = await client.v1.invoice_payments.list_async({"invoice": paid.id, "status": "paid"})
    assert [part.amount_paid for part in parts.data] == [5480]
    intent = parts.data[0].payment.payment_intent
    by_intent: Any = {"payment": {"type": "payment_intent", "payment_intent": intent}}
    assert (await client.v1.invoice_payments.list_async(by_intent)).data == parts.data
    ended = await client.v1.subscriptions.cancel_async(subscription.id)
    assert ended.status == "canceled"


async def test_errors_become_those_of_the_library(
    client: stripe.StripeClient, sandbox: Running
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await client.v1.customers.retrieve_async("cus_none")
    assert (missing.value.code, missing.value.http_status) == ("resource_missing", 404)

    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        await client.v1.customers.create_async({"colour": "red"})  # type: ignore[arg-type]  # on purpose

    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_intents.create_async(
            {
                "amount": 2000,
                "currency": "eur",
                "payment_method": "pm_card_chargeDeclined",
                "confirm": True,
            }
        )
    assert declined.value.code == "card_declined"
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None
    assert declined.value.error.payment_intent.status == "requires_payment_method"

    with pytest.raises(stripe.AuthenticationError):
        await client.v1.customers.list_async(options={"api_key": "sk_test_wrong"})

    sandbox.faulty.faults.throttled = 1
    with pytest.raises(stripe.RateLimitError):
        await client.v1.customers.list_async(options={"max_network_retries": 0})


async def test_a_lacking_permission_is_an_error_of_its_own_in_the_library(
    client: stripe.StripeClient, sandbox: Running
) -> None:
    sandbox.faulty.set(Faults(no_access=("invoice",), read_only=("charge",)))

    with pytest.raises(stripe.PermissionError, match="rak_invoice_read"):
        await client.v1.invoices.list_async()
    with pytest.raises(stripe.PermissionError, match="rak_charge_write"):
        await client.v1.refunds.create_async({"payment_intent": "pi_1"})
    assert (await client.v1.refunds.list_async()).data == []


async def test_a_key_is_replayed_and_guarded_as_the_library_knows_it(
    client: stripe.StripeClient,
) -> None:
    first = await client.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})
    again = await client.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})

    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.customers.create_async({"name": "B"}, {"idempotency_key": "k"})


async def test_a_refused_request_leaves_its_key_unused(client: stripe.StripeClient) -> None:
    options: Any = {"idempotency_key": "k"}
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.customers.create_async({"email": "nonsense"}, options)

    assert (await client.v1.customers.create_async({"email": "a@b.example"}, options)).id


class Inbox:
    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()

    async def receive(self, request: Request) -> Response:
        await self.messages.put((await request.body(), request.headers["stripe-signature"]))
        return Response(status_code=200)


@pytest.fixture
async def inbox(sandbox: Running) -> AsyncIterator[Inbox]:
    found = Inbox()
    app = Starlette(routes=[Route("/", found.receive, methods=["POST"])])
    async with serve_on_loopback(app) as url:
        assert sandbox.sandbox.webhooks is not None
        sandbox.sandbox.webhooks.endpoints.append(Endpoint(url=url, secret="whsec_new"))
        yield found


async def test_a_webhook_is_believed_by_the_library_and_by_us(
    client: stripe.StripeClient, inbox: Inbox
) -> None:
    customer = await client.v1.customers.create_async({"name": "Judge"})
    async with asyncio.timeout(5):
        body, signature = await inbox.messages.get()

    theirs = stripe.Webhook.construct_event(body, signature, "whsec_new")
    ours = received(body, signature, "whsec_old", "whsec_new")

    assert (theirs.type, theirs.data.object.id) == ("customer.created", customer.id)
    assert (ours.topic, ours.delivery_id) == ("customer.created", theirs.id)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signature, "whsec_old")
    with pytest.raises(WebhookRefusedError):
        received(body, signature, "whsec_old")


def received(body: bytes, signature: str, *secrets: str, now: float | None = None) -> Received:
    """Return what Stripe's door makes of a message."""
    keys = [secret.encode() for secret in secrets]
    fields = {"stripe-signature": signature}
    return VENDORS["stripe"].verify(fields, body, keys, time.time() if now is None else now)


@pytest.fixture
def signed() -> tuple[bytes, str]:
    body = b'{"id": "evt_1", "type": "invoice.paid", "created": 1000, "data": {"object": {}}}'
    signature = stripe.WebhookSignature._compute_signature(f"1000.{body.decode()}", "whsec_1")
    return body, f"t=1000,v1={signature}"


async def test_what_the_library_signs_is_believed_for_five_minutes_either_way(
    signed: tuple[bytes, str],
) -> None:
    body, signature = signed
    for now in (700.0, 1300.0):
        assert received(body, signature, "whsec_1", now=now).delivery_id == "evt_1"
    for now in (699.0, 1301.0):
        with pytest.raises(WebhookRefusedError, match="too far from now"):
            received(body, signature, "whsec_1", now=now)


@pytest.mark.parametrize(
    "header",
    ["", "t=1000", "v1=aa", "t=x,v1=aa", "t=1000,v0=aa", "t=1000,v1=é", "t=1000,v1="],
)
async def test_a_header_that_proves_nothing_is_refused(
    signed: tuple[bytes, str], header: str
) -> None:
    with pytest.raises(WebhookRefusedError):
        received(signed[0], header, "whsec_1", now=1000.0)


async def test_a_body_that_was_changed_is_refused(signed: tuple[bytes, str]) -> None:
    with pytest.raises(WebhookRefusedError):
        received(signed[0] + b" ", signed[1], "whsec_1", now=1000.0)
