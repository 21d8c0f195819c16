"""Orders as systems take and give them, and as this API gives them."""

from __future__ import annotations

from process_apis.orders import models
from process_apis.orders.calls import tryton
from process_apis.orders.domain import PricedLine, Quote


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
