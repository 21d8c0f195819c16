"""Calls to process/inventory.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, TypeVar, cast

if TYPE_CHECKING:
    from portico.server.call import Call

R = TypeVar("R")


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


async def get_availability(
    call: Call[R], *, skus: list[str], live: bool | None = None
) -> AvailabilityReport:
    """Get the availability of products."""
    reply = await call.invoke(
        "process/inventory.v1", "getAvailability", {"skus": skus, "live": live}
    )
    return cast(AvailabilityReport, reply.body)
