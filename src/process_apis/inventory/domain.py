"""Availability from stock levels, some of which may be missing or old; no input or output here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from portico.problems import TOO_MANY_REQUESTS, Problem
from process_apis.inventory.app import ERP, Source
from process_apis.inventory.calls.tryton import InventoryLevel
from process_apis.inventory.models import (
    Availability,
    AvailabilityReport,
    LocationAvailability,
    Quantity,
    SourceState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of asking the ERP for the levels of some products: levels, or a problem."""

    skus: Sequence[str]
    levels: Sequence[InventoryLevel] = ()
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A level, and the source that told of it."""

    source: str
    level: InventoryLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of some products, and when each source was last heard of."""

    levels: Sequence[Told] = ()
    heard: Mapping[str, str] = field(default_factory=dict)


def known_from(told: Iterable[Told], heard: Mapping[str, str]) -> Known:
    """Return what is known: a look at the ERP that finds a level unchanged makes it as young."""
    looked = heard.get(ERP, "")
    levels = [
        Told(source=ERP, level={**one.level, "asOf": looked})
        if one.source == ERP and looked > one.level["asOf"]
        else one
        for one in told
    ]
    return Known(levels=levels, heard=heard)


def groups(skus: Sequence[str], size: int) -> list[Sequence[str]]:
    """Return the products in groups of at most `size`, in order."""
    return [skus[start : start + size] for start in range(0, len(skus), size)]


def states(sources: Iterable[Source], heard: Mapping[str, str], now: datetime) -> list[SourceState]:
    """Return how old the word of each source is, those never heard of left out."""
    return [
        {
            "source": source.name,
            "asOf": heard[source.name],
            "stale": _age(heard[source.name], now) > timedelta(seconds=source.stale_seconds),
        }
        for source in sources
        if source.name in heard
    ]


def is_fresh(source: str, found: Iterable[SourceState]) -> bool:
    """Tell whether the word of a source is good."""
    return any(state["source"] == source and not state["stale"] for state in found)


def _age(moment: str, now: datetime) -> timedelta:
    return now - datetime.fromisoformat(moment)


def with_readings(known: Known, readings: Sequence[Reading], now: datetime) -> Known:
    """Return what is known after the ERP was asked: what it answered stands for what it had said.

    It counts as heard of only when it answered for all.
    """
    read = {sku for reading in readings if reading.problem is None for sku in reading.skus}
    levels = [told for told in known.levels if told.source != ERP or told.level["sku"] not in read]
    levels += [Told(source=ERP, level=level) for reading in readings for level in reading.levels]
    heard = dict(known.heard)
    if readings and all(reading.problem is None for reading in readings):
        heard[ERP] = now.isoformat()
    return Known(levels=levels, heard=heard)


def unread(known: Known, readings: Sequence[Reading], *, live: bool) -> set[str]:
    """Return the products of which nothing can be said, since the ERP did not answer for them.

    What is known of them is good enough unless it was to be asked. Raises the Problem of a reading
    when nothing can be said of any product, or when asking again would not help.
    """
    failed = [reading for reading in readings if reading.problem is not None]
    named = {told.level["sku"] for told in known.levels if told.source == ERP}
    lost = {sku for reading in failed for sku in reading.skus if live or sku not in named}
    nothing = len(failed) == len(readings) and all(lost >= set(each.skus) for each in failed)
    for reading in failed:
        if reading.problem is not None and (nothing or not is_passing(reading.problem)):
            raise reading.problem
    return lost


def is_passing(problem: Problem) -> bool:
    """Tell whether a problem is the system's and may pass, rather than the request's."""
    return problem.status >= 500 or problem.status == TOO_MANY_REQUESTS.status


def report(
    skus: Sequence[str],
    known: Known,
    lost: Iterable[str],
    sources: Sequence[Source],
    now: datetime,
) -> AvailabilityReport:
    """Return the availability of the products asked for, in their order."""
    found = states(sources, known.heard, now)
    ranks = _ranks(sources, found)
    by_sku: dict[str, list[Told]] = {sku: [] for sku in skus}
    for told in known.levels:
        if told.source in ranks and told.level["sku"] in by_sku:
            by_sku[told.level["sku"]].append(told)
    unknown = set(lost)
    items = [_availability(sku, by_sku[sku], ranks, sku in unknown) for sku in skus]
    moments = [place["asOf"] for item in items for place in item.get("locations", ())]
    return {
        "complete": not unknown and not any(state["stale"] for state in found),
        "asOf": min(moments, key=datetime.fromisoformat, default=now.isoformat()),
        "sources": found,
        "items": items,
    }


def _ranks(sources: Sequence[Source], found: Iterable[SourceState]) -> dict[str, tuple[bool, int]]:
    """Return which source counts first: a stale one after all others."""
    stale = {state["source"] for state in found if state["stale"]}
    return {source.name: (source.name in stale, place) for place, source in enumerate(sources)}


def _availability(
    sku: str,
    told: Sequence[Told],
    ranks: Mapping[str, tuple[bool, int]],
    is_unknown: bool,  # private, and the last of several
) -> Availability:
    if is_unknown:
        return {"sku": sku, "status": "unknown"}
    if not told:
        return {"sku": sku, "status": "not_stocked"}
    counted = _counted(sorted(told, key=lambda one: ranks[one.source]))
    levels = [one.level for one in counted]
    available = _total(level["available"] for level in levels)
    return {
        "sku": sku,
        "status": "in_stock" if Decimal(available["value"]) > 0 else "out_of_stock",
        "available": available,
        "onHand": _total(level["onHand"] for level in levels),
        "reserved": _total(level["reserved"] for level in levels),
        "locations": [_location(one, one in counted) for one in told],
    }


def _counted(told: Sequence[Told]) -> list[Told]:
    """Return the levels that count: one a location, all in the unit of the ERP or of the first."""
    unit = next((one for one in told if one.source == ERP), told[0]).level["available"]["uom"]
    by_place: dict[str, Told] = {}
    for one in told:
        if one.level["available"]["uom"] == unit:
            by_place.setdefault(one.level["locationId"], one)
    return list(by_place.values())


def _location(told: Told, counted: bool) -> LocationAvailability:  # private
    return {
        "source": told.source,
        "locationId": told.level["locationId"],
        "available": told.level["available"],
        "asOf": told.level["asOf"],
        "counted": counted,
    }


def _total(quantities: Iterable[Quantity]) -> Quantity:
    """Return the sum of quantities of one product, which all have one unit."""
    listed = list(quantities)
    value = sum((Decimal(quantity["value"]) for quantity in listed), Decimal())
    return {"value": format(value.normalize(), "f"), "uom": listed[0]["uom"]}
