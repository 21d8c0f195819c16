"""Stripe's subscriptions, invoices, payments and events in the canonical model. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, cast

from portico.connectors.moments import from_epoch, timestamp
from portico.connectors.money import decimal_text, money
from portico.connectors.record import Record
from system_apis.stripe.amounts import exponent_at_stripe, from_stripe
from system_apis.stripe.connector import KEY
from system_apis.stripe.dialect import SYSTEM
from system_apis.stripe.mapping import SKU, created_at, extensions, external_ids
from system_apis.stripe.models import (
    Event,
    Invoice,
    InvoiceLine,
    Money,
    Payment,
    Subscription,
    SubscriptionItem,
)

SubscriptionStatus = Literal["pending", "trial", "active", "past_due", "paused", "ended"]
InvoiceStatus = Literal["draft", "issued", "partially_paid", "paid", "void"]
PaymentStatus = Literal["pending", "authorized", "captured", "failed", "cancelled", "refunded"]
Method = Literal["card", "bank_transfer", "direct_debit", "cash", "wallet", "credit", "other"]
Period = Literal["day", "week", "month", "year"]

_SUBSCRIPTIONS: dict[str, SubscriptionStatus] = {
    "incomplete": "pending",
    "incomplete_expired": "ended",
    "trialing": "trial",
    "active": "active",
    "past_due": "past_due",
    "unpaid": "past_due",
    "paused": "paused",
    "canceled": "ended",
}
_INTENTS: dict[str, PaymentStatus] = {
    "requires_capture": "authorized",
    "succeeded": "captured",
    "canceled": "cancelled",
}
_REFUNDS: dict[str, PaymentStatus] = {
    "succeeded": "refunded",
    "failed": "failed",
    "canceled": "cancelled",
}
_INVOICE_PAYMENTS: dict[str, PaymentStatus] = {"paid": "captured", "canceled": "cancelled"}
_METHODS: dict[str, Method] = {
    "card": "card",
    "sepa_debit": "direct_debit",
    "bacs_debit": "direct_debit",
    "us_bank_account": "direct_debit",
    "customer_balance": "bank_transfer",
    "link": "wallet",
    "paypal": "wallet",
}


def _moment(seconds: int | None) -> str:
    return timestamp(from_epoch(seconds or 0))


def _day(seconds: int) -> str:
    return from_epoch(seconds).date().isoformat()


def subscription(record: Record, account: str) -> Subscription:
    """Return a subscription; the products of its prices need not be expanded."""
    result: Subscription = {
        "id": record.text("id"),
        "type": "subscription",
        "externalIds": external_ids("subscription", record, account),
        "createdAt": created_at(record),
        "source": {"system": SYSTEM, "instance": account},
        "customerId": record.id_of("customer"),
        "status": _SUBSCRIPTIONS.get(record.text("status"), "pending"),
        "items": [_item(item) for item in record.record("items").records("data")],
        "extensions": extensions(record, status=record.text("status")),
    }
    if (started := record.optional_integer("start_date")) is not None:
        result["startedAt"] = _moment(started)
    if (ended := record.optional_integer("ended_at")) is not None:
        result["endedAt"] = _moment(ended)
    if invoice_id := record.id_of("latest_invoice"):
        result["latestInvoiceId"] = invoice_id
    return result


def _item(item: Record) -> SubscriptionItem:
    price = item.optional_record("price")
    if price is None:
        return _planned_item(item, item.record("plan"))
    result: SubscriptionItem = {
        "sku": price.text("lookup_key") or price.id_of("product"),
        "quantity": item.integer("quantity"),
    }
    if (units := price.optional_integer("unit_amount")) is not None:
        result["unitPrice"] = from_stripe(units, price.text("currency"))
    if interval := price.record("recurring").text("interval"):
        result["billedEvery"] = cast("Period", interval)
    return result


def _planned_item(item: Record, plan: Record) -> SubscriptionItem:
    """Return an item with a plan, which versions of Stripe's API before prices have alone."""
    result: SubscriptionItem = {
        "sku": plan.id_of("product") or plan.text("id"),
        "quantity": item.integer("quantity"),
    }
    if (units := plan.optional_integer("amount")) is not None:
        result["unitPrice"] = from_stripe(units, plan.text("currency"))
    if interval := plan.text("interval"):
        result["billedEvery"] = cast("Period", interval)
    return result


def invoice(record: Record, account: str) -> Invoice:
    """Return the canonical invoice; all its lines have been read."""
    currency = record.text("currency")
    gross, net = record.integer("total"), record.optional_integer("total_excluding_tax")
    net = gross if net is None else net
    paid = record.integer("amount_paid")
    result: Invoice = {
        "id": record.text("id"),
        "type": "invoice",
        "externalIds": external_ids("invoice", record, account),
        "createdAt": created_at(record),
        "source": {"system": SYSTEM, "instance": account},
        "kind": "invoice",
        "customerId": record.id_of("customer"),
        "currency": currency.upper(),
        "status": _invoice_status(record.text("status"), paid),
        "lines": [
            _line(number, line, currency)
            for number, line in enumerate(record.record("lines").records("data"), start=1)
        ],
        "totals": {
            "net": from_stripe(net, currency),
            "tax": from_stripe(gross - net, currency),
            "gross": from_stripe(gross, currency),
            "paid": from_stripe(paid, currency),
            "due": from_stripe(gross - paid, currency),
        },
        "extensions": extensions(
            record, status=record.text("status"), subscriptionId=_subscription_id(record)
        ),
    }
    if number := record.text("number"):
        result["number"] = number
    if (finalized := record.record("status_transitions").integer("finalized_at")) > 0:
        result["issueDate"] = _day(finalized)
    if (due := record.optional_integer("due_date")) is not None:
        result["dueDate"] = _day(due)
    return result


