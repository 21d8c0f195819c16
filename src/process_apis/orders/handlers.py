"""The operations of orders.v1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from portico.problems import CONFLICT, NOT_FOUND, Problem
from portico.server import paging
from portico.server.call import Call, Reply
from process_apis.orders import domain, mapping, models
from process_apis.orders.calls import catalog, inventory, tryton


async def create_order(
    call: Call[None], *, body: models.OrderRequest, idempotency_key: str
) -> Reply:
    """Write an order to the ERP and confirm it."""
    caller = call.caller
    reference = body.get("poNumber") or domain.own_reference(
        caller.client_id, caller.subject, body["customerId"], idempotency_key
    )
    sale = await _write_once(call, body, reference)
    order = mapping.order(await tryton.confirm_sale(call, sale_id=sale["id"]))
    return Reply(status=201, body=order, headers=[("Location", f"orders/{order['id']}")])


async def get_order(call: Call[None], *, order_id: str) -> models.Order:
    """Return one order as the ERP has it now."""
    try:
        return mapping.order(await tryton.get_sale(call, sale_id=order_id))
    except Problem as problem:
        if problem.status != NOT_FOUND.status:
            raise
        raise Problem(NOT_FOUND, f"there is no order {order_id}") from None


async def list_orders(
    call: Call[None],
    *,
    customer_id: str | None = None,
    po_number: str | None = None,
    limit: int = 25,
    cursor: str | None = None,
) -> Reply:
    """Return one page of orders, the newest first."""
    sales = await tryton.list_sales(
        call, customer_id=customer_id, po_number=po_number, limit=limit, cursor=cursor
    )
    filters = {"customerId": customer_id, "poNumber": po_number, "limit": limit}
    link = paging.next_link(sales.get("nextCursor"), filters)
    return Reply(body=mapping.page(sales), headers=link)


async def _write_once(call: Call[None], body: models.OrderRequest, reference: str) -> tryton.Order:
    """Return the sale of this reference, written now or by an earlier try.

    An earlier try may have been cut off after its write. What it wrote counts, even if the same
    request would be refused by now: a price has changed, or its own sale has taken the last piece.
    """
    try:
        return await _write(call, body, reference)
    except Problem as problem:
        if problem.status != CONFLICT.status:
            raise
        written = await _find_written(call, body, reference)
        if written is None:
            raise
        if not domain.asks_for_same(written, body):
            raise domain.taken_reference(reference) from None
        return written


async def _write(call: Call[None], body: models.OrderRequest, reference: str) -> tryton.Order:
    customer = await _get_customer(call, body["customerId"])
    products = await _get_products(call, body)
    quote = domain.quote(body, customer, products)
    if body["onShortage"] == "refuse":
        await _refuse_shortage(call, quote)
    return await tryton.create_sale(call, body=mapping.new_sale(body, quote, reference))


async def _find_written(
    call: Call[None], body: models.OrderRequest, reference: str
) -> tryton.Order | None:
    page = await tryton.list_sales(
        call, customer_id=body["customerId"], po_number=reference, limit=1
    )
    return next(iter(page["items"]), None)


async def _get_customer(call: Call[None], customer_id: str) -> tryton.Customer:
    try:
        return await tryton.get_customer(call, customer_id=customer_id)
    except Problem as problem:
        if problem.status != NOT_FOUND.status:
            raise
        raise domain.unknown_customer(customer_id) from None


async def _get_products(
    call: Call[None], body: models.OrderRequest
) -> Mapping[str, catalog.Product]:
    """Return the products of the order by SKU; those that are not for sale are missing."""
    skus = _distinct(line["sku"] for line in body["lines"])
    page = await catalog.list_products(call, skus=skus, limit=len(skus))
    return {product["sku"]: product for product in page["items"]}


async def _refuse_shortage(call: Call[None], quote: domain.Quote) -> None:
    skus = _distinct(line.product["sku"] for line in quote.lines)
    report = await inventory.get_availability(call, skus=skus)
    short = domain.shortages(quote, {item["sku"]: item for item in report["items"]})
    if short:
        raise domain.conflict(short)


def _distinct(skus: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(skus))
