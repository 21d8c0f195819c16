"""The operations of system/stripe.v1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from portico.connectors.failures import ConflictError, MissingError, RefusedError, as_problems
from portico.connectors.messages import Pairs
from portico.connectors.moments import from_text
from portico.connectors.pages import from_cursor, page_reply
from portico.connectors.record import Record
from portico.connectors.replies import put_reply
from portico.crossref.creating import Found
from portico.server.call import Call, Reply
from system_apis.stripe import billing_mapping, mapping, models
from system_apis.stripe.amounts import to_stripe
from system_apis.stripe.connector import KEY, Page, Stripe, Values, action_key
from system_apis.stripe.dialect import SYSTEM
from system_apis.stripe.invoices import create_invoice, read_invoice, with_all_lines
from system_apis.stripe.products import change_product, find_price, find_product

PRODUCTS_WITH_PRICE: Pairs = [("expand[]", "data.default_price"), ("active", "true")]


async def list_customers(
    call: Call[Stripe],
    *,
    limit: int,
    email: str | None = None,
    external_key: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of customers."""
    if external_key is not None:
        return await _list_customer_of_key(call, external_key, email)
    query = [("email", email)] if email else []
    with as_problems():
        page = await _page(call, "customers", limit, cursor, query)
        items = [mapping.customer(record, call.resources.account) for record in page.records]
        return page_reply(items, page.position, {"email": email, "limit": limit})


async def _list_customer_of_key(call: Call[Stripe], external_key: str, email: str | None) -> Reply:
    with as_problems():
        record = await call.resources.find_linked("customers", external_key, call)
        found = [] if record is None else [mapping.customer(record, call.resources.account)]
        items = [item for item in found if email is None or item.get("email") == email]
        return page_reply(items, None, {})


async def get_customer(call: Call[Stripe], *, customer_id: str) -> models.Customer:
    """Return a customer that was not deleted."""
    with as_problems():
        record = await call.resources.get(f"customers/{customer_id}", call)
        if record.flag("deleted"):
            raise MissingError(f"customer {customer_id} was deleted", system=SYSTEM)
        return mapping.customer(record, call.resources.account)


async def put_customer(call: Call[Stripe], *, external_key: str, body: models.NewCustomer) -> Reply:
    """Create the customer of a key, or change it."""
    stripe, values = call.resources, mapping.customer_values(body)
    with as_problems():
        record, created = await stripe.create("customers", external_key, values, call)
        if not created:
            record = await stripe.post(f"customers/{record.text('id')}", values, call)
        result = mapping.customer(record, stripe.account)
        return put_reply(result, f"customers/{result['id']}", created=created)


async def list_products(call: Call[Stripe], *, limit: int, cursor: str | None = None) -> Reply:
    """Return one page of products that are sold."""
    with as_problems():
        page = await _page(call, "products", limit, cursor, PRODUCTS_WITH_PRICE)
        items = [mapping.product(record, call.resources.account) for record in page.records]
        return page_reply(items, page.position, {"limit": limit})


async def get_product(call: Call[Stripe], *, sku: str) -> models.Product:
    """Return a product by SKU."""
    with as_problems():
        return mapping.product(await find_product(call.resources, sku, call), _account(call))


async def put_product(call: Call[Stripe], *, sku: str, body: models.NewProduct) -> Reply:
    """Create the product of a SKU, or change it and its price."""
    with as_problems():
        record, created = await change_product(call.resources, sku, body, call)
        result = mapping.product(record, _account(call))
        return put_reply(result, f"products/{sku}", created=created)


async def list_subscriptions(
    call: Call[Stripe], *, limit: int, customer_id: str | None = None, cursor: str | None = None
) -> Reply:
    """Return one page of subscriptions of any status."""
    query = [("status", "all"), *_of_customer(customer_id)]
    with as_problems():
        page = await _page(call, "subscriptions", limit, cursor, query)
        items = [billing_mapping.subscription(record, _account(call)) for record in page.records]
        return page_reply(items, page.position, {"customerId": customer_id, "limit": limit})


