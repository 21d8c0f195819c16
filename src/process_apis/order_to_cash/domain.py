"""What is written for a subscription, and under which numbers. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from portico.server.call import combine

WON, LOST = "Closed Won", "Closed Lost"
# 16 hexadecimal digits are 64 bits; QuickBooks keeps 21 characters of a number.
_NUMBER_LENGTH = 16
# The longest text of a line that the books take.
_DESCRIPTION_LENGTH = 1000
ZERO = Decimal(0)

Body = Mapping[str, Any]


class UnbillableError(Exception):
    """What a subscription costs cannot be made out; the text says why, to people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """A subscription and the invoice of one of its periods, both in Stripe."""

    subscription: Body
    invoice_id: str

    @property
    def subscription_id(self) -> str:
        return str(self.subscription["id"])

    @property
    def number(self) -> str:
        """Return the number of the invoice in the books.

        The same whoever starts the run and how often: the books keep one invoice of a number.
        """
        return number("order-to-cash", self.subscription_id, self.invoice_id)

    @property
    def sku(self) -> str:
        """Return the product that stands for the sale where a document has one line.

        Raises UnbillableError.
        """
        return str(_items(self.subscription)[0]["sku"])

    @property
    def has_prices(self) -> bool:
        """Tell whether each product has a price of its own, and a quantity.

        One in tiers has none, nor one in fractions of a cent, and what is metered has no quantity:
        what they cost is on the invoice.
        """
        items = self.subscription["items"]
        return all("unitPrice" in item and item["quantity"] > 0 for item in items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A part of an invoice that was paid; `payment_id` is Stripe's, if it went through Stripe."""

    number: str
    amount: Mapping[str, str]
    paid_on: str
    payment_id: str


def number(*parts: str) -> str:
    """Return the number of a document that follows from what it is for."""
    return f"O2C-{combine(*parts)[:_NUMBER_LENGTH].upper()}"


def current_sale(subscription: Body) -> Sale:
    """Return the sale of a subscription's current period."""
    return Sale(subscription=subscription, invoice_id=str(subscription.get("latestInvoiceId", "")))


def has_ended(subscription: Body) -> bool:
    return bool(subscription["status"] == "ended")


def was_withdrawn(subscription: Body, within_days: float) -> bool:
    """Tell whether a subscription ended so soon that the sale counts as withdrawn from."""
    started, ended = subscription.get("startedAt"), subscription.get("endedAt")
    if not started or not ended:
        return False
    lasted = dt.datetime.fromisoformat(ended) - dt.datetime.fromisoformat(started)
    return lasted <= dt.timedelta(days=within_days)


def customer_key(customer: Body) -> str:
    """Return what a customer is called across the systems: its key, else its id in Stripe."""
    own = customer.get("extensions", {}).get("stripe", {})
    return str(own.get("externalKey") or customer["id"])


def subscription_of(invoice: Body) -> str:
    """Return the subscription that an invoice of Stripe's is of, empty where it is of none."""
    return str(invoice.get("extensions", {}).get("stripe", {}).get("subscriptionId", ""))


def books_customer(customer: Body) -> dict[str, Any]:
    """Return a customer as the books take it."""
    found: dict[str, Any] = {"name": customer["name"]}
    if customer.get("email"):
        found["email"] = customer["email"]
    return found


def books_invoice(sale: Sale, invoice: Body | None, customer_id: str) -> dict[str, Any]:
    """Return the invoice of a subscription's period: by its prices, else by Stripe's `invoice`.

    Raises UnbillableError.
    """
    lines = _lines_by_price(sale) if invoice is None else _lines_of(invoice, sale)
    currency = lines[0]["unitPrice"]["currency"]
    return {"customerId": customer_id, "currency": currency, "lines": lines}


def _items(subscription: Body) -> Sequence[Body]:
    items: Sequence[Body] = subscription["items"]
    if not items:
        raise UnbillableError(f"subscription {subscription['id']} is of no product")
    return items


def _lines_by_price(sale: Sale) -> list[dict[str, Any]]:
    items = _items(sale.subscription)
    if not sale.has_prices:
        raise UnbillableError(
            f"subscription {sale.subscription_id} has a product without a fixed price, "
            "and no invoice in Stripe yet that says what it costs"
        )
    return [
        {
            "sku": item["sku"],
            "quantity": {"value": str(item["quantity"])},
            "unitPrice": _money(item["unitPrice"]),
        }
        for item in items
    ]


def _lines_of(invoice: Body, sale: Sale) -> list[dict[str, Any]]:
    """Return what Stripe's invoice bills, each line as one piece that costs what the line does.

    The amount of a line need not be a whole multiple of its quantity.
    """
    found = [line for line in invoice["lines"] if Decimal(line["netAmount"]["amount"])]
    if not found:
        raise UnbillableError(
            f"subscription {sale.subscription_id} has a product without a fixed price, "
            f"and invoice {invoice['id']} in Stripe bills nothing for it"
        )
    if any(Decimal(line["netAmount"]["amount"]) < 0 for line in found):
        raise UnbillableError(
            f"subscription {sale.subscription_id} has a product without a fixed price, "
            f"and invoice {invoice['id']} in Stripe has a line that gives money back"
        )
    return [_line_of(line, sale) for line in found]


def _line_of(line: Body, sale: Sale) -> dict[str, Any]:
    own = {str(item["sku"]) for item in _items(sale.subscription)}
    sku = str(line.get("sku", ""))
    result: dict[str, Any] = {
        "sku": sku if sku in own else sale.sku,
        "quantity": {"value": "1"},
        "unitPrice": _money(line["netAmount"]),
    }
    said = "".join(sign if sign.isprintable() else " " for sign in line.get("description", ""))
    if said.strip():
        result["description"] = said.strip()[:_DESCRIPTION_LENGTH]
    return result


def received(invoice: Body, parts: Sequence[Body]) -> list[Received]:
    """Return what was paid on an invoice of Stripe's: its parts, and the rest outside of Stripe.

    There is a rest only once all is paid: before that, the next part may not be listed yet.
    """
    found = [
        Received(
            number=number("order-to-cash payment", str(part["id"])),
            amount=_money(part["amount"]),
            paid_on=str(part.get("paidAt", ""))[:10],
            payment_id=str(part.get("provider", {}).get("reference", "")),
        )
        for part in reversed(parts)
        if part["status"] == "captured"
    ]
    paid = invoice["totals"]["paid"]
    rest = Decimal(paid["amount"]) - sum((Decimal(part.amount["amount"]) for part in found), ZERO)
    if invoice["status"] == "paid" and rest > 0:
        outside = {"amount": str(rest), "currency": paid["currency"]}
        numbered = number("order-to-cash paid outside", str(invoice["id"]))
        found.append(Received(number=numbered, amount=outside, paid_on="", payment_id=""))
    return found


def is_paid(invoice: Body) -> bool:
    """Tell whether anything was paid on an invoice of Stripe's."""
    return Decimal(invoice["totals"]["paid"]["amount"]) > 0


def books_payment(part: Received, invoice: Body) -> dict[str, Any]:
    """Return a payment as the books take it: of their invoice, or a credit where that is void."""
    body: dict[str, Any] = {"customerId": invoice["customerId"], "amount": dict(part.amount)}
    if invoice["status"] != "void":
        body["invoiceIds"] = [invoice["id"]]
    if part.paid_on:
        body["paidAt"] = part.paid_on
    return body


def has_happened(refund: Body) -> bool:
    return bool(refund["status"] == "refunded")


def refunded_payment(refund: Body) -> str:
    """Return the payment in Stripe that a refund is of, empty where it names none."""
    return str(refund.get("extensions", {}).get("stripe", {}).get("paymentId", ""))


def given_back(refunds: Sequence[Body]) -> Decimal:
    """Return what refunds come to."""
    amounts = (-Decimal(each["amount"]["amount"]) for each in refunds if has_happened(each))
    return sum(amounts, ZERO)


def books_refund(refund: Body, sale: Sale, customer_id: str, payment_id: str) -> dict[str, Any]:
    """Return a refund as the books take it; `payment_id` is that of the payment in the books."""
    amount, currency = refund["amount"]["amount"], refund["amount"]["currency"]
    return {
        "customerId": customer_id,
        "amount": {"amount": amount.removeprefix("-"), "currency": currency},
        "sku": sale.sku,
        "paymentId": payment_id,
    }


def books_credit(sale: Sale, invoice: Body, amount: Mapping[str, str]) -> dict[str, Any]:
    """Return the credit memo of a sale that was taken back after it was paid."""
    return {
        "customerId": invoice["customerId"],
        "amount": dict(amount),
        "sku": sale.sku,
        "description": f"Credit for {sale.number}",
    }


def open_opportunity(page: Body) -> Body | None:
    """Return the opportunity that the subscription is the outcome of: the open one, if any."""
    items: Sequence[Body] = page["items"]
    return next((found for found in items if found.get("status") == "open"), None)


def _money(amount: Body) -> dict[str, str]:
    return {"amount": str(amount["amount"]), "currency": str(amount["currency"])}
