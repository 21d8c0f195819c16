"""The operation of inventory.v1."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from portico.problems import Problem
from portico.server.call import Call
from process_apis.inventory import domain, models
from process_apis.inventory.calls import tryton

# Small groups let one slow answer delay few products; the contract's 100 make five of them.
SKUS_PER_CALL = 20
# One request must not take more than this share of the connections to the system.
CALLS_AT_ONCE = 4


async def get_availability(call: Call[None], *, skus: list[str]) -> models.AvailabilityReport:
    """Return what can be promised of each product; those that could not be read are `unknown`."""
    turn = asyncio.Semaphore(CALLS_AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        started = [
            tasks.create_task(_read(call, group, turn))
            for group in domain.groups(skus, SKUS_PER_CALL)
        ]
    readings = [task.result() for task in started]
    return domain.report(skus, readings, datetime.now(UTC))


async def _read(call: Call[None], skus: Sequence[str], turn: asyncio.Semaphore) -> domain.Reading:
    async with turn:
        try:
            levels = await tryton.list_stock_levels(call, skus=list(skus))
        except Problem as problem:
            # Kept, not raised: the other groups finish, and the domain decides what it means.
            return domain.Reading(skus=skus, problem=problem)
    return domain.Reading(skus=skus, levels=levels["items"])
