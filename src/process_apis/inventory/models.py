"""Data of process/inventory.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class SourceState(TypedDict):
    """How old the word of a system is."""

    source: str
    asOf: str
    stale: bool


class Quantity(TypedDict):
    """How much of something, as a decimal string with its unit."""

    value: str
    uom: str


class LocationAvailability(TypedDict):
    source: str
    asOf: str
    counted: bool
    locationId: str
    available: Quantity


class Availability(TypedDict):
    """What can be promised of one product."""

    sku: str
    status: Literal["in_stock", "out_of_stock", "not_stocked", "unknown"]
    available: NotRequired[Quantity]
    onHand: NotRequired[Quantity]
    reserved: NotRequired[Quantity]
    locations: NotRequired[list[LocationAvailability]]


class AvailabilityReport(TypedDict):
    """What can be promised of the products asked for."""

    complete: bool
    asOf: str
    sources: list[SourceState]
    items: list[Availability]


class AvailabilityQuery(TypedDict):
    """Which products are asked for."""

    skus: list[str]
    live: bool


class NewLevel(TypedDict):
    """What a system counts of a product at a location."""

    eventId: str
    onHand: Quantity
    reserved: NotRequired[Quantity]
    asOf: str


class InventoryLevel(TypedDict):
    """How much of one product is at one location at one moment, in the product's own unit."""

    sku: str
    locationId: str
    onHand: Quantity
    reserved: Quantity
    available: Quantity
    asOf: str
