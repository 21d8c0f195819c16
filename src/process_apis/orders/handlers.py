"""The operations of orders.v1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from portico.problems import NOT_FOUND, Problem
from portico.server import paging
from portico.server.call import Call, Reply
from portico.workflow.state import WorkflowState
from portico.workflow.workflows import Workflows
from process_apis.orders import domain, mapping, models, placement
from process_apis.orders.app import Placing
from process_apis.orders.calls import catalog, inventory, tryton
from process_apis.orders.workflows import NAME

# So often one reference may be refused and tried again under another key.
MAX_REFUSALS = 20
# What callers wait of their time, at most.
WAITING_SHARE = 0.8


async def create_order(
    call: Call[Placing], *, body: models.OrderRequest, idempotency_key: str
) -> Reply:
    """Have an order placed, and answer with it if that is done in time."""
    caller = call.caller
    key = domain.own_reference(
        caller.client_id, caller.subject, body["customerId"], idempotency_key
    )
    reference = body.get("poNumber") or key
    state = await _place(call, body, reference, key)
    if not placement.asks_for_same(state.payload["sale"], body):
        raise domain.taken_reference(reference)
    if placement.phase(state) == placement.REFUSED:
        raise placement.refusal(state.result)
    if placement.phase(state) != placement.PLACED:
        headers = [("Location", f"placements/{state.workflow_id}")]
        return Reply(status=202, body=mapping.placement(state), headers=headers)
    order = mapping.order(state.result["order"])
    return Reply(status=201, body=order, headers=[("Location", f"orders/{order['id']}")])


async def get_placement(call: Call[Placing], *, placement_id: str) -> models.Placement:
    """Return how far the placing of an order is."""
    state = await call.resources.durable.parts.workflows.status(placement_id)
    if state is None or state.name != NAME:
        raise Problem(NOT_FOUND, f"there is no placement {placement_id}")
    return mapping.placement(state)


async def get_order(call: Call[Placing], *, order_id: str) -> models.Order:
    """Return one order as the ERP has it now."""
    try:
        return mapping.order(await tryton.get_sale(call, sale_id=order_id))
    except Problem as problem:
        if problem.status != NOT_FOUND.status:
            raise
        raise Problem(NOT_FOUND, f"there is no order {order_id}") from None


async def list_orders(
    call: Call[Placing],
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


async def _place(
    call: Call[Placing], body: models.OrderRequest, reference: str, key: str
) -> WorkflowState:
    """Return the placement of an order at its end, or as it is when the caller has to be told.

    One that was begun counts, even if the same request would be refused by now: a price has
    changed, or its own sale has taken the last piece.
    """
    workflows = call.resources.durable.parts.workflows
    name, found = await _find_placement(workflows, body["customerId"], reference, key)
    if found is None:
        payload = await _prepare(call, body, reference)
        return await workflows.run(
            name, NAME, {**payload, "key": key, "paymentKey": name}, seconds=_patience(call)
        )
    return await workflows.wait(name, seconds=_patience(call))


async def _find_placement(
    workflows: Workflows, customer_id: str, reference: str, key: str
) -> tuple[str, WorkflowState | None]:
    """Return the placement that an order has, or the name of the one to begin."""
    for number in range(1, MAX_REFUSALS + 1):
        name = placement.placement_id(customer_id, reference, number)
        state = await workflows.status(name)
        if state is None or not placement.is_superseded(state, key):
            return name, state
    raise domain.spent_reference(reference)


def _patience(call: Call[Placing]) -> float:
    """Return how long the caller is kept waiting; what is left of its time is for the answer."""
    return min(call.resources.answer_seconds, call.deadline.remaining() * WAITING_SHARE)


async def _prepare(
    call: Call[Placing], body: models.OrderRequest, reference: str
) -> dict[str, object]:
    """Return what is to be written; raises Problem for an order that cannot be placed."""
    customer = await _get_customer(call, body["customerId"])
    products = await _get_products(call, body)
    quote = domain.quote(body, customer, products)
    if body["onShortage"] == "refuse":
        await _refuse_shortage(call, quote)
    return mapping.payload(body, quote, reference)


async def _get_customer(call: Call[Placing], customer_id: str) -> tryton.Customer:
    try:
        return await tryton.get_customer(call, customer_id=customer_id)
    except Problem as problem:
        if problem.status != NOT_FOUND.status:
            raise
        raise domain.unknown_customer(customer_id) from None


async def _get_products(
    call: Call[Placing], body: models.OrderRequest
) -> Mapping[str, catalog.Product]:
    """Return the products of the order by SKU; those that are not for sale are missing."""
    skus = _distinct(line["sku"] for line in body["lines"])
    page = await catalog.list_products(call, skus=skus, limit=len(skus))
    return {product["sku"]: product for product in page["items"]}


async def _refuse_shortage(call: Call[Placing], quote: domain.Quote) -> None:
    skus = _distinct(line.product["sku"] for line in quote.lines)
    report = await inventory.get_availability(call, skus=skus, live=True)
    short = domain.shortages(quote, {item["sku"]: item for item in report["items"]})
    if short:
        raise domain.conflict(short)


def _distinct(skus: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(skus))
