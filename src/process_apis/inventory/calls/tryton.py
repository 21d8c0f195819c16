"""Calls to system/tryton.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, TypeVar, cast

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


class StockChange(TypedDict):
    """A product whose stock changed."""

    sku: str


class StockChanges(TypedDict):
    """One page of products whose stock changed."""

    items: list[StockChange]
    nextCursor: NotRequired[str]


class ExternalId(TypedDict):
    """The name of a record in a system."""

    system: str
    instance: str
    entity: str
    id: str
    role: NotRequired[str]


class Source(TypedDict):
    """The system a record was read from, and the version it had there."""

    system: str
    instance: str
    version: NotRequired[str]


class ListPrice(TypedDict):
    list: str
    amount: str
    currency: str
    minQty: NotRequired[str]
    validFrom: NotRequired[str]
    validTo: NotRequired[str]


class Product(TypedDict):
    """Something that is sold, down to the variant that has its own stock."""

    id: str
    version: NotRequired[int]
    externalIds: list[ExternalId]
    createdAt: NotRequired[str]
    updatedAt: NotRequired[str]
    deleted: NotRequired[bool]
    source: NotRequired[Source]
    extensions: NotRequired[dict[str, dict[str, object]]]
    type: Literal["product"]
    sku: str
    name: str
    gtin: NotRequired[str]
    description: NotRequired[str]
    kind: Literal["good", "service", "digital"]
    status: Literal["active", "inactive", "discontinued"]
    uom: str
    prices: NotRequired[list[ListPrice]]
    taxCategory: NotRequired[str]
    weight: NotRequired[Quantity]
    parentSku: NotRequired[str]
    options: NotRequired[dict[str, str]]
    trackInventory: NotRequired[bool]


class ProductPage(TypedDict):
    """One page of products."""

    items: list[Product]
    nextCursor: NotRequired[str]


async def list_stock_levels(call: Call[R], *, skus: list[str]) -> StockLevels:
    """List the stock levels of products."""
    reply = await call.invoke("system/tryton.v1", "listStockLevels", {"skus": skus})
    return cast(StockLevels, reply.body)


async def list_stock_changes(
    call: Call[R], *, since: str, limit: int | None = None, cursor: str | None = None
) -> StockChanges:
    """List the products whose stock changed."""
    reply = await call.invoke(
        "system/tryton.v1", "listStockChanges", {"since": since, "limit": limit, "cursor": cursor}
    )
    return cast(StockChanges, reply.body)


async def list_products(
    call: Call[R],
    *,
    q: str | None = None,
    skus: list[str] | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> ProductPage:
    """List products."""
    reply = await call.invoke(
        "system/tryton.v1", "listProducts", {"q": q, "skus": skus, "limit": limit, "cursor": cursor}
    )
    return cast(ProductPage, reply.body)
