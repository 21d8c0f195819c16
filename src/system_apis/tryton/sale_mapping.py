"""Tryton's sales as canonical orders, and new orders as sales."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from system_apis.tryton.mapping import (
    ADDRESS_FIELDS,
    address,
    customer_name_of,
    decimal_text,
    external_ids,
    last_written,
    microseconds,
    money,
    quantity,
    sku_of,
    source_of,
    timestamp,
)
from system_apis.tryton.wire import SYSTEM, WireError

if TYPE_CHECKING:
    from system_apis.tryton import models
    from system_apis.tryton.wire import Record

Status = Literal["draft", "open", "confirmed", "on_hold", "completed", "cancelled"]

SALE_MODEL = "sale.sale"
SALE_FIELDS = (
    "number",
    "reference",
    "state",
    "sale_date",
    "shipping_date",
    "create_date",
    "write_date",
    "invoice_state",
    "shipment_state",
    "untaxed_amount",
    "tax_amount",
    "total_amount",
    "party.code",
    "party.customer_tax_rule.id",
    "currency.code",
    "currency.digits",
    "invoices.number",
    "invoices.state",
    "shipments.number",
    "shipments.state",
    *(f"invoice_address.{name}" for name in ADDRESS_FIELDS),
    *(f"shipment_address.{name}" for name in ADDRESS_FIELDS),
    "lines.type",
    "lines.sequence",
    "lines.description",
    "lines.quantity",
    "lines.unit_price",
    "lines.amount",
    "lines.unit.symbol",
    "lines.product.code",
    "lines.product.template.name",
    "lines.taxes.name",
    "lines.taxes.rate",
    "lines.moves.state",
    "lines.moves.quantity",
    "lines.moves.unit.symbol",
    "lines.moves.to_location.type",
    "lines.invoice_lines.quantity",
    "lines.invoice_lines.invoice.state",
)

_STATUS: dict[str, Literal["draft", "open", "confirmed", "completed", "cancelled"]] = {
    "draft": "draft",
    "quotation": "open",
    "confirmed": "confirmed",
    "processing": "confirmed",
    "done": "completed",
    "cancelled": "cancelled",
}
_FULFILMENT: dict[str, Literal["partial", "full"]] = {
    "partially shipped": "partial",
    "sent": "full",
}
_PAYMENT: dict[str, Literal["partial", "paid"]] = {"partially paid": "partial", "paid": "paid"}


def order(sale: Record, instance: str) -> models.Order:
    """Return the order that a sale is."""
    party, written = sale.one("party") or sale, last_written([sale])
    created = timestamp(sale.moment("create_date") or written)
    currency, _ = _currency(sale)
    result: models.Order = {
        "id": str(sale.id),
        "type": "order",
        "version": microseconds(written),
        "externalIds": external_ids(SALE_MODEL, sale, instance),
        "createdAt": created,
        "updatedAt": timestamp(written),
        "source": source_of(instance, written),
        "customerId": customer_name_of(party),
        "currency": currency,
        "orderedAt": created,
        "status": _status(sale),
        "fulfilmentStatus": _FULFILMENT.get(sale.text("shipment_state"), "none"),
        "paymentStatus": _PAYMENT.get(sale.text("invoice_state"), "none"),
        "lines": _lines(sale),
        "totals": _totals(sale),
        "extensions": {SYSTEM: _own_words(sale)},
    }
    _add_known(result, sale)
    return result


def _currency(sale: Record) -> tuple[str, int]:
    currency = sale.one("currency")
    if currency is None:
        return "", 0
    return currency.text("code"), int(currency.number("digits"))


def _status(sale: Record) -> Status:
    # A failed invoice or shipment waits for a person to decide.
    waiting = "exception" in {sale.text("invoice_state"), sale.text("shipment_state")}
    if waiting and sale.text("state") == "processing":
        return "on_hold"
    status = _STATUS.get(sale.text("state"))
    if status is None:
        raise WireError(f"a sale is in the unknown state {sale.text('state')!r}")
    return status


def priced_lines(sale: Record) -> list[tuple[str, Decimal, Decimal]]:
    """Return SKU, quantity and unit price of each line with a product, in their order."""
    return [
        (sku_of(product), line.number("quantity"), line.number("unit_price"))
        for line in _in_sequence(sale)
        if (product := line.one("product")) is not None
    ]


def _add_known(result: models.Order, sale: Record) -> None:
    if number := sale.text("number"):
        result["number"] = number
    if reference := sale.text("reference"):
        result["poNumber"] = reference
    if day := sale.day("shipping_date"):
        result["requestedDelivery"] = day.isoformat()
    if billing := sale.one("invoice_address"):
        result["billTo"] = address(billing, "billing")
    if shipping := sale.one("shipment_address"):
        result["shipTo"] = address(shipping, "shipping")
    if charges := [_charge(line, sale) for line in _charge_lines(sale)]:
        result["charges"] = charges


def _own_words(sale: Record) -> dict[str, object]:
    """Return what Tryton says of a sale beyond the canonical order."""
    day = sale.day("sale_date")
    return {
        "state": sale.text("state"),
        "invoiceState": sale.text("invoice_state"),
        "shipmentState": sale.text("shipment_state"),
        "saleDate": day.isoformat() if day else None,
        "invoices": [_document(item) for item in sale.many("invoices")],
        "shipments": [_document(item) for item in sale.many("shipments")],
    }


def _document(record: Record) -> dict[str, object]:
    return {"id": record.id, "number": record.text("number"), "state": record.text("state")}


def _in_sequence(sale: Record) -> list[Record]:
    """Return the lines that cost something, as the form in Tryton shows them."""
    lines = [line for line in sale.many("lines") if line.text("type") == "line"]
    return sorted(lines, key=lambda line: (line.number("sequence"), line.id))


def _charge_lines(sale: Record) -> list[Record]:
    """Return the lines without a product, such as a fee or a discount entered by hand."""
    return [line for line in _in_sequence(sale) if line.one("product") is None]


def _charge(line: Record, sale: Record) -> models.Charge:
    amount = line.number("amount")
    kind: Literal["discount", "handling"] = "discount" if amount < 0 else "handling"
    return {"kind": kind, "amount": money(amount, *_currency(sale))}


def _lines(sale: Record) -> list[models.OrderLine]:
    products = [(line, line.one("product")) for line in _in_sequence(sale)]
    goods = [(line, product) for line, product in products if product is not None]
    return [
        _line(number, line, product, sale) for number, (line, product) in enumerate(goods, start=1)
    ]


def _line(number: int, line: Record, product: Record, sale: Record) -> models.OrderLine:
    unit, template = line.one("unit"), product.one("template")
    symbol, ordered = unit.text("symbol") if unit else "", line.number("quantity")
    shipped = min(_shipped(line, symbol), abs(ordered))
    name = template.text("name") if template else ""
    return {
        "lineNo": number,
        "sku": sku_of(product),
        "description": line.text("description") or name,
        "quantity": quantity(ordered, symbol),
        "unitPrice": money(line.number("unit_price"), *_currency(sale)),
        "netAmount": money(line.number("amount"), *_currency(sale)),
        "taxes": [_tax(tax) for tax in line.many("taxes")],
        "shippedQty": quantity(shipped, symbol),
        "invoicedQty": quantity(_invoiced(line), symbol),
    }


def _shipped(line: Record, symbol: str) -> Decimal:
    """Return what has left for the customer, counting only moves in the unit of the line."""
    total = Decimal(0)
    for move in line.many("moves"):
        unit, to_location = move.one("unit"), move.one("to_location")
        same_unit = unit is not None and unit.text("symbol") == symbol
        leaves = to_location is not None and to_location.text("type") == "customer"
        if move.text("state") == "done" and same_unit and leaves:
            total += move.number("quantity")
    return total


def _invoiced(line: Record) -> Decimal:
    total = Decimal(0)
    for billed in line.many("invoice_lines"):
        invoice = billed.one("invoice")
        if invoice is None or invoice.text("state") != "cancelled":
            total += billed.number("quantity")
    return total


def _tax(tax: Record) -> models.TaxAmount:
    rate = tax.optional_number("rate")
    if rate is None:
        return {"category": tax.text("name")}
    return {"category": tax.text("name"), "rate": decimal_text(rate * 100)}


def _totals(sale: Record) -> models.OrderTotals:
    currency = _currency(sale)
    charges = sum((line.number("amount") for line in _charge_lines(sale)), Decimal(0))
    return {
        "net": money(sale.number("untaxed_amount") - charges, *currency),
        "tax": money(sale.number("tax_amount"), *currency),
        "charges": money(charges, *currency),
        "gross": money(sale.number("total_amount"), *currency),
    }