async def get_subscription(call: Call[Stripe], *, subscription_id: str) -> models.Subscription:
    """Return a subscription."""
    with as_problems():
        record = await call.resources.get(f"subscriptions/{subscription_id}", call)
        return billing_mapping.subscription(record, _account(call))


async def put_subscription(
    call: Call[Stripe], *, external_key: str, body: models.NewSubscription
) -> Reply:
    """Create the subscription of a key."""
    stripe, days = call.resources, body.get("daysUntilDue")
    with as_problems():
        prices = [await find_price(stripe, item["sku"], call) for item in body["items"]]
        values: Values = {
            "customer": body["customerId"],
            "items": [
                {"price": price.text("id"), "quantity": item.get("quantity", 1)}
                for price, item in zip(prices, body["items"], strict=True)
            ],
            "collection_method": "send_invoice" if days else "charge_automatically",
            "days_until_due": days,
        }
        record, created = await stripe.create("subscriptions", external_key, values, call)
        result = billing_mapping.subscription(record, stripe.account)
        return put_reply(result, f"subscriptions/{result['id']}", created=created)


async def cancel_subscription(call: Call[Stripe], *, subscription_id: str) -> models.Subscription:
    """End a subscription."""
    stripe = call.resources
    with as_problems():
        record = await stripe.get(f"subscriptions/{subscription_id}", call)
        if record.text("status") not in {"canceled", "incomplete_expired"}:
            await stripe.end(f"subscriptions/{subscription_id}", call)
            record = await stripe.get(f"subscriptions/{subscription_id}", call)
        return billing_mapping.subscription(record, stripe.account)


async def list_invoices(
    call: Call[Stripe], *, limit: int, customer_id: str | None = None, cursor: str | None = None
) -> Reply:
    """Return one page of invoices with all their lines."""
    stripe = call.resources
    with as_problems():
        page = await _page(call, "invoices", limit, cursor, _of_customer(customer_id))
        records = [await with_all_lines(stripe, record, call) for record in page.records]
        items = [billing_mapping.invoice(record, stripe.account) for record in records]
        return page_reply(items, page.position, {"customerId": customer_id, "limit": limit})


async def get_invoice(call: Call[Stripe], *, invoice_id: str) -> models.Invoice:
    """Return an invoice."""
    with as_problems():
        record = await read_invoice(call.resources, invoice_id, call)
        return billing_mapping.invoice(record, _account(call))


async def list_invoice_payments(
    call: Call[Stripe], *, invoice_id: str, limit: int, cursor: str | None = None
) -> Reply:
    """Return one page of what was credited to an invoice."""
    query = [("invoice", invoice_id), ("expand[]", "data.invoice")]
    with as_problems():
        page = await _page(call, "invoice_payments", limit, cursor, query)
        items = [billing_mapping.invoice_payment(record, _account(call)) for record in page.records]
        return page_reply(items, page.position, {"invoiceId": invoice_id, "limit": limit})


async def put_invoice(call: Call[Stripe], *, external_key: str, body: models.NewInvoice) -> Reply:
    """Create the draft invoice of a key with its lines."""
    with as_problems():
        if any(line["unitPrice"]["currency"] != body["currency"] for line in body["lines"]):
            raise RefusedError("a price is not in the currency of the invoice", system=SYSTEM)
        record, created = await create_invoice(call.resources, external_key, body, call)
        result = billing_mapping.invoice(record, _account(call))
        return put_reply(result, f"invoices/{result['id']}", created=created)


async def finalize_invoice(call: Call[Stripe], *, invoice_id: str) -> models.Invoice:
    """Make a draft payable."""
    return await _act_on_invoice(call, invoice_id, "finalize", lambda status: status != "draft")


async def void_invoice(call: Call[Stripe], *, invoice_id: str) -> models.Invoice:
    """Take an invoice back."""
    return await _act_on_invoice(call, invoice_id, "void", lambda status: status == "void")


