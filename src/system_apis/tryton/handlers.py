"""The operations of system/tryton.v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portico.connectors.failures import as_problems
from portico.connectors.moments import from_text
from portico.connectors.replies import put_reply
from portico.problems import CONFLICT, NOT_FOUND, Problem
from portico.server.call import Call, Reply
from system_apis.tryton import customers, models, pages, sales, stock
from system_apis.tryton.mapping import (
    CUSTOMER_FIELDS,
    CUSTOMER_MODEL,
    PRODUCT_FIELDS,
    PRODUCT_MODEL,
    customer,
    product,
)
from system_apis.tryton.new_sale import prepare
from system_apis.tryton.sale_mapping import SALE_FIELDS, SALE_MODEL, order

if TYPE_CHECKING:
    from system_apis.tryton.connector import Exchange, Tryton
    from system_apis.tryton.wire import Record


async def list_customers(
    call: Call[Tryton],
    *,
    limit: int,
    q: str | None = None,
    changed_since: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of customers: every party with a code but the company itself."""
    with as_problems():
        erp = await _enter(call)
        domain = [["code", "!=", None], ["id", "!=", erp.company.party]]
        if q is not None:
            domain.append(pages.containing(q, "name", "code"))
        if changed_since is not None:
            domain.append(customers.changed_since(changed_since))
            erp = erp.within({"active_test": False})
        found = await erp.search(
            CUSTOMER_MODEL,
            fields=CUSTOMER_FIELDS,
            domain=[*domain, *pages.after(cursor)],
            order=[["id", "ASC"]],
            limit=limit + 1,
        )
        items = [customer(party, erp.instance) for party in found[:limit]]
        return pages.reply(items, found, limit, {"q": q, "changedSince": changed_since})


async def get_customer(call: Call[Tryton], *, customer_id: str) -> models.Customer:
    """Return a customer by its code, also one that no longer buys."""
    with as_problems():
        erp = (await _enter(call)).within({"active_test": False})
        found = await erp.search(
            CUSTOMER_MODEL,
            fields=CUSTOMER_FIELDS,
            domain=[["code", "=", customer_id], ["id", "!=", erp.company.party]],
            order=[["active", "DESC"]],
            limit=1,
        )
        return customer(_only(found, f"customer {customer_id}"), erp.instance)


async def put_customer(call: Call[Tryton], *, customer_id: str, body: models.NewCustomer) -> Reply:
    """Create the customer of a code, or change it."""
    with as_problems():
        async with call.resources.turns.hold((CUSTOMER_MODEL, customer_id)):
            erp = (await _enter(call)).within({"active_test": False})
            party, made = await customers.put(erp, customer_id, body)
            return put_reply(
                customer(party, erp.instance), f"customers/{customer_id}", created=made
            )


