"""What is billed for a subscription, and under which number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from portico.server.call import combine

CREATED = "customer.subscription.created"
WON = "Closed Won"
# 16 hexadecimal digits are 64 bits; QuickBooks keeps 21 characters of a number.
_NUMBER_LENGTH = 16


def subscription_of(payload: Mapping[str, Any]) -> str:
    """Return the subscription that a run is for; empty where the event is about something else.

    A payload is what the API was asked, or a delivery of Stripe's as it came through a door.
    """
    if "subscriptionId" in payload:
        return str(payload["subscriptionId"])
    event = json.loads(payload["body"])
    if event.get("type") != CREATED:
        return ""
    return str(event["data"]["object"]["id"])


def customer_key(customer: Mapping[str, Any]) -> str:
    """Return what a customer is called across the systems: its key, else its id in Stripe."""
    own = customer.get("extensions", {}).get("stripe", {})
    return str(own.get("externalKey") or customer["id"])


def document_number(subscription: Mapping[str, Any]) -> str:
    """Return the number of the invoice for the current period of a subscription.

    The same whoever starts the run and how often: the books keep one invoice of a number.
    """
    period = str(subscription.get("latestInvoiceId", ""))
    digest = combine("order-to-cash", str(subscription["id"]), period)
    return f"O2C-{digest[:_NUMBER_LENGTH].upper()}"


def books_customer(customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a customer as the books take it."""
    found: dict[str, Any] = {"name": customer["name"]}
    if customer.get("email"):
        found["email"] = customer["email"]
    return found


def books_invoice(subscription: Mapping[str, Any], customer_id: str) -> dict[str, Any]:
    """Return the invoice of a subscription's period. Raises KeyError for an item without price."""
    lines = [
        {
            "sku": item["sku"],
            "quantity": {"value": str(item["quantity"])},
            "unitPrice": {
                "amount": item["unitPrice"]["amount"],
                "currency": item["unitPrice"]["currency"],
            },
        }
        for item in subscription["items"]
    ]
    currency = lines[0]["unitPrice"]["currency"]
    return {"customerId": customer_id, "currency": currency, "lines": lines}


def open_opportunity(page: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the opportunity that the subscription is the outcome of: the open one, if any."""
    items: Sequence[Mapping[str, Any]] = page["items"]
    return next((found for found in items if found.get("status") == "open"), None)
