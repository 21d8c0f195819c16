"""Data of process/catalog.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


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


class Quantity(TypedDict):
    """How much of something, as a decimal string with its unit."""

    value: str
    uom: str


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