async def list_products(
    call: Call[Tryton],
    *,
    limit: int,
    q: str | None = None,
    skus: list[str] | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of the salable products."""
    with as_problems():
        erp = await _enter(call)
        domain: list[object] = [["code", "!=", None], ["template.salable", "=", True]]
        if skus is not None:
            domain.append(["code", "in", skus])
        if q is not None:
            domain.append(pages.containing(q, "template.name", "code"))
        found = await erp.search(
            PRODUCT_MODEL,
            fields=PRODUCT_FIELDS,
            domain=[*domain, *pages.after(cursor)],
            order=[["id", "ASC"]],
            limit=limit + 1,
        )
        items = [_product(erp, record) for record in found[:limit]]
        filters = {"q": q, "skus": ",".join(skus) if skus else None}
        return pages.reply(items, found, limit, filters)


async def get_product(call: Call[Tryton], *, sku: str) -> models.Product:
    """Return a salable product by its code."""
    with as_problems():
        erp = await _enter(call)
        found = await erp.search(
            PRODUCT_MODEL,
            fields=PRODUCT_FIELDS,
            domain=[["code", "=", sku], ["template.salable", "=", True]],
            limit=1,
        )
        return _product(erp, _only(found, f"product {sku}"))


async def list_stock_levels(call: Call[Tryton], *, skus: list[str]) -> models.StockLevels:
    """Return how much of each product is in each warehouse."""
    with as_problems():
        return {"items": await stock.levels(await _enter(call), skus)}


async def list_stock_changes(
    call: Call[Tryton], *, since: str, limit: int, cursor: str | None = None
) -> Reply:
    """Return the products of one page of moves that are new or changed."""
    with as_problems():
        erp = await _enter(call)
        found = await stock.moves_since(erp, from_text(since), limit + 1, pages.after(cursor))
        return pages.reply(stock.moved(found[:limit]), found, limit, {"since": since})


async def list_sales(
    call: Call[Tryton],
    *,
    limit: int,
    customer_id: str | None = None,
    po_number: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of sales, the newest first."""
    with as_problems():
        erp = await _enter(call)
        domain: list[object] = [["company", "=", erp.company.id]]
        if customer_id is not None:
            domain.append(["party.code", "=", customer_id])
        if po_number is not None:
            domain.append(["reference", "=", po_number])
        found = await erp.search(
            SALE_MODEL,
            fields=SALE_FIELDS,
            domain=[*domain, *pages.before(cursor)],
            order=[["id", "DESC"]],
            limit=limit + 1,
        )
        items = [order(sale, erp.instance) for sale in found[:limit]]
        filters = {"customerId": customer_id, "poNumber": po_number}
        return pages.reply(items, found, limit, filters)


async def create_sale(call: Call[Tryton], *, body: models.NewOrder) -> Reply:
    """Create a draft sale, or return the one that has the same customer and reference.

    These name the sale in Tryton; the idempotency key has no place there and is not needed.
    """
    name = (SALE_MODEL, body["customerId"], body["poNumber"])
    with as_problems():
        async with call.resources.turns.hold(name):
            erp = await _enter(call)
            sale, made = await sales.create(erp, await prepare(erp, body))
            if not made and not sales.is_same(sale, body):
                raise _taken(sale, body)
            headers = [("Location", f"sales/{sale.id}")]
            result = order(sale, erp.instance)
            return Reply(status=201 if made else 200, body=result, headers=headers)


async def get_sale(call: Call[Tryton], *, sale_id: str) -> models.Order:
    """Return a sale by its number in Tryton."""
    with as_problems():
        erp = await _enter(call)
        return order(await erp.read(SALE_MODEL, _number(sale_id), SALE_FIELDS), erp.instance)


async def confirm_sale(call: Call[Tryton], *, sale_id: str) -> models.Order:
    """Make a sale binding; from any state but cancelled, and as often as asked."""
    number = _number(sale_id)
    with as_problems():
        async with call.resources.turns.hold((SALE_MODEL, number)):
            erp = await _enter(call)
            return order(await sales.confirm(erp, number), erp.instance)


async def cancel_sale(call: Call[Tryton], *, sale_id: str) -> models.Order:
    """Give a sale up, as long as nothing was made of it; as often as asked."""
    number = _number(sale_id)
    with as_problems():
        async with call.resources.turns.hold((SALE_MODEL, number)):
            erp = await _enter(call)
            return order(await sales.cancel(erp, number), erp.instance)


async def _enter(call: Call[Tryton]) -> Exchange:
    return await call.resources.enter(call.deadline, call.trace)


def _product(erp: Exchange, record: Record) -> models.Product:
    return product(record, erp.instance, erp.company.currency, erp.company.digits)


def _only(found: list[Record], name: str) -> Record:
    if not found:
        raise Problem(NOT_FOUND, f"there is no {name}")
    return found[0]


def _number(sale_id: str) -> int:
    """Return the number that the id of a sale is; any other id names no sale."""
    if not sale_id.isdigit() or len(sale_id) > pages.MAX_DIGITS:
        raise Problem(NOT_FOUND, f"there is no sale {sale_id}")
    return int(sale_id)


def _taken(sale: Record, body: models.NewOrder) -> Problem:
    detail = f"{body['poNumber']} of {body['customerId']} is sale {sale.id}, with other lines"
    return Problem(CONFLICT, detail, extensions={"saleId": str(sale.id)})
