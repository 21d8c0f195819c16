"""Salesforce's orders as canonical orders."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from portico.connectors.moments import timestamp, version_of
from portico.connectors.money import decimal_text
from portico.connectors.record import Record
from system_apis.salesforce import models
from system_apis.salesforce.mapping import (
    NOT_DELETED,
    address,
    address_fields,
    currency_of,
    extensions,
    external_ids,
    money,
    source_of,
    unit_code,
)
from system_apis.salesforce.org import Org
from system_apis.salesforce.records import children_of, day_of, id_of, modified, moment_of
from system_apis.salesforce.soql import Query

Status = Literal["draft", "open", "confirmed", "cancelled"]

ORDER = "Order"
MAX_SKU = 64  # of a canonical order line
# `StatusCode` is the category of a status, which an org may name as it likes.
_STATUS: dict[str, Status] = {
    "Draft": "draft",
    "Activated": "confirmed",
    "Canceled": "cancelled",
    "Expired": "cancelled",
}


def order_fields(org: Org) -> Sequence[str]:
    names = ("Id", "IsDeleted", "CreatedDate", "SystemModstamp", "OrderNumber", "AccountId")
    more = ("EffectiveDate", "Status", "StatusCode", "PoNumber", "TotalAmount")
    item = ("Id", "Quantity", "UnitPrice", "TotalPrice", "ServiceDate", "Description")
    product = ("Product2.ProductCode", "Product2.Name", "Product2.QuantityUnitOfMeasure")
    items = Query(
        source="OrderItems",
        fields=[*item, *product],
        conditions=[NOT_DELETED],
        order="OrderItemNumber",
    )
    return [
        *names,
        *more,
        org.external_id_field,
        *org.currency_fields,
        *address_fields(org, "Billing"),
        *address_fields(org, "Shipping"),
        items.nested(),
    ]


def order(record: Record, org: Org) -> models.Order:
    """Return the order that a record is. Salesforce works out no taxes."""
    currency, total = currency_of(record, org), record.decimal("TotalAmount")
    placed = day_of(record, "EffectiveDate") or modified(record).date()
    result: models.Order = {
        "id": id_of(record),
        "type": "order",
        "version": version_of(modified(record)),
        "externalIds": external_ids(record, org, ORDER),
        "createdAt": timestamp(moment_of(record, "CreatedDate") or modified(record)),
        "updatedAt": timestamp(modified(record)),
        "source": source_of(record, org),
        "customerId": record.text("AccountId"),
        "currency": currency,
        "orderedAt": f"{placed.isoformat()}T00:00:00Z",
        "status": status_of(record),
        "lines": [
            _line(number, item, currency)
            for number, item in enumerate(children_of(record, "OrderItems"), start=1)
        ],
        "totals": {
            "net": money(total, currency),
            "tax": money(Decimal(0), currency),
            "gross": money(total, currency),
        },
        "extensions": extensions({"status": record.text("Status")}),
    }
    _add_known(result, record, org)
    return result


def status_of(record: Record) -> Status:
    return _STATUS.get(record.text("StatusCode"), "open")


def priced_lines(record: Record) -> list[tuple[str, Decimal, Decimal]]:
    """Return SKU, quantity and unit price of each line, in their order."""
    return [
        (_sku(item), item.decimal("Quantity"), item.decimal("UnitPrice"))
        for item in children_of(record, "OrderItems")
    ]


def _add_known(result: models.Order, record: Record, org: Org) -> None:
    if number := record.text("OrderNumber"):
        result["number"] = number
    if reference := record.text("PoNumber"):
        result["poNumber"] = reference
    if days := [
        day for item in children_of(record, "OrderItems") if (day := day_of(item, "ServiceDate"))
    ]:
        result["requestedDelivery"] = min(days).isoformat()
    if billing := address(record, org, "Billing"):
        result["billTo"] = {**billing, "role": "billing"}
    if shipping := address(record, org, "Shipping"):
        result["shipTo"] = {**shipping, "role": "shipping"}
    if record.flag("IsDeleted"):
        result["deleted"] = True


def _sku(item: Record) -> str:
    product = item.optional_record("Product2")
    code = product.text("ProductCode") if product else ""
    # A product that was never given a code, or one that is too long for a SKU.
    return code if 0 < len(code) <= MAX_SKU else id_of(item)


def _line(number: int, item: Record, currency: str) -> models.OrderLine:
    product = item.optional_record("Product2")
    unit = product.text("QuantityUnitOfMeasure") if product else ""
    name = product.text("Name") if product else ""
    return {
        "lineNo": number,
        "sku": _sku(item),
        "description": item.text("Description") or name,
        "quantity": {"value": decimal_text(item.decimal("Quantity")), "uom": unit_code(unit)},
        "unitPrice": money(item.decimal("UnitPrice"), currency),
        "netAmount": money(item.decimal("TotalPrice"), currency),
    }
