"""Invoices: a draft and its lines are several requests to Stripe, which a crash may part."""

from __future__ import annotations

from portico.connectors.record import Record
from portico.crossref.creating import Found
from portico.server.call import Call, combine
from system_apis.stripe.amounts import to_stripe
from system_apis.stripe.connector import KEY, Stripe, Values
from system_apis.stripe.mapping import SKU
from system_apis.stripe.models import NewInvoice, NewInvoiceLinesItem

# Where a line keeps its position, and an invoice how many it is to have.
LINE, LINES = "line_no", "lines"
# The most records that a list of Stripe has at a time.
MAX_LIMIT = 100


async def read_invoice(stripe: Stripe, invoice_id: str, call: Call[Stripe]) -> Record:
    """Return an invoice with all its lines; Stripe puts in the first ten."""
    return await with_all_lines(stripe, await stripe.get(f"invoices/{invoice_id}", call), call)


async def with_all_lines(stripe: Stripe, invoice: Record, call: Call[Stripe]) -> Record:
    lines = invoice.record("lines")
    found, after = lines.records("data"), None
    if not lines.flag("has_more"):
        return invoice
    found = []
    while True:
        page = await stripe.page(
            f"invoices/{invoice.text('id')}/lines", call, limit=MAX_LIMIT, after=after
        )
        found += page.records
        after = page.position
        if after is None:
            break
    data = {"data": [line.values for line in found], "has_more": False}
    return Record({**invoice.values, "lines": data})


async def create_invoice(
    stripe: Stripe, external_key: str, body: NewInvoice, call: Call[Stripe]
) -> tuple[Record, bool]:
    """Return the invoice of an external key with all its lines, and whether it was created now.

    It counts as created when its last line is there: an attempt that finds a part adds the rest.
    """

    async def look_up() -> Found[Record] | None:
        found = await stripe.find_by_key("invoices", external_key, call)
        if found is None:
            return None
        invoice_id = found.text("id")
        if found.text("status") == "draft":
            key = combine("lines", stripe.account, external_key)
            await _add_missing_lines(stripe, invoice_id, body, key, call)
        return Found(external_id=invoice_id, record=found)

    async def create(operation_id: str) -> Found[Record]:
        made = await stripe.post("invoices", _values(external_key, body), call, key=operation_id)
        key = combine("lines", stripe.account, external_key)
        await _add_missing_lines(stripe, made.text("id"), body, key, call)
        return Found(external_id=made.text("id"), record=made, created=True)

    found = await stripe.create_once("invoices", external_key, call, look_up, create)
    created = isinstance(found, Found) and found.created
    return await read_invoice(stripe, found.external_id, call), created


async def _add_missing_lines(
    stripe: Stripe, invoice_id: str, body: NewInvoice, key: str, call: Call[Stripe]
) -> None:
    invoice = await read_invoice(stripe, invoice_id, call)
    there = {line.record("metadata").text(LINE) for line in invoice.record("lines").records("data")}
    for number, line in enumerate(body["lines"], start=1):
        if str(number) not in there:
            values = _line_values(invoice, number, line)
            line_key = combine(key, invoice_id, str(number))
            await stripe.post("invoiceitems", values, call, key=line_key)


def _values(external_key: str, body: NewInvoice) -> Values:
    return {
        "customer": body["customerId"],
        "currency": body["currency"].lower(),
        "collection_method": "send_invoice",
        "days_until_due": body.get("daysUntilDue", 30),
        # Stripe would finalize a draft by itself after an hour.
        "auto_advance": False,
        # What else waits to be billed to the customer is not for this invoice.
        "pending_invoice_items_behavior": "exclude",
        "metadata": {KEY: external_key, LINES: str(len(body["lines"]))},
    }


def _line_values(invoice: Record, number: int, line: NewInvoiceLinesItem) -> Values:
    price = line["unitPrice"]
    return {
        "customer": invoice.id_of("customer"),
        "invoice": invoice.text("id"),
        "currency": invoice.text("currency"),
        "description": line["description"],
        "quantity": line["quantity"],
        "unit_amount_decimal": str(to_stripe(price["amount"], price["currency"])),
        "metadata": {LINE: str(number), SKU: line.get("sku")},
    }
