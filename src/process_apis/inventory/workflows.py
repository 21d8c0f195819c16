"""Asks the ERP what changed, from a while before the last time: what is read twice counts once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.durable import Durable, DurableParts
from portico.workflow.definition import Schedule, Workflow
from portico.workflow.steps import Outcome, Step, Steps
from process_apis.inventory import levels
from process_apis.inventory.app import ERP, Settings
from process_apis.inventory.calls.tryton import InventoryLevel

POLL = "inventory-poll.v1"
SWEEP = "inventory-sweep.v1"
_MARK = "inventory tryton stock"
# A change that is committed late has an earlier time than others that were read.
OVERLAP = timedelta(minutes=5)
# As many as one question for levels may name.
_PAGE = 50
# A product that is called otherwise in the ERP cannot be asked for, here or there.
_SKU = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z")


class FailedError(Exception):
    """The ERP did not answer; the next look is made from the same mark."""


class Poll:
    """The workflow that the clock starts."""

    def __init__(self, steps: Steps, durable: Durable) -> None:
        self._list_changes = steps.call("system/tryton.v1", "listStockChanges")
        self._list_products = steps.call("system/tryton.v1", "listProducts")
        self._list_levels = steps.call("system/tryton.v1", "listStockLevels")
        self._durable = durable

    async def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Make known what changed in the ERP, or everything where nothing is known yet."""
        parts = await self._durable.ready()
        began = levels.moment_text(payload["scheduledAt"])
        mark = "" if payload.get("everything") else await parts.watermarks.read(_MARK)
        seen = 0
        try:
            async for number, skus in self._pages(mark):
                arguments = {"skus": skus}
                found = _body(await self._list_levels(arguments, item=str(number)))["items"]
                seen += len(found)
                await self._tell(parts, found)
        except FailedError as failure:
            return {"seen": seen, "cause": str(failure)}
        await parts.projections.put(levels.SOURCES, [levels.source_word(ERP, began)])
        await parts.watermarks.move(_MARK, began)
        return {"seen": seen}

    async def _pages(self, mark: str) -> AsyncIterator[tuple[int, Sequence[str]]]:
        """Yield pages of the products to look at, each product once."""
        arguments: dict[str, object] = {"limit": _PAGE}
        step: Step = self._list_products
        if mark:
            step = self._list_changes
            arguments["since"] = levels.moment_text(
                (datetime.fromisoformat(mark) - OVERLAP).isoformat()
            )
        done: set[str] = set()
        number = 0
        while True:
            page = _body(await step(arguments, item=str(number)))
            named = dict.fromkeys(item["sku"] for item in page["items"])
            skus = [sku for sku in named if sku not in done and _SKU.match(sku)]
            done.update(skus)
            if skus:
                yield number, skus
            if not page.get("nextCursor"):
                return
            arguments["cursor"] = page["nextCursor"]
            number += 1

    async def _tell(self, parts: DurableParts, found: Sequence[InventoryLevel]) -> None:
        """Keep levels, and publish those that are news, each as one step."""
        events = [levels.erp_event(level) for level in found]
        skus = list(dict.fromkeys(level["sku"] for level in found))

        async def publish(connection: AsyncConnection) -> int:
            known = await parts.projections.of(levels.LEVELS, skus)
            news = [
                event
                for level, event in zip(found, events, strict=True)
                if levels.is_news(level, known)
            ]
            for event in news:
                parts.outbox.check(event)
                await parts.outbox.add(connection, event)
            return len(news)

        await parts.workflows.transactions.run("publish levels", publish)
        await parts.projections.put(levels.LEVELS, [levels.level_word(event) for event in events])


def _body(outcome: Outcome) -> Any:
    if outcome.failure is not None:
        raise FailedError(f"{outcome.failure.system}: {outcome.failure}")
    return outcome.body


def workflows(steps: Steps, durable: Durable) -> Sequence[Workflow]:
    """Return the workflow of this API."""
    return [Workflow(name=POLL, run=Poll(steps, durable).run)]


def schedules(settings: Settings) -> Sequence[Schedule]:
    """Return when the ERP is asked what changed, and when for everything: deleted moves too."""
    found = []
    if settings.poll:
        found.append(Schedule(name=POLL, workflow=POLL, cron=settings.poll))
    if settings.sweep:
        everything = {"everything": True}
        found.append(Schedule(name=SWEEP, workflow=POLL, cron=settings.sweep, payload=everything))
    return found
