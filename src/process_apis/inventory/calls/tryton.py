"""Calls to system/tryton.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

if TYPE_CHECKING:
    from portico.server.call import Call

R = TypeVar("R")


class Quantity(TypedDict):
    """How much of something, as a decimal string with its unit."""

    value: str
    uom: str


class InventoryLevel(TypedDict):
    """How much of one product is at one location at one moment, in the product's own unit."""

    sku: str
    locationId: str
    onHand: Quantity
    reserved: Quantity
    available: Quantity
    asOf: str


class StockLevels(TypedDict):
    """Stock levels, by product in the order asked for."""

    items: list[InventoryLevel]


async def list_stock_levels(call: Call[R], *, skus: list[str]) -> StockLevels:
    """List the stock levels of products."""
    reply = await call.invoke("system/tryton.v1", "listStockLevels", {"skus": skus})
    return cast(StockLevels, reply.body)
