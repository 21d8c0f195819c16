"""Orders as systems take and give them, and as this API gives them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Literal, cast

from portico.workflow.state import WorkflowState
from process_apis.orders import models
from process_apis.orders.calls import tryton
from process_apis.orders.domain import PricedLine, Quote
from process_apis.orders.placement import phase

_WORDS = {
    "system/tryton.v1 createSale": "enter the order as a draft",
    "system/tryton.v1 confirmSale": "confirm the order",
    "system/tryton.v1 cancelSale": "cancel the order",
    "system/stripe.v1 putPayment": "authorize the payment",
    "system/stripe.v1 capturePayment": "take the payment",
    "system/stripe.v1 cancelPayment": "cancel the payment",
}


def payload(request: models.OrderRequest, quote: Quote, reference: str) -> dict[str, object]:
    """Return what is to be written for an order, as the journal keeps it."""
    written: dict[str, object] = {"sale": new_sale(request, quote, reference)}
    if "payment" in request:
        written["payment"] = request["payment"]
    return written


def new_sale(request: models.OrderRequest, quote: Quote, reference: str) -> tryton.NewOrder:
    """Return the order for the system of record to take over."""
    sale: tryton.NewOrder = {
        "customerId": request["customerId"],
        "currency": quote.currency,
        "poNumber": reference,
        "lines": [_new_line(line, quote.currency) for line in quote.lines],
    }
    if "requestedDelivery" in request:
        sale["requestedDelivery"] = request["requestedDelivery"]
    return sale


def _new_line(line: PricedLine, currency: str) -> tryton.NewOrderLine:
    return {
        "sku": line.product["sku"],
        "quantity": {"value": f"{line.quantity:f}", "uom": line.product["uom"]},
        "unitPrice": {"amount": line.unit_price, "currency": currency},
    }


def order(sale: tryton.Order) -> models.Order:
    """Return a sale as an order of this API, without what only its system understands."""
    mapped = sale.copy()
    mapped.pop("extensions", None)
    return mapped


def page(sales: tryton.SalePage) -> models.OrderPage:
    """Return a page of sales as a page of orders."""
    mapped: models.OrderPage = {"items": [order(sale) for sale in sales["items"]]}
    if "nextCursor" in sales:
        mapped["nextCursor"] = sales["nextCursor"]
    return mapped


def placement(state: WorkflowState) -> models.Placement:
    """Return a placement as its caller sees it."""
    shown: models.Placement = {
        "id": state.workflow_id,
        "type": "placement",
        "phase": cast(Literal["placing", "placed", "refused", "dead"], phase(state)),
        "customerId": state.payload["sale"]["customerId"],
        "poNumber": state.payload["sale"]["poNumber"],
        "attempts": state.attempts,
        "steps": _steps(state),
    }
    if state.next_wake_at is not None:
        shown["nextTryAt"] = _time(state.next_wake_at)
    if state.phase == "dead":
        shown["cause"] = state.error[:10_000]
    if isinstance(state.result, Mapping):
        _add_result(shown, state.result)
    return shown


def _add_result(shown: models.Placement, result: Mapping[str, object]) -> None:
    if "cause" in result:
        shown["cause"] = str(result["cause"])[:10_000]
    if "order" in result:
        shown["orderId"] = cast(tryton.Order, result["order"])["id"]
    if "paymentId" in result:
        shown["paymentId"] = str(result["paymentId"])


def _steps(state: WorkflowState) -> list[models.PlacementStep]:
    """Return the steps, the tries of one together."""
    found: dict[str, models.PlacementStep] = {}
    for step in state.steps:
        if words := _WORDS.get(step.name):
            entry = found.setdefault(words, {"step": words, "tries": 0, "failed": False})
            entry["tries"] += 1
            entry["failed"] = step.failed
    return list(found.values())


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
