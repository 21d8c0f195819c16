"""How much of each product is in each warehouse, and how much of it customers wait for.

Tryton computes a quantity while it reads a product, for the locations in the context of the
request. `quantity` counts moves that are done; `forecast_quantity` also those still to come. With
`stock_destinations`, only moves to and from these locations count: the difference of the two is
then what open shipments will take to customers.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from system_apis.tryton.mapping import keeps_stock, quantity, timestamp
from system_apis.tryton.wire import Record, WireError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from system_apis.tryton import models
    from system_apis.tryton.connector import Exchange

T = TypeVar("T")

COUNTED_FIELDS = (
    "code",
    "quantity",
    "template.type",
    "template.consumable",
    "template.default_uom.symbol",
    "template.default_uom.factor",
    "template.sale_uom.symbol",
    "template.sale_uom.factor",
)
PROMISED_FIELDS = ("quantity", "forecast_quantity")
# The contract allows 5000 levels, of at most 50 products.
MAX_WAREHOUSES = 100
MAX_CUSTOMER_LOCATIONS = 1000


async def levels(erp: Exchange, skus: Sequence[str]) -> list[models.InventoryLevel]:
    """Return one level for each known product and warehouse, in the order of `skus`."""
    warehouses = await erp.search(
        "stock.location",
        fields=["code"],
        domain=[["type", "=", "warehouse"], ["code", "!=", None]],
        order=[["id", "ASC"]],
        limit=MAX_WAREHOUSES,
    )
    customers = await erp.search(
        "stock.location",
        fields=["id"],
        domain=[["type", "=", "customer"]],
        limit=MAX_CUSTOMER_LOCATIONS,
    )
    destinations = [location.id for location in customers]
    found = await _all([_in_warehouse(erp, item, destinations, skus) for item in warehouses])
    return [level[sku] for sku in skus for level in found if sku in level]


async def moves_since(
    erp: Exchange, since: datetime, limit: int, after: Sequence[object]
) -> list[Record]:
    """Return moves that are new or changed since a moment, in the order they were made."""
    changed = ["OR", ["write_date", ">=", since], ["create_date", ">=", since]]
    return await erp.search(
        "stock.move",
        fields=["product.code"],
        domain=[["company", "=", erp.company.id], changed, *after],
        order=[["id", "ASC"]],
        limit=limit,
    )


def moved(moves: Sequence[Record]) -> list[dict[str, str]]:
    """Return the products of moves, each once; those without a code have no name here."""
    products = [move.one("product") for move in moves]
    skus = [product.text("code") for product in products if product is not None]
    return [{"sku": sku} for sku in dict.fromkeys(skus) if sku]


async def _all(waiting: Sequence[Coroutine[None, None, T]]) -> list[T]:
    """Return what all of these come to; the first failure ends the others."""
    tasks = [asyncio.ensure_future(item) for item in waiting]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _in_warehouse(
    erp: Exchange, warehouse: Record, destinations: Sequence[int], skus: Sequence[str]
) -> dict[str, models.InventoryLevel]:
    """Return the level of each product in one warehouse."""
    here = erp.within({"locations": [warehouse.id]})
    leaving = here.within({"stock_destinations": destinations})
    domain = [["code", "in", list(skus)]]
    counted, promised = await _all(
        [
            here.search("product.product", fields=COUNTED_FIELDS, domain=domain, limit=len(skus)),
            leaving.search(
                "product.product", fields=PROMISED_FIELDS, domain=domain, limit=len(skus)
            ),
        ]
    )
    by_id = {product.id: product for product in promised}
    now = timestamp(datetime.now(UTC).replace(microsecond=0))
    return {
        product.text("code"): _level(product, by_id[product.id], warehouse.text("code"), now)
        for product in counted
        if product.id in by_id and keeps_stock(product.one("template") or product)
    }


def _level(product: Record, promised: Record, location: str, now: str) -> models.InventoryLevel:
    on_hand = product.number("quantity")
    # What is still to leave counts as negative here.
    reserved = max(promised.number("quantity") - promised.number("forecast_quantity"), Decimal(0))
    symbol, factor = _sale_unit(product)
    return {
        "sku": product.text("code"),
        "locationId": location,
        "onHand": quantity(on_hand * factor, symbol),
        "reserved": quantity(reserved * factor, symbol),
        "available": quantity((on_hand - reserved) * factor, symbol),
        "asOf": now,
    }


def _sale_unit(product: Record) -> tuple[str, Decimal]:
    """Return the unit a product is sold in, and how many of it the unit it is counted in makes."""
    template = product.one("template") or product
    counted, sold = template.one("default_uom"), template.one("sale_uom")
    if counted is None:
        raise WireError("a product has no unit")
    if sold is None or sold.id == counted.id:
        return counted.text("symbol"), Decimal(1)
    return sold.text("symbol"), counted.number("factor") / sold.number("factor")
