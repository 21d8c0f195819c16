"""The canonical model as a web shop shows it, and a checkout as an order is placed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Literal

from experience_apis.storefront import models
from experience_apis.storefront.calls import catalog, inventory, orders
from portico.problems import Problem

STANDARD_LIST = "standard"
# Shoppers hurry at about this many; below it, two of them may want the same piece.
LOW_STOCK = 5

Stock = Mapping[str, inventory.Availability]
Shown = Literal["in_stock", "low_stock", "out_of_stock", "on_request", "unknown"]
OrderStatus = Literal[
    "received", "confirmed", "partly_shipped", "shipped", "completed", "on_hold", "cancelled"
]

STEPS: tuple[Literal["placed", "confirmed", "shipped", "completed"], ...] = (
    "placed",
    "confirmed",
    "shipped",
    "completed",
)
_STATUS: Mapping[str, OrderStatus] = {
    "draft": "received",
    "open": "received",
    "on_hold": "on_hold",
    "completed": "completed",
    "cancelled": "cancelled",
}
_STATUS_BY_FULFILMENT: Mapping[str, OrderStatus] = {
    "none": "confirmed",
    "partial": "partly_shipped",
    "full": "shipped",
}
_STEPS_DONE: Mapping[OrderStatus, int] = {
    "received": 1,
    "on_hold": 1,
    "confirmed": 2,
    "partly_shipped": 2,
    "shipped": 3,
    "completed": 4,
}


def product_page(page: catalog.ProductPage, stock: Stock) -> models.ProductPage:
    """Return a page of the catalogue with the availability of each product."""
    shown: models.ProductPage = {"products": [product(item, stock) for item in page["items"]]}
    if "nextCursor" in page:
        shown["nextCursor"] = page["nextCursor"]
    return shown


def product(item: catalog.Product, stock: Stock) -> models.ShopProduct:
    """Return a product as the shop shows it; one missing in `stock` is of unknown availability."""
    availability = stock.get(item["sku"])
    shown: models.ShopProduct = {
        "sku": item["sku"],
        "name": item["name"],
        "price": _price(item),
        "unit": item["uom"],
        "availability": _availability(availability),
    }
    if "description" in item:
        shown["description"] = item["description"]
    if availability is not None and "available" in availability:
        shown["availableQuantity"] = _whole(availability["available"])
    return shown


def _price(item: catalog.Product) -> models.Money:
    """Return the standard price, which every product for sale has."""
    price = next(price for price in item.get("prices", ()) if price["list"] == STANDARD_LIST)
    return {"amount": price["amount"], "currency": price["currency"]}


def _availability(found: inventory.Availability | None) -> Shown:
    if found is None or found["status"] == "unknown":
        return "unknown"
    if found["status"] == "not_stocked":
        return "on_request"
    if found["status"] == "in_stock" and "available" in found:
        return "low_stock" if Decimal(found["available"]["value"]) <= LOW_STOCK else "in_stock"
    return "out_of_stock"


def _whole(quantity: inventory.Quantity) -> int:
    return max(0, int(Decimal(quantity["value"]).to_integral_value(ROUND_FLOOR)))


def order_request(checkout: models.Checkout) -> orders.OrderRequest:
    """Return the order that a checkout asks for."""
    request: orders.OrderRequest = {
        "customerId": checkout["customerId"],
        "onShortage": "backorder" if checkout["allowBackorder"] else "refuse",
        "lines": [_request_line(item) for item in checkout["items"]],
    }
    if "reference" in checkout:
        request["poNumber"] = checkout["reference"]
    if "payment" in checkout:
        request["payment"] = {**checkout["payment"]}
    return request


def _request_line(item: models.CheckoutItem) -> orders.OrderRequestLine:
    # JSON has one kind of number: 2.0 is as good an integer as 2, and must not become "2.0".
    return {"sku": item["sku"], "quantity": {"value": str(int(item["quantity"]))}}


def checkout(placement: orders.Placement) -> models.ShopCheckout:
    """Return an order on its way as a shopper sees it: what people see to is still under way."""
    shown: models.ShopCheckout = {"id": placement["id"], "status": "processing"}
    if placement["phase"] == "placed":
        shown["status"] = "placed"
    if placement["phase"] == "refused":
        shown["status"] = "refused"
        shown["reason"] = placement.get("cause", "")
    if "orderId" in placement:
        shown["orderId"] = placement["orderId"]
    return shown


def order(placed: orders.Order) -> models.ShopOrder:
    """Return an order as a shopper sees it."""
    status = _status(placed)
    shown: models.ShopOrder = {
        "id": placed["id"],
        "customerId": placed["customerId"],
        "placedAt": placed["orderedAt"],
        "status": status,
        "items": [_item(line) for line in placed["lines"]],
        "totals": _totals(placed["totals"]),
        "steps": steps(status),
    }
    if "number" in placed:
        shown["number"] = placed["number"]
    if "poNumber" in placed:
        shown["reference"] = placed["poNumber"]
    return shown


def _item(line: orders.OrderLine) -> models.ShopOrderItem:
    quantity = Decimal(line["quantity"]["value"])
    return {
        "sku": line["sku"],
        "name": line.get("description") or line["sku"],
        "quantity": float(quantity) if quantity % 1 else int(quantity),
        "unit": line["quantity"]["uom"],
        "price": line["unitPrice"],
        "total": line["netAmount"],
    }


def _totals(totals: orders.OrderTotals) -> models.ShopTotals:
    # Nothing, written with as many places as the other amounts of the order.
    nothing = f"{Decimal(totals['net']['amount']) * 0:f}".lstrip("-")
    shipping: models.Money = {"amount": nothing, "currency": totals["net"]["currency"]}
    return {
        "items": totals["net"],
        "tax": totals["tax"],
        "shipping": totals.get("charges", shipping),
        "total": totals["gross"],
    }


def _status(placed: orders.Order) -> OrderStatus:
    if placed["status"] == "confirmed":
        return _STATUS_BY_FULFILMENT[placed.get("fulfilmentStatus", "none")]
    return _STATUS[placed["status"]]


def steps(status: OrderStatus) -> list[models.OrderStep]:
    """Return the way of an order in a status: what is done, under way and to come."""
    if status == "cancelled":
        return [{"step": "placed", "state": "done"}, {"step": "cancelled", "state": "done"}]
    done = _STEPS_DONE[status]
    return [{"step": step, "state": _state(position, done)} for position, step in enumerate(STEPS)]


def _state(position: int, done: int) -> Literal["done", "current", "upcoming"]:
    if position < done:
        return "done"
    return "current" if position == done else "upcoming"


def checkout_problem(problem: Problem) -> Problem:
    """Return a problem of placing an order with its pointers into the checkout."""
    errors = problem.extensions.get("errors")
    if not isinstance(errors, list):
        return problem
    extensions = {**problem.extensions, "errors": [_error(error) for error in errors]}
    return Problem(problem.kind, problem.detail, headers=problem.headers, extensions=extensions)


def _error(error: Mapping[str, object]) -> dict[str, object]:
    pointer = error.get("pointer")
    if not isinstance(pointer, str):
        return dict(error)
    moved = pointer.replace("#/lines/", "#/items/", 1).removesuffix("/value")
    return {**error, "pointer": "#/reference" if moved == "#/poNumber" else moved}
