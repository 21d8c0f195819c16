"""What names the placing of an order, and what it comes to; no input or output here."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from portico.problems import BAD_UPSTREAM, CONFLICT, UNPROCESSABLE, Problem
from portico.server.call import combine
from portico.workflow.state import WorkflowState
from process_apis.orders.models import CardPayment, OrderRequest

# What a sale is once Tryton is bound by it.
_BINDING = frozenset({"confirmed", "completed", "on_hold"})
_GOOD_PAYMENTS = frozenset({"authorized", "captured"})
# What Stripe takes at most in one payment: eight digits (docs.stripe.com/currencies).
MOST_BY_CARD = Decimal("999999.99")
PLACED, REFUSED = "placed", "refused"


def placement_id(customer_id: str, reference: str, number: int) -> str:
    """Return the name of an attempt to place an order; the next begins when one was refused."""
    return f"place-{combine('orders', customer_id, reference)}-{number}"


def phase(state: WorkflowState) -> str:
    """Return how far a placement is, in the words of the contract."""
    if state.phase in {"running", "waiting"}:
        return "placing"
    return str(state.result["phase"]) if state.phase == "succeeded" else "dead"


def is_superseded(state: WorkflowState, key: str) -> bool:
    """Tell whether a request under another key may try again what was refused."""
    return phase(state) == REFUSED and state.payload["key"] != key


def asks_for_same(sale: Mapping[str, Any], request: OrderRequest) -> bool:
    """Tell whether a sale has the goods of a request, line by line.

    Prices are left out: a sale keeps those of the day it was first asked for.
    """
    return _goods(sale["lines"]) == _goods(request["lines"])


def _goods(lines: Any) -> list[tuple[str, Any]]:
    return [(line["sku"], Decimal(line["quantity"]["value"])) for line in lines]


def is_binding(order: Mapping[str, Any]) -> bool:
    """Tell whether a sale was confirmed before this placement came to it."""
    return order["status"] in _BINDING


def adopted(order: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a placement comes to that finds its order placed already.

    One that is to be paid is refused: nobody knows here how the order that there is was paid.
    """
    if "payment" not in payload:
        return {"phase": PLACED, "order": order}
    cause = f"the customer has an order with the reference {payload['sale']['poNumber']}"
    return {"phase": REFUSED, "status": CONFLICT.status, "cause": cause}


def new_payment(payment: CardPayment, order: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payment of an order: authorized now, taken when the order is confirmed."""
    return {
        "customerId": payment["payerId"],
        "paymentToken": payment["paymentToken"],
        "amount": order["totals"]["gross"],
        "capture": "manual",
    }


def unpayable(order: Mapping[str, Any]) -> str:
    """Return why the total of an order cannot be charged to a card, or nothing if it can."""
    total = order["totals"]["gross"]
    if Decimal() < Decimal(total["amount"]) <= MOST_BY_CARD:
        return ""
    return f"a card is not charged with {total['amount']} {total['currency']} at once"


def unauthorized(payment: Mapping[str, Any]) -> str:
    """Return why an order cannot be confirmed on a payment, or nothing if it can."""
    if payment["status"] in _GOOD_PAYMENTS:
        return ""
    return f"the payment {payment['id']} is {payment['status']}: the bank did not authorize it"


def refusal(result: Mapping[str, Any]) -> Problem:
    """Return the problem of a placement that was refused, all of it undone."""
    status, cause = result["status"], str(result["cause"])
    if status == CONFLICT.status:
        return Problem(CONFLICT, cause)
    # A system that refuses this gateway is not for the caller to correct.
    return Problem(BAD_UPSTREAM if status in {401, 403} else UNPROCESSABLE, cause)
