"""The operations of system/quickbooks.v1."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from portico.connectors.batches import in_batches
from portico.connectors.failures import ConflictError, MissingError, RefusedError, as_problems
from portico.connectors.moments import from_text, timestamp
from portico.connectors.pages import from_cursor, no_such_page, page_reply
from portico.connectors.record import Record
from portico.connectors.replies import put_reply
from portico.server.call import Call, Reply
from system_apis.quickbooks import mapping, models, queries, return_mapping
from system_apis.quickbooks.connector import Page, QuickBooks, action_key
from system_apis.quickbooks.dialect import SYSTEM

Entity = Literal["customer", "product", "invoice", "payment"]
ENTITIES: dict[Entity, str] = {
    "customer": "Customer",
    "product": "Item",
    "invoice": "Invoice",
    "payment": "Payment",
}
# Inactive records are left out unless they are asked for.
ANY_STATE = "Active IN (true, false)"
# How far back QuickBooks tells of changes.
CHANGES_DAYS = 30
MAX_POSITION_DIGITS = 9
# Ids in one query; its text is part of a URL.
MAX_IDS = 100


async def list_customers(
    call: Call[QuickBooks],
    *,
    limit: int,
    external_key: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of customers."""
    books = call.resources
    conditions = [ANY_STATE]
    with as_problems():
        if external_key is not None:
            # QuickBooks has no field for the key; which record it stands for is known here.
            record_id = await books.linked_id("Customer", external_key)
            if record_id is None:
                return page_reply([], None, {})
            conditions.append(queries.equal("Id", record_id))
        page = await _page(call, "Customer", limit, cursor, conditions)
        keys = await books.keys_of("Customer", page.records)
        items = [
            mapping.customer(r, books.realm_id, books.currency, keys.get(r.text("Id"), ""))
            for r in page.records
        ]
        return page_reply(items, page.position, {"externalKey": external_key, "limit": limit})


async def get_customer(call: Call[QuickBooks], *, customer_id: str) -> models.Customer:
    """Return a customer."""
    books = call.resources
    with as_problems():
        record = await books.get("Customer", customer_id, call)
        keys = await books.keys_of("Customer", [record])
        return mapping.customer(
            record, books.realm_id, books.currency, keys.get(record.text("Id"), "")
        )


async def change_customer(
    call: Call[QuickBooks], *, customer_id: str, body: models.CustomerChange
) -> models.Customer:
    """Change what the body has of a customer."""
    books, values = call.resources, mapping.customer_changes(body)
    with as_problems():
        record = await books.change("Customer", customer_id, values, call)
        return mapping.customer(record, books.realm_id, books.currency)


async def put_customer(
    call: Call[QuickBooks], *, external_key: str, body: models.NewCustomer
) -> Reply:
    """Create the customer of a key, or change it."""
    books, values = call.resources, mapping.customer_values(body)

    async def look_up() -> Record | None:
        conditions = [queries.equal("DisplayName", body["name"]), ANY_STATE]
        return await books.find("Customer", conditions, call)

    with as_problems():
        record, created = await books.create("Customer", external_key, values, look_up, call)
        if not created:
            values.pop("CurrencyRef", None)
            record = await books.change("Customer", record.text("Id"), values, call)
            await books.note_write("Customer", external_key, record)
        result = mapping.customer(record, books.realm_id, books.currency, external_key)
        return put_reply(result, f"customers/{result['id']}", created=created)


async def list_products(call: Call[QuickBooks], *, limit: int, cursor: str | None = None) -> Reply:
    """Return one page of items that have a SKU."""
    books = call.resources
    with as_problems():
        page = await _page(call, "Item", limit, cursor)
        items = [
            mapping.product(record, books.realm_id, books.currency)
            for record in page.records
            if record.text("Sku")
        ]
        return page_reply(items, page.position, {"limit": limit})


async def get_product(call: Call[QuickBooks], *, sku: str) -> models.Product:
    """Return a product by SKU."""
    books = call.resources
    with as_problems():
        record = await books.find("Item", [queries.equal("Sku", sku)], call)
        if record is None:
            raise MissingError(f"there is no product {sku}", system=SYSTEM)
        return mapping.product(record, books.realm_id, books.currency)


