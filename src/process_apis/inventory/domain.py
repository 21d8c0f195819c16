"""Availability from stock levels, some of which may be missing; no input or output here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from portico.problems import TOO_MANY_REQUESTS, Problem
from process_apis.inventory.calls.tryton import InventoryLevel
from process_apis.inventory.models import (
    Availability,
    AvailabilityReport,
    LocationAvailability,
    Quantity,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of asking a system for the levels of some products: levels, or a problem."""

    skus: Sequence[str]
    levels: Sequence[InventoryLevel] = ()
    problem: Problem | None = None


def groups(skus: Sequence[str], size: int) -> list[Sequence[str]]:
    """Return the products in groups of at most `size`, in order."""
    return [skus[start : start + size] for start in range(0, len(skus), size)]


def report(skus: Sequence[str], readings: Sequence[Reading], now: datetime) -> AvailabilityReport:
    """Return the availability of the products asked for, in their order.

    Raises the Problem of a reading when nothing could be read, or when asking again would not help.
    """
    failed = [reading for reading in readings if reading.problem is not None]
    _refuse(failed, all_failed=len(failed) == len(readings))
    unread = {sku for reading in failed for sku in reading.skus}
    levels = [level for reading in readings for level in reading.levels]
    moments = [level["asOf"] for level in levels]
    return {
        "complete": not failed,
        "asOf": min(moments, key=datetime.fromisoformat, default=now.isoformat()),
        "items": [_availability(sku, levels, unread) for sku in skus],
    }


def _refuse(failed: Iterable[Reading], *, all_failed: bool) -> None:
    for reading in failed:
        if reading.problem is not None and (all_failed or not is_passing(reading.problem)):
            raise reading.problem


def is_passing(problem: Problem) -> bool:
    """Tell whether a problem is the system's and may pass, rather than the request's."""
    return problem.status >= 500 or problem.status == TOO_MANY_REQUESTS.status


def _availability(
    sku: str, levels: Iterable[InventoryLevel], unread: AbstractSet[str]
) -> Availability:
    if sku in unread:
        return {"sku": sku, "status": "unknown"}
    found = [level for level in levels if level["sku"] == sku]
    if not found:
        return {"sku": sku, "status": "not_stocked"}
    available = _total(level["available"] for level in found)
    return {
        "sku": sku,
        "status": "in_stock" if Decimal(available["value"]) > 0 else "out_of_stock",
        "available": available,
        "onHand": _total(level["onHand"] for level in found),
        "reserved": _total(level["reserved"] for level in found),
        "locations": [_location(level) for level in found],
    }


def _location(level: InventoryLevel) -> LocationAvailability:
    return {"locationId": level["locationId"], "available": level["available"]}


def _total(quantities: Iterable[Quantity]) -> Quantity:
    """Return the sum of quantities of one product, which all have the product's unit."""
    listed = list(quantities)
    value = sum((Decimal(quantity["value"]) for quantity in listed), Decimal())
    return {"value": format(value.normalize(), "f"), "uom": listed[0]["uom"]}
