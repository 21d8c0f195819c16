"""The operations of inventory.v1."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from portico.problems import NOT_FOUND, Problem
from portico.server.call import Call, Reply
from process_apis.inventory import domain, levels, models
from process_apis.inventory.app import ERP, Stock
from process_apis.inventory.calls import tryton

# Small groups let one slow answer delay few products; a hundred make five of them.
SKUS_PER_CALL = 20
# One request must not take more than this share of the connections to the system.
CALLS_AT_ONCE = 4


async def get_availability(
    call: Call[Stock], *, skus: list[str], live: bool = False
) -> models.AvailabilityReport:
    """Return what can be promised of each product; those nothing is known of are `unknown`."""
    return await _report(call, skus, live=live)


async def query_availability(
    call: Call[Stock], *, body: models.AvailabilityQuery
) -> models.AvailabilityReport:
    """Return the same of many products."""
    return await _report(call, body["skus"], live=body["live"])


async def put_level(
    call: Call[Stock], *, source: str, location_id: str, sku: str, body: models.NewLevel
) -> Reply:
    """Take in what a system counts; it counts here when the bus has brought it."""
    pushing = {one.name for one in call.resources.sources} - {ERP}
    if source not in pushing:
        raise Problem(NOT_FOUND, f"there is no source {source} that tells its levels")
    level = levels.counted_level(body, location_id, sku, datetime.now(UTC))
    event = levels.changed(source, level, body["eventId"])
    await call.resources.durable.parts.outbox.publish(event)
    return Reply(status=202, body=level)


async def _report(
    call: Call[Stock], skus: Sequence[str], *, live: bool
) -> models.AvailabilityReport:
    now, sources = datetime.now(UTC), call.resources.sources
    known = await _known(call.resources, skus)
    readings: list[domain.Reading] = []
    if live or not domain.is_fresh(ERP, domain.states(sources, known.heard, now)):
        readings = await _read_all(call, skus)
    lost = domain.unread(known, readings, live=live)
    return domain.report(skus, domain.with_readings(known, readings, now), lost, sources, now)


async def _known(stock: Stock, skus: Sequence[str]) -> domain.Known:
    """Return what events have made known."""
    projections = stock.durable.parts.projections
    words = await projections.of(levels.LEVELS, skus)
    heard = await projections.of(levels.SOURCES, [levels.ALL])
    told = [domain.Told(source=word.value["source"], level=word.value) for word in words]
    return domain.known_from(told, {word.key: word.position for word in heard})


async def _read_all(call: Call[Stock], skus: Sequence[str]) -> list[domain.Reading]:
    turn = asyncio.Semaphore(CALLS_AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        started = [
            tasks.create_task(_read(call, group, turn))
            for group in domain.groups(skus, SKUS_PER_CALL)
        ]
    return [task.result() for task in started]


async def _read(call: Call[Stock], skus: Sequence[str], turn: asyncio.Semaphore) -> domain.Reading:
    async with turn:
        try:
            found = await tryton.list_stock_levels(call, skus=list(skus))
        except Problem as problem:
            # Kept, not raised: the other groups finish, and the domain decides what it means.
            return domain.Reading(skus=skus, problem=problem)
    return domain.Reading(skus=skus, levels=found["items"])