async def list_invoices(
    call: Call[QuickBooks],
    *,
    limit: int,
    customer_id: str | None = None,
    document_number: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of invoices."""
    conditions = _of_customer(customer_id)
    if document_number is not None:
        conditions.append(queries.equal("DocNumber", document_number))
    filters = {"customerId": customer_id, "documentNumber": document_number, "limit": limit}
    with as_problems():
        page = await _page(call, "Invoice", limit, cursor, conditions)
        items = await _invoices(call, page.records)
        return page_reply(items, page.position, filters)


async def get_invoice(call: Call[QuickBooks], *, invoice_id: str) -> models.Invoice:
    """Return an invoice."""
    books = call.resources
    with as_problems():
        record = await books.get("Invoice", invoice_id, call)
        return (await _invoices(call, [record]))[0]


async def put_invoice(
    call: Call[QuickBooks], *, document_number: str, body: models.NewInvoice
) -> Reply:
    """Create the invoice of a document number."""
    books = call.resources

    async def look_up() -> Record | None:
        return await books.find("Invoice", [queries.equal("DocNumber", document_number)], call)

    with as_problems():
        if any(line["unitPrice"]["currency"] != body["currency"] for line in body["lines"]):
            raise RefusedError("a price is not in the currency of the invoice", system=SYSTEM)
        items = await _items(call, {line["sku"] for line in body["lines"]})
        values = mapping.invoice_values(document_number, body, items)
        record, created = await books.create("Invoice", document_number, values, look_up, call)
        (result,) = await _invoices(call, [record])
        return put_reply(result, f"invoices/{result['id']}", created=created)


async def void_invoice(call: Call[QuickBooks], *, invoice_id: str) -> models.Invoice:
    """Take an invoice back."""
    books = call.resources
    with as_problems():
        record = await books.get("Invoice", invoice_id, call)
        if not mapping.is_void(record):
            if record.decimal("Balance") != record.decimal("TotalAmt"):
                raise ConflictError(f"invoice {invoice_id} was paid", system=SYSTEM)
            # A payment that comes meanwhile makes the SyncToken an old one, which is refused.
            values = {"Id": invoice_id, "SyncToken": record.text("SyncToken")}
            key = action_key(call, invoice_id)
            await books.post("Invoice", values, call, key=key, operation="void")
            record = await books.get("Invoice", invoice_id, call)
        return (await _invoices(call, [record]))[0]


async def get_credit(call: Call[QuickBooks], *, credit_id: str) -> models.Invoice:
    """Return a credit memo."""
    with as_problems():
        return await _credit(call, await call.resources.get("CreditMemo", credit_id, call))


async def put_credit(
    call: Call[QuickBooks], *, document_number: str, body: models.NewCredit
) -> Reply:
    """Create the credit memo of a document number, or have it come to another amount."""
    books = call.resources

    async def look_up() -> Record | None:
        return await books.find("CreditMemo", [queries.equal("DocNumber", document_number)], call)

    with as_problems():
        item = (await _items(call, {body["sku"]}))[body["sku"]]
        values = return_mapping.credit_values(document_number, body, item)
        record, created = await books.create("CreditMemo", document_number, values, look_up, call)
        if record.decimal("TotalAmt") != Decimal(body["amount"]["amount"]):
            record = await books.change("CreditMemo", record.text("Id"), values, call)
        shown = await _credit(call, record)
        return put_reply(shown, f"credits/{shown['id']}", created=created)


async def get_refund(call: Call[QuickBooks], *, refund_id: str) -> models.Payment:
    """Return a refund receipt."""
    books = call.resources
    with as_problems():
        record = await books.get("RefundReceipt", refund_id, call)
        return return_mapping.refund(record, books.realm_id, books.currency)


async def put_refund(
    call: Call[QuickBooks], *, reference_number: str, body: models.NewRefund
) -> Reply:
    """Record the refund of a reference number."""
    books = call.resources

    async def look_up() -> Record | None:
        conditions = [queries.equal("DocNumber", reference_number)]
        return await books.find("RefundReceipt", conditions, call)

    with as_problems():
        item = (await _items(call, {body["sku"]}))[body["sku"]]
        paid = await books.get("Payment", body["paymentId"], call)
        account = paid.record("DepositToAccountRef").values
        values = return_mapping.refund_values(reference_number, body, item, account)
        record, created = await books.create(
            "RefundReceipt", reference_number, values, look_up, call
        )
        shown = return_mapping.refund(record, books.realm_id, books.currency)
        return put_reply(shown, f"refunds/{shown['id']}", created=created)


async def list_payments(
    call: Call[QuickBooks],
    *,
    limit: int,
    customer_id: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of payments."""
    books = call.resources
    with as_problems():
        page = await _page(call, "Payment", limit, cursor, _of_customer(customer_id))
        items = [mapping.payment(r, books.realm_id, books.currency) for r in page.records]
        return page_reply(items, page.position, {"customerId": customer_id, "limit": limit})


async def get_payment(call: Call[QuickBooks], *, payment_id: str) -> models.Payment:
    """Return a payment."""
    books = call.resources
    with as_problems():
        record = await books.get("Payment", payment_id, call)
        return mapping.payment(record, books.realm_id, books.currency)


async def put_payment(
    call: Call[QuickBooks], *, reference_number: str, body: models.NewPayment
) -> Reply:
    """Record the payment of a reference number."""
    books = call.resources

    async def look_up() -> Record | None:
        conditions = [queries.equal("PaymentRefNum", reference_number)]
        return await books.find("Payment", conditions, call)

    with as_problems():
        due = []
        for invoice_id in body.get("invoiceIds", []):
            invoice = await books.get("Invoice", invoice_id, call)
            due.append((invoice_id, invoice.decimal("Balance")))
        values = mapping.payment_values(reference_number, body, due)
        record, created = await books.create("Payment", reference_number, values, look_up, call)
        result = mapping.payment(record, books.realm_id, books.currency)
        return put_reply(result, f"payments/{result['id']}", created=created)


async def list_changes(
    call: Call[QuickBooks], *, since: str, entities: Sequence[Entity]
) -> models.Changes:
    """Return which records were changed."""
    with as_problems():
        moment = from_text(since)
        if moment < datetime.now(UTC) - timedelta(days=CHANGES_DAYS):
            raise RefusedError(f"quickbooks tells of changes of {CHANGES_DAYS} days", system=SYSTEM)
        names = [ENTITIES[entity] for entity in entities]
        found = await call.resources.changes(names, timestamp(moment), call)
        items = [
            _change(entity, record) for entity in entities for record in found[ENTITIES[entity]]
        ]
        return {"items": sorted(items, key=lambda item: item["changedAt"])}


def _change(entity: Entity, record: Record) -> models.Change:
    result: models.Change = {
        "entity": entity,
        "recordId": record.text("Id"),
        "changedAt": mapping.moment(record, "LastUpdatedTime"),
    }
    if record.text("status") == "Deleted":
        result["deleted"] = True
    else:
        result["version"] = mapping.version(record)
    return result


async def _invoices(call: Call[QuickBooks], records: Sequence[Record]) -> list[models.Invoice]:
    books = call.resources
    skus = await _skus(call, records)
    return [mapping.invoice(r, books.realm_id, books.currency, skus) for r in records]


async def _credit(call: Call[QuickBooks], record: Record) -> models.Invoice:
    books = call.resources
    skus = await _skus(call, [record])
    return return_mapping.credit(record, books.realm_id, books.currency, skus)


async def _skus(call: Call[QuickBooks], records: Sequence[Record]) -> dict[str, str]:
    """Return the SKUs of the items on documents; QuickBooks puts none on their lines."""
    lines = [line for record in records for line in mapping.sales_lines(record)]
    ids = sorted({mapping.item_id(line) for line in lines} - {""})
    skus: dict[str, str] = {}
    for batch in in_batches(ids, MAX_IDS):
        query = queries.select("Item", [queries.one_of("Id", batch), ANY_STATE], limit=MAX_IDS)
        for item in await call.resources.query("Item", query, call):
            skus[item.text("Id")] = item.text("Sku")
    return skus


async def _items(call: Call[QuickBooks], skus: set[str]) -> dict[str, Record]:
    """Return the items of SKUs; raises RefusedError naming those that are not there."""
    query = queries.select("Item", [queries.one_of("Sku", sorted(skus))])
    records = await call.resources.query("Item", query, call)
    found = {record.text("Sku"): record for record in records}
    if unknown := sorted(skus - found.keys()):
        raise RefusedError(f"there is no product {', '.join(unknown)}", system=SYSTEM)
    return found


async def _page(
    call: Call[QuickBooks],
    entity: str,
    limit: int,
    cursor: str | None,
    conditions: Sequence[str] = (),
) -> Page:
    start = "1" if cursor is None else from_cursor(cursor)
    if not (start.isascii() and start.isdigit() and len(start) <= MAX_POSITION_DIGITS):
        raise no_such_page()
    return await call.resources.page(
        entity, call, conditions=conditions, limit=limit, start=max(1, int(start))
    )


def _of_customer(customer_id: str | None) -> list[str]:
    return [queries.equal("CustomerRef", customer_id)] if customer_id else []
