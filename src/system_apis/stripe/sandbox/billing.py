"""Invoices, their items, and subscriptions that make them."""

from __future__ import annotations

import contextlib
from decimal import Decimal, InvalidOperation
from typing import Any

from portico.sandbox.state import Record
from system_apis.stripe.sandbox.account import Account
from system_apis.stripe.sandbox.errors import StripeError, invalid, missing
from system_apis.stripe.sandbox.invoice_payments import pay_open
from system_apis.stripe.sandbox.parameters import Parameters

_INVOICE = (
    *("customer", "currency", "collection_method", "days_until_due", "auto_advance"),
    *("pending_invoice_items_behavior", "metadata", "description", "due_date"),
)
_ITEM = (
    *("customer", "invoice", "currency", "description", "quantity", "unit_amount_decimal"),
    *("amount", "pricing", "metadata"),
)
_SUBSCRIPTION = (
    *("customer", "items", "collection_method", "days_until_due", "metadata"),
    *("default_payment_method", "trial_period_days", "payment_behavior"),
)
_TRANSITIONS = ("finalized_at", "paid_at", "voided_at", "marked_uncollectible_at")
SECONDS_PER_DAY = 86_400
EMBEDDED_LINES = 10
# A month is counted as thirty days here; Stripe keeps to the calendar.
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


def create_invoice(account: Account, parameters: Parameters) -> Record:
    parameters.only(_INVOICE)
    customer = account.find("customer", parameters.required("customer"), "customer", 400)
    record = account.new(
        "invoice",
        customer=customer["id"],
        currency=parameters.text("currency", "eur").lower(),
        collection_method=parameters.text("collection_method", "charge_automatically"),
        due_days=parameters.integer("days_until_due", 0) or None,
        auto_advance=parameters.flag("auto_advance", default=False),
        description=parameters.optional_text("description"),
        status="draft",
        number=None,
        due_date=None,
        parent=None,
        issuer={"type": "self"},
        amount_paid=0,
        amount_overpaid=0,
        amount_paid_off_stripe=0,
        amount_shipping=0,
        attempt_count=0,
        attempted=False,
        automatic_tax={"enabled": False, "liability": None, "status": None},
        default_tax_rates=[],
        discounts=[],
        payment_settings={"payment_method_options": None, "payment_method_types": None},
        period_start=account.now(),
        period_end=account.now(),
        post_payment_credit_notes_amount=0,
        pre_payment_credit_notes_amount=0,
        starting_balance=0,
        status_transitions=dict.fromkeys(_TRANSITIONS),
        all_lines=[],
    )
    if record["collection_method"] == "send_invoice" and record["due_days"] is None:
        raise invalid("send_invoice needs days_until_due", "days_until_due", "parameter_missing")
    record["metadata"] = parameters.metadata()
    return account.put(_sum_up(record), "invoice.created")


