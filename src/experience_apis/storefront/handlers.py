"""The operations of storefront.v1."""

from __future__ import annotations

from collections.abc import Sequence

from experience_apis.storefront import mapping, models
from experience_apis.storefront.calls import catalog, inventory, orders
from portico.problems import CONFLICT, TOO_MANY_REQUESTS, Problem
from portico.server import paging
from portico.server.call import Call, Reply


async def browse_products(
    call: Call[None], *, q: str | None = None, limit: int = 20, cursor: str | None = None
) -> Reply:
    """Return one page of products, their availability joined by one call."""
    page = await catalog.list_products(call, q=q, limit=limit, cursor=cursor)
    stock = await _read_stock(call, [product["sku"] for product in page["items"]])
    link = paging.next_link(page.get("nextCursor"), {"q": q, "limit": limit})
    return Reply(body=mapping.product_page(page, stock), headers=link)


async def get_product(call: Call[None], *, sku: str) -> models.ShopProduct:
    """Return one product with its availability."""
    product = await catalog.get_product(call, sku=sku)
    return mapping.product(product, await _read_stock(call, [sku]))


async def place_order(call: Call[None], *, body: models.Checkout) -> Reply:
    """Place a binding order for the customer that the shop acts for."""
    try:
        placed = await orders.create_order(call, body=mapping.order_request(body))
    except Problem as problem:
        if problem.status != CONFLICT.status:
            raise
        raise mapping.checkout_problem(problem) from None
    if placed["type"] == "placement":
        checkout = mapping.checkout(placed)
        headers = [("Location", f"checkouts/{checkout['id']}")]
        return Reply(status=202, body=checkout, headers=headers)
    order = mapping.order(placed)
    return Reply(status=201, body=order, headers=[("Location", f"orders/{order['id']}")])


async def get_checkout(call: Call[None], *, checkout_id: str) -> models.ShopCheckout:
    """Return whether an order that was not placed at once is placed by now."""
    return mapping.checkout(await orders.get_placement(call, placement_id=checkout_id))


async def get_order(call: Call[None], *, order_id: str) -> models.ShopOrder:
    """Return one order with the steps it has taken."""
    return mapping.order(await orders.get_order(call, order_id=order_id))


async def _read_stock(call: Call[None], skus: Sequence[str]) -> mapping.Stock:
    """Return what is available by SKU; nothing when it cannot be read, for products sell anyway."""
    if not skus:
        return {}
    try:
        report = await inventory.get_availability(call, skus=list(skus))
    except Problem as problem:
        if problem.status >= 500 or problem.status == TOO_MANY_REQUESTS.status:
            return {}
        raise
    return {item["sku"]: item for item in report["items"]}