async def _act_on_invoice(
    call: Call[Stripe], invoice_id: str, action: str, done: Callable[[str], bool]
) -> models.Invoice:
    stripe = call.resources
    with as_problems():
        record = await read_invoice(stripe, invoice_id, call)
        if not done(record.text("status")):
            path = f"invoices/{invoice_id}/{action}"
            await _act(call, path, invoice_id, f"invoice {invoice_id} is {record.text('status')}")
            record = await read_invoice(stripe, invoice_id, call)
        return billing_mapping.invoice(record, stripe.account)


async def list_payments(
    call: Call[Stripe], *, limit: int, customer_id: str | None = None, cursor: str | None = None
) -> Reply:
    """Return one page of payments of customers."""
    with as_problems():
        page = await _page(call, "payment_intents", limit, cursor, _of_customer(customer_id))
        items = [
            billing_mapping.payment(record, _account(call))
            for record in page.records
            if record.id_of("customer")
        ]
        return page_reply(items, page.position, {"customerId": customer_id, "limit": limit})


async def get_payment(call: Call[Stripe], *, payment_id: str) -> models.Payment:
    """Return a payment of a customer."""
    with as_problems():
        return billing_mapping.payment(await _payment(call, payment_id), _account(call))


async def put_payment(call: Call[Stripe], *, external_key: str, body: models.NewPayment) -> Reply:
    """Create the payment of a key, and charge it where there is a token."""
    stripe, amount, token = call.resources, body["amount"], body.get("paymentToken")
    metadata: Mapping[str, str | None] = {"invoice_id": body.get("invoiceId")}
    with as_problems():
        values: Values = {
            "customer": body["customerId"],
            "amount": to_stripe(amount["amount"], amount["currency"]),
            "currency": amount["currency"].lower(),
            "capture_method": body.get("capture", "automatic"),
            "payment_method": token,
            "confirm": True if token else None,
            # Nobody is there to be sent to a bank's page and back.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": metadata,
        }
        record, created = await stripe.create("payment_intents", external_key, values, call)
        result = billing_mapping.payment(record, stripe.account)
        return put_reply(result, f"payments/{result['id']}", created=created)


async def capture_payment(call: Call[Stripe], *, payment_id: str) -> models.Payment:
    """Take the money that was authorized."""
    with as_problems():
        record = await _payment(call, payment_id)
        if record.text("status") != "succeeded":
            path = f"payment_intents/{payment_id}/capture"
            wrong = f"payment {payment_id} is {record.text('status')}"
            record = await _act(call, path, payment_id, wrong)
        return billing_mapping.payment(record, _account(call))


async def cancel_payment(call: Call[Stripe], *, payment_id: str) -> models.Payment:
    """Give up a payment that is not captured."""
    with as_problems():
        record = await _payment(call, payment_id)
        if record.text("status") != "canceled":
            path = f"payment_intents/{payment_id}/cancel"
            wrong = f"payment {payment_id} is {record.text('status')}"
            record = await _act(call, path, payment_id, wrong)
        return billing_mapping.payment(record, _account(call))


async def put_refund(
    call: Call[Stripe], *, payment_id: str, external_key: str, body: models.NewRefund
) -> Reply:
    """Refund a payment once for each key."""
    stripe, amount = call.resources, body.get("amount")
    with as_problems():
        payment = await _payment(call, payment_id)
        units = to_stripe(amount["amount"], amount["currency"]) if amount else None
        if amount and amount["currency"].lower() != payment.text("currency"):
            raise RefusedError("the payment is in another currency", system=SYSTEM)

        async def look_up() -> Found[Record] | None:
            # Refunds cannot be searched; those of one payment are few.
            query = [("payment_intent", payment_id)]
            page = await stripe.page("refunds", call, limit=100, after=None, query=query)
            for record in page.records:
                if record.record("metadata").text(KEY) == external_key:
                    return Found(external_id=record.text("id"), record=record)
            return None

        async def create(operation_id: str) -> Found[Record]:
            metadata = {KEY: external_key}
            values = {"payment_intent": payment_id, "amount": units, "metadata": metadata}
            record = await stripe.post("refunds", values, call, key=operation_id)
            return Found(external_id=record.text("id"), record=record, created=True)

        name = f"{payment_id}/{external_key}"
        found = await stripe.create_once("refunds", name, call, look_up, create)
        record = await stripe.get(f"refunds/{found.external_id}", call)
        result = billing_mapping.refund(record, stripe.account, payment.id_of("customer"))
        created = isinstance(found, Found) and found.created
        return put_reply(result, f"payments/{payment_id}", created=created)


