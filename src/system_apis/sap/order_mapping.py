"""SAP's sales orders and billing documents as canonical orders and invoices."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from portico.connectors.moments import timestamp, version_of
from portico.connectors.money import decimal_text
from portico.connectors.record import Record
from system_apis.sap import models
from system_apis.sap.mapping import extensions, external_id, money, source_of
from system_apis.sap.odata import expanded
from system_apis.sap.s4 import S4
from system_apis.sap.values import day_of, decimal_of, key_of, moment_of, unit_code

OrderStatus = Literal["open", "confirmed", "on_hold", "completed", "cancelled"]

ORDER, ITEM, INVOICE = "A_SalesOrder", "A_SalesOrderItem", "A_BillingDocument"
ORDER_EXPAND = ("to_Item/to_PricingElement",)
INVOICE_EXPAND = ("to_Item",)
# SAP's statuses: A not begun, B in part, C altogether.
_FULFILMENT: dict[str, Literal["none", "partial", "full"]] = {"B": "partial", "C": "full"}
# Of document categories: invoices are M and P, what gives money back is N, O and S.
_CREDITS = frozenset({"N", "O", "S"})
_DONE = "C"
# The day of an order that has none.
_EPOCH = "1970-01-01"


def order(record: Record, s4: S4) -> models.Order:
    """Return the order that a sales order is; it is binding from its creation on."""
    number, currency = key_of(record, "SalesOrder"), record.text("TransactionCurrency")
    changed, created = moment_of(record, "LastChangeDateTime"), day_of(record, "CreationDate")
    items = lines_of(record)
    net = decimal_of(record, "TotalNetAmount")
    tax = sum((decimal_of(item, "TaxAmount") for item in items), Decimal(0))
    result: models.Order = {
        "id": number,
        "type": "order",
        "number": number,
        "externalIds": [external_id(s4, ORDER, number)],
        "source": source_of(s4, changed),
        "customerId": key_of(record, "SoldToParty"),
        "currency": currency,
        "orderedAt": f"{(day_of(record, 'SalesOrderDate') or created or _EPOCH)}T00:00:00Z",
        "status": _status(record),
        "fulfilmentStatus": _FULFILMENT.get(record.text("OverallDeliveryStatus"), "none"),
        "lines": [_line(n, item, currency, s4) for n, item in enumerate(items, start=1)],
        "totals": {
            "net": money(net, currency),
            "tax": money(tax, currency),
            "gross": money(net + tax, currency),
        },
        "extensions": extensions({"salesOrderType": record.text("SalesOrderType")}),
    }
    if changed is not None:
        result["version"] = version_of(changed)
        result["updatedAt"] = timestamp(changed)
    if created is not None:
        result["createdAt"] = f"{created.isoformat()}T00:00:00Z"
    if reference := record.text("PurchaseOrderByCustomer"):
        result["poNumber"] = reference
    if wanted := day_of(record, "RequestedDeliveryDate"):
        result["requestedDelivery"] = wanted.isoformat()
    return result


def lines_of(record: Record) -> list[Record]:
    """Return the items of an order that was expanded, in their order."""
    return sorted(expanded(record, "to_Item"), key=lambda item: _position(item, "SalesOrderItem"))


def _position(item: Record, name: str) -> int:
    text = item.text(name)
    return int(text) if text.isascii() and text.isdigit() else 0


def _status(record: Record) -> OrderStatus:
    if record.text("OverallSDDocumentRejectionSts") == _DONE:
        return "cancelled"
    if record.text("OverallSDProcessStatus") == _DONE:
        return "completed"
    if record.text("DeliveryBlockReason"):
        return "on_hold"
    # Waiting for an approval, where the system has such a workflow.
    return "open" if record.text("SalesDocApprovalStatus") == "A" else "confirmed"


def priced_lines(record: Record, s4: S4) -> list[tuple[str, Decimal, Decimal]]:
    """Return SKU, quantity and unit price of each line, in their order."""
    return [
        (item.text("Material"), decimal_of(item, "RequestedQuantity"), _price(item, s4))
        for item in lines_of(record)
    ]


def _price(item: Record, s4: S4) -> Decimal:
    """Return what one unit costs: the condition that says so, or else what follows from the net."""
    for condition in expanded(item, "to_PricingElement"):
        if condition.text("ConditionType") == s4.price_condition:
            per = decimal_of(condition, "ConditionQuantity") or Decimal(1)
            return decimal_of(condition, "ConditionRateValue") / per
    quantity = decimal_of(item, "RequestedQuantity")
    return decimal_of(item, "NetAmount") / quantity if quantity else Decimal(0)


def _line(number: int, item: Record, currency: str, s4: S4) -> models.OrderLine:
    unit = unit_code(item.text("RequestedQuantityUnit"))
    quantity = decimal_of(item, "RequestedQuantity")
    return {
        "lineNo": number,
        "sku": item.text("Material") or f"{ITEM},{item.text('SalesOrderItem')}",
        "description": item.text("SalesOrderItemText"),
        "quantity": {"value": decimal_text(quantity), "uom": unit},
        "unitPrice": money(_price(item, s4), currency),
        "netAmount": money(decimal_of(item, "NetAmount"), currency),
    }


def invoice(record: Record, s4: S4) -> models.Invoice:
    """Return the invoice that a billing document is."""
    number, currency = key_of(record, "BillingDocument"), record.text("TransactionCurrency")
    changed = moment_of(record, "LastChangeDateTime")
    gross = decimal_of(record, "TotalGrossAmount")
    cleared = record.text("InvoiceClearingStatus") == _DONE
    items = expanded(record, "to_Item")
    result: models.Invoice = {
        "id": number,
        "type": "invoice",
        "number": number,
        "externalIds": [external_id(s4, INVOICE, number)],
        "source": source_of(s4, changed),
        "kind": "credit_note" if record.text("SDDocumentCategory") in _CREDITS else "invoice",
        "customerId": key_of(record, "SoldToParty"),
        "currency": currency,
        "status": _invoice_status(record),
        "orderIds": _orders_of(items),
        "lines": [_billed(n, item, currency) for n, item in enumerate(items, start=1)],
        "totals": {
            "net": money(decimal_of(record, "TotalNetAmount"), currency),
            "tax": money(decimal_of(record, "TaxAmount"), currency),
            "gross": money(gross, currency),
            # How much of it is paid, SAP tells in its accounting only.
            "paid": money(gross if cleared else Decimal(0), currency),
            "due": money(Decimal(0) if cleared else gross, currency),
        },
        "extensions": extensions(
            {
                "billingDocumentType": record.text("BillingDocumentType"),
                "cancels": key_of(record, "CancelledBillingDocument"),
            }
        ),
    }
    if changed is not None:
        result["version"] = version_of(changed)
        result["updatedAt"] = timestamp(changed)
    if issued := day_of(record, "BillingDocumentDate"):
        result["issueDate"] = issued.isoformat()
    return result


def _orders_of(items: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(filter(None, (key_of(item, "SalesDocument") for item in items))))


def _invoice_status(
    record: Record,
) -> Literal["draft", "issued", "partially_paid", "paid", "void"]:
    if record.flag("BillingDocumentIsCancelled"):
        return "void"
    match record.text("InvoiceClearingStatus"):
        case "C":
            return "paid"
        case "B":
            return "partially_paid"
    # Until it is posted, nobody owes it.
    return "issued" if record.text("AccountingPostingStatus") == _DONE else "draft"


def _billed(number: int, item: Record, currency: str) -> models.InvoiceLine:
    unit = unit_code(item.text("BillingQuantityUnit"))
    quantity = decimal_of(item, "BillingQuantity")
    result: models.InvoiceLine = {
        "lineNo": number,
        "description": item.text("BillingDocumentItemText"),
        "quantity": {"value": decimal_text(quantity), "uom": unit},
        "netAmount": money(decimal_of(item, "NetAmount"), currency),
    }
    if sku := item.text("Material"):
        result["sku"] = sku
    return result