def update_invoice(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(("metadata", "description", "auto_advance"))
    record = dict(account.find("invoice", record_id))
    record["metadata"] = parameters.metadata(record["metadata"])
    return account.put(record, "invoice.updated")


def _sum_up(record: Record) -> Record:
    total = sum(line["amount"] for line in record["all_lines"])
    record.update(
        subtotal=total,
        total=total,
        total_excluding_tax=total,
        total_taxes=[],
        amount_due=total,
        amount_remaining=total - record["amount_paid"],
        lines={
            "object": "list",
            "url": f"/v1/invoices/{record['id']}/lines",
            "has_more": len(record["all_lines"]) > EMBEDDED_LINES,
            "data": record["all_lines"][:EMBEDDED_LINES],
        },
    )
    return record


def create_item(account: Account, parameters: Parameters) -> Record:
    parameters.only(_ITEM)
    customer = account.find("customer", parameters.required("customer"), "customer", 400)
    invoice = dict(account.find("invoice", parameters.required("invoice"), "invoice", 400))
    if invoice["status"] != "draft":
        raise invalid("You can only add items to a draft invoice", code="invoice_not_editable")
    currency = parameters.text("currency", invoice["currency"]).lower()
    if currency != invoice["currency"]:
        raise invalid("The currency is not that of the invoice", "currency")
    line = _line(account, parameters, currency)
    item = account.new("invoiceitem", customer=customer["id"], invoice=invoice["id"])
    item["date"] = item.pop("created")
    shared = ("amount", "currency", "description", "discountable", "discounts", "period")
    item |= {name: line[name] for name in (*shared, "pricing", "quantity", "metadata")}
    item |= {"proration": False, "quantity_decimal": str(line["quantity"])}
    # The newest first, as Stripe has the lines of a draft; ours keep their order by number.
    invoice["all_lines"] = [*invoice["all_lines"], line]
    account.put(_sum_up(invoice), "invoice.updated")
    return account.put(item, "invoiceitem.created")


def _line(account: Account, parameters: Parameters, currency: str) -> Record:
    quantity = parameters.integer("quantity", 1)
    unit = parameters.text("unit_amount_decimal")
    try:
        amount = int(Decimal(unit) * quantity) if unit else parameters.integer("amount")
    except InvalidOperation as error:
        raise invalid(f"Invalid decimal: {unit}", "unit_amount_decimal") from error
    line = account.new(
        "line_item",
        amount=amount,
        subtotal=amount,
        discounts=[],
        currency=currency,
        description=parameters.optional_text("description"),
        quantity=quantity,
        discountable=True,
        period={"start": account.now(), "end": account.now()},
        pricing={"type": "price_details", "unit_amount_decimal": unit or str(amount // quantity)},
        metadata=parameters.metadata(),
    )
    del line["created"]
    return line


def finalize_invoice(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(("auto_advance",))
    record = dict(account.find("invoice", record_id))
    if record["status"] != "draft":
        message = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        raise invalid(message, code="invoice_already_finalized")
    return _finalize(account, record)


def _finalize(account: Account, record: Record) -> Record:
    number = account.state.next_number("invoice number")
    record.update(status="open", number=f"Q-{number:04d}")
    if days := record.get("due_days"):
        record["due_date"] = account.now() + days * SECONDS_PER_DAY
    _transition(account, record, "finalized_at")
    if record["total"] == 0:
        record["status"] = "paid"
        _transition(account, record, "paid_at")
        return account.put(record, "invoice.finalized", "invoice.paid")
    return account.put(record, "invoice.finalized")


def pay_invoice(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(("paid_out_of_band", "payment_method"))
    record = dict(account.find("invoice", record_id))
    if record["status"] == "draft":
        record = dict(_finalize(account, record))
    if record["status"] != "open":
        raise invalid(f"Invoice is {record['status']}", code="invoice_not_open")
    return pay_open(account, record, parameters)


def void_invoice(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(())
    record = dict(account.find("invoice", record_id))
    if record["status"] not in {"open", "uncollectible"}:
        raise invalid(f"You can't void a {record['status']} invoice.", code="invoice_not_open")
    record["status"] = "void"
    _transition(account, record, "voided_at")
    return account.put(record, "invoice.voided")


def _transition(account: Account, record: Record, name: str) -> None:
    record["status_transitions"] = {**record["status_transitions"], name: account.now()}


def create_subscription(account: Account, parameters: Parameters) -> Record:
    parameters.only(_SUBSCRIPTION)
    customer = account.find("customer", parameters.required("customer"), "customer", 400)
    method = parameters.text("collection_method", "charge_automatically")
    default = customer["invoice_settings"]["default_payment_method"]
    if method == "charge_automatically" and not default:
        message = "This customer has no attached payment source or default payment method."
        raise invalid(message, code="resource_missing")
    record = account.new(
        "subscription",
        customer=customer["id"],
        collection_method=method,
        days_until_due=parameters.integer("days_until_due", 0) or None,
        currency="eur",
        status="active",
        start_date=account.now(),
        billing_cycle_anchor=account.now(),
        automatic_tax={"enabled": False, "liability": None},
        billing_mode={"type": "flexible", "flexible": {"proration_discounts": "included"}},
        billing_schedules=[],
        discounts=[],
        invoice_settings={"account_tax_ids": None, "issuer": {"type": "self"}},
        ended_at=None,
        canceled_at=None,
        cancel_at_period_end=False,
        latest_invoice=None,
    )
    items = [_subscription_item(account, entry, record) for entry in parameters.groups("items")]
    if not items:
        raise invalid("Missing required param: items.", "items", "parameter_missing")
    record["items"] = {
        "object": "list",
        "has_more": False,
        "url": f"/v1/subscription_items?subscription={record['id']}",
        "data": items,
    }
    record["currency"] = items[0]["price"]["currency"]
    record["metadata"] = parameters.metadata()
    invoice = _first_invoice(account, record)
    record["latest_invoice"] = invoice["id"]
    if method == "charge_automatically" and invoice["status"] != "paid":
        record["status"] = "incomplete"
    return account.put(record, "customer.subscription.created")


def _subscription_item(account: Account, entry: Parameters, record: Record) -> dict[str, Any]:
    price = account.find("price", entry.required("price"), "items[0][price]", 400)
    if price["recurring"] is None:
        message = "The price specified is set to `type=one_time` but this field only accepts"
        raise invalid(f"{message} prices with `type=recurring`.", "items[0][price]")
    now, days = account.now(), _DAYS[price["recurring"]["interval"]]
    end = now + days * price["recurring"]["interval_count"] * SECONDS_PER_DAY
    item = account.new("subscription_item", price=price, quantity=entry.integer("quantity", 1))
    del item["livemode"]
    item["plan"] = _plan(price)
    period = {"current_period_start": now, "current_period_end": end}
    return {**item, **period, "subscription": record["id"], "discounts": [], "tax_rates": []}


def _plan(price: Record) -> Record:
    """Return a price as it was called before there were prices, which items still have."""
    shared = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata")
    return {
        **{name: price[name] for name in (*shared, "product")},
        **price["recurring"],
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
    }


def _first_invoice(account: Account, record: Record) -> Record:
    invoice = create_invoice(
        account,
        Parameters(
            {
                "customer": record["customer"],
                "currency": record["currency"],
                "collection_method": record["collection_method"],
                "days_until_due": str(record["days_until_due"] or ""),
            }
        ),
    )
    details = {"metadata": {}, "subscription": record["id"]}
    parent = {"type": "subscription_details", "subscription_details": details}
    account.put({**invoice, "parent": {**parent, "quote_details": None}})
    for item in record["items"]["data"]:
        values = {
            "customer": record["customer"],
            "invoice": invoice["id"],
            "quantity": str(item["quantity"]),
            "unit_amount_decimal": item["price"]["unit_amount_decimal"],
        }
        create_item(account, Parameters(values))
    parent = {"subscription": record["id"], "metadata": record["metadata"]}
    made = _finalize(
        account,
        {
            **account.find("invoice", invoice["id"]),
            "billing_reason": "subscription_create",
            "parent": {"type": "subscription_details", "subscription_details": parent},
        },
    )
    if record["collection_method"] == "charge_automatically" and made["status"] == "open":
        # A card that declines leaves the invoice open.
        with contextlib.suppress(StripeError):
            return pay_open(account, dict(made), Parameters({}))
    return made


def cancel_subscription(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(("invoice_now", "prorate"))
    record = dict(account.find("subscription", record_id))
    if record["status"] == "canceled":
        raise missing("subscription", record_id)
    now = account.now()
    record.update(status="canceled", canceled_at=now, ended_at=now)
    return account.put(record, "customer.subscription.deleted")