async def list_refunds(
    call: Call[Stripe], *, payment_id: str, limit: int, cursor: str | None = None
) -> Reply:
    """Return one page of what was given back of a payment."""
    with as_problems():
        payment = await _payment(call, payment_id)
        query = [("payment_intent", payment_id)]
        page = await _page(call, "refunds", limit, cursor, query)
        customer_id = payment.id_of("customer")
        items = [billing_mapping.refund(r, _account(call), customer_id) for r in page.records]
        return page_reply(items, page.position, {"paymentId": payment_id, "limit": limit})


async def get_refund(call: Call[Stripe], *, refund_id: str) -> models.Payment:
    """Return a refund with the invoices that its payment was for."""
    with as_problems():
        record = await call.resources.get(f"refunds/{refund_id}", call)
        payment_id = record.id_of("payment_intent")
        if not payment_id:
            raise MissingError(f"refund {refund_id} is of no payment intent", system=SYSTEM)
        payment = await _payment(call, payment_id)
        invoice_ids = await _invoices_of(call, payment_id)
        customer_id = payment.id_of("customer")
        return billing_mapping.refund(record, _account(call), customer_id, invoice_ids)


async def _invoices_of(call: Call[Stripe], payment_id: str) -> list[str]:
    """Return the invoices that a payment was credited to; more than a hundred are not expected."""
    query = [("payment[type]", "payment_intent"), ("payment[payment_intent]", payment_id)]
    page = await call.resources.page("invoice_payments", call, limit=100, after=None, query=query)
    return [record.id_of("invoice") for record in page.records]


async def list_events(
    call: Call[Stripe],
    *,
    limit: int,
    since: str | None = None,
    types: Sequence[str] | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of what happened."""
    query = [("types[]", kind) for kind in types or ()]
    if since is not None:
        query.append(("created[gte]", str(int(from_text(since).timestamp()))))
    filters = {"since": since, "types": ",".join(types) if types else None, "limit": limit}
    with as_problems():
        page = await _page(call, "events", limit, cursor, query)
        items = [billing_mapping.event(record) for record in page.records]
        return page_reply(items, page.position, filters)


async def _page(
    call: Call[Stripe], path: str, limit: int, cursor: str | None, query: Pairs
) -> Page:
    after = None if cursor is None else from_cursor(cursor)
    return await call.resources.page(path, call, limit=limit, after=after, query=query)


async def _act(call: Call[Stripe], path: str, record_id: str, wrong: str) -> Record:
    """Do something to a record; raises ConflictError where its state does not allow it."""
    try:
        return await call.resources.post(path, {}, call, key=action_key(call, record_id))
    except RefusedError as error:
        raise ConflictError(wrong, system=SYSTEM, code=error.code) from error


async def _payment(call: Call[Stripe], payment_id: str) -> Record:
    record = await call.resources.get(f"payment_intents/{payment_id}", call)
    if not record.id_of("customer"):
        raise MissingError(f"payment {payment_id} is of no customer", system=SYSTEM)
    return record


def _account(call: Call[Stripe]) -> str:
    return call.resources.account


def _of_customer(customer_id: str | None) -> Pairs:
    return [("customer", customer_id)] if customer_id else []
