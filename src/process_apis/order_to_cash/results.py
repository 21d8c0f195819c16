"""What runs end with, in the words of the contract. Pure."""

from __future__ import annotations

from typing import Any

from process_apis.order_to_cash.domain import Body
from process_apis.order_to_cash.payments import Paid


def invoice(body: Body) -> dict[str, Any]:
    """Return an invoice of the books."""
    number, status = str(body.get("number", "")), str(body["status"])
    return {"invoice": {"id": str(body["id"]), "number": number, "status": status}}


def opportunity(opportunity_id: str) -> dict[str, Any]:
    return {"opportunityId": opportunity_id} if opportunity_id else {}


def paid(found: Paid) -> dict[str, Any]:
    """Return an invoice of the books and its payments."""
    payments = [booked(body, part.number) for part, body in found.payments]
    return {**invoice(found.invoice), **({"payments": payments} if payments else {})}


def booked(body: Body, number: str) -> dict[str, Any]:
    """Return a payment, a refund or a credit of the books."""
    amount = body["totals"]["gross"] if "totals" in body else body["amount"]
    shown = {"amount": str(amount["amount"]), "currency": str(amount["currency"])}
    return {"id": str(body["id"]), "number": number, "amount": shown}
