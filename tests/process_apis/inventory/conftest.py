"""inventory.v1 alone, with its workflow and the bus; the ERP answers as its contract's examples."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portico.durable import Durable, DurableParts
from portico.events.bus import EventBus
from portico.events.contracts import load_events
from portico.events.memory import MemoryLog
from portico.workflow.database import WorkflowDatabase
from process_apis.inventory.app import Settings, Stock
from process_apis.inventory.events import subscriptions
from process_apis.inventory.workflows import POLL, workflows
from tests.portico.workflow.waiting import reached
from tests.support.durable import opened
from tests.support.tiers import API, ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

EVENTS = load_events(ROOT.parent / "events")


@dataclass
class Warehouse:
    """The API, and what outlasts its requests."""

    api: API
    parts: DurableParts
    polls: int = 0

    async def poll(self, at: str, **more: Any) -> Any:
        """Run the poll as the clock would; return what it came to."""
        self.polls += 1
        payload = {"scheduledAt": at, **more}
        await self.parts.workflows.start(f"poll-{self.polls}", POLL, payload)
        return (await reached(self.parts.workflows, f"poll-{self.polls}", "succeeded")).result


@pytest.fixture
async def warehouses(
    tmp_path: Path, anyio_backend: str
) -> AsyncIterator[Callable[..., Awaitable[Warehouse]]]:
    """Return a function that opens the API once, with the answers that are not the examples."""
    del anyio_backend
    async with contextlib.AsyncExitStack() as stack:

        async def open_warehouse(**answers: Any) -> Warehouse:
            durable = Durable()
            stock = Stock(durable=durable, sources=Settings().sources)
            api = API("process/inventory.v1", resources=stock, **answers)
            database = WorkflowDatabase.in_folder(tmp_path)
            defined = workflows(api.steps, durable)
            parts = await stack.enter_async_context(opened(durable, database, defined, EVENTS))
            bus = EventBus(MemoryLog())
            for subscription in subscriptions(durable):
                await stack.enter_async_context(bus.subscribed(subscription))
            await stack.enter_async_context(parts.outbox.sending(bus))
            return Warehouse(api, parts)

        yield open_warehouse


@pytest.fixture
def stocking(
    warehouses: Callable[..., Awaitable[Warehouse]],
) -> Callable[..., Awaitable[API]]:
    async def open_stock(**answers: Any) -> API:
        return (await warehouses(**answers)).api

    return open_stock