def _subscription_id(invoice: Record) -> str:
    """Return the subscription that an invoice is of; older versions of the API named it at top."""
    details = invoice.record("parent").record("subscription_details")
    return details.id_of("subscription") or invoice.id_of("subscription")


def _invoice_status(status: str, paid: int) -> InvoiceStatus:
    if status == "open":
        return "partially_paid" if paid else "issued"
    # What is uncollectible is still owed, though nobody expects it.
    known: dict[str, InvoiceStatus] = {"draft": "draft", "paid": "paid", "void": "void"}
    return known.get(status, "issued")


def _line(number: int, line: Record, currency: str) -> InvoiceLine:
    result: InvoiceLine = {
        "lineNo": number,
        "netAmount": from_stripe(line.integer("amount"), currency),
    }
    if description := line.text("description"):
        result["description"] = description
    if sku := line.record("metadata").text(SKU):
        result["sku"] = sku
    if (quantity := line.optional_integer("quantity")) is not None:
        result["quantity"] = {"value": str(quantity), "uom": "C62"}
    # Decimal text of minor units, finer than they are: 0.5 is half a cent.
    if unit := line.record("pricing").text("unit_amount_decimal"):
        result["unitPrice"] = _fine(unit, currency)
    return result


def _fine(units: str, currency: str) -> Money:
    code = currency.upper()
    exponent = exponent_at_stripe(code)
    amount = decimal_text(Decimal(units).scaleb(-exponent), exponent)
    return {"amount": amount, "currency": code}


def payment(record: Record, account: str) -> Payment:
    """Return the canonical payment that a payment intent is."""
    currency = record.text("currency")
    status = _INTENTS.get(record.text("status"), "pending")
    if status == "pending" and record.optional_record("last_payment_error"):
        status = "failed"
    received = record.optional_integer("amount_received") if status == "captured" else None
    units = record.integer("amount") if received is None else received
    result: Payment = {
        "id": record.text("id"),
        "type": "payment",
        "externalIds": external_ids("payment_intent", record, account),
        "createdAt": created_at(record),
        "source": {"system": SYSTEM, "instance": account},
        "customerId": record.id_of("customer"),
        "amount": from_stripe(units, currency),
        "method": _method(record),
        "status": status,
        "provider": {"name": SYSTEM, "reference": record.text("id")},
        "extensions": extensions(record, status=record.text("status")),
    }
    if invoice_id := record.record("metadata").text("invoice_id"):
        result["invoiceIds"] = [invoice_id]
    return result


def _method(record: Record) -> Method:
    types = record.values.get("payment_method_types")
    first = str(types[0]) if isinstance(types, list) and types else ""
    return _METHODS.get(first, "other")


def invoice_payment(record: Record, account: str) -> Payment:
    """Return the part of a payment that an invoice was credited; the invoice is expanded."""
    paid, status = record.optional_integer("amount_paid"), record.text("status")
    source = record.record("payment")
    kind = source.text("type")
    result: Payment = {
        "id": record.text("id"),
        "type": "payment",
        "externalIds": external_ids("invoice_payment", record, account),
        "createdAt": created_at(record),
        "source": {"system": SYSTEM, "instance": account},
        "customerId": record.record("invoice").id_of("customer"),
        "amount": from_stripe(
            record.integer("amount_requested") if paid is None else paid, record.text("currency")
        ),
        "method": "other",
        "status": _INVOICE_PAYMENTS.get(status, "pending"),
        "invoiceIds": [record.id_of("invoice")],
        "extensions": extensions(record, status=status),
    }
    if reference := source.id_of(kind) if kind else "":
        result["provider"] = {"name": SYSTEM, "reference": reference}
    if (moment := record.record("status_transitions").optional_integer("paid_at")) is not None:
        result["paidAt"] = _moment(moment)
    return result


def refund(
    record: Record, account: str, customer_id: str, invoice_ids: Sequence[str] = ()
) -> Payment:
    """Return the canonical payment that a refund is: its amount is negative."""
    currency = record.text("currency").upper()
    given = Decimal(from_stripe(record.integer("amount"), currency)["amount"])
    back = money(-given, currency)
    result: Payment = {
        "id": record.text("id"),
        "type": "payment",
        "externalIds": external_ids("refund", record, account),
        "createdAt": created_at(record),
        "source": {"system": SYSTEM, "instance": account},
        "customerId": customer_id,
        "amount": {"amount": back["amount"], "currency": back["currency"]},
        "method": "card",
        "status": _REFUNDS.get(record.text("status"), "pending"),
        "provider": {"name": SYSTEM, "reference": record.text("id")},
        "extensions": extensions(
            record, status=record.text("status"), paymentId=record.id_of("payment_intent")
        ),
    }
    if invoice_ids:
        result["invoiceIds"] = list(invoice_ids)
    return result


def event(record: Record) -> Event:
    """Return an event: what happened to which record, not what the record was like."""
    thing = record.record("data").record("object")
    result: Event = {
        "id": record.text("id"),
        "type": record.text("type"),
        "occurredAt": created_at(record),
    }
    if entity := thing.text("object"):
        result["entity"] = entity
    if record_id := thing.text("id"):
        result["recordId"] = record_id
    if key := thing.record("metadata").text(KEY):
        result["externalKey"] = key
    if invoice_id := thing.id_of("invoice"):
        result["invoiceId"] = invoice_id
    return result
