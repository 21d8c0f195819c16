"""orders.v1 alone, with its workflow; the ERP and the bank answer as their contracts' examples."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from portico.durable import Durable
from portico.events.contracts import EventContracts
from portico.workflow.database import WorkflowDatabase
from process_apis.orders.app import Placing, Settings
from process_apis.orders.workflows import workflows
from tests.support.durable import opened
from tests.support.tiers import API

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

ANSWER_SECONDS = 5.0
RETRY_SECONDS = 0.02


@pytest.fixture
async def ordering(
    tmp_path: Path, anyio_backend: str
) -> AsyncIterator[Callable[..., Awaitable[API]]]:
    """Return a function that opens the API once, with the answers that are not the examples."""
    del anyio_backend
    async with contextlib.AsyncExitStack() as stack:

        async def open_orders(
            *,
            answer_seconds: float = ANSWER_SECONDS,
            first_retry_seconds: float = RETRY_SECONDS,
            **answers: Any,
        ) -> API:
            durable = Durable()
            placing = Placing(durable=durable, answer_seconds=answer_seconds)
            api = API("process/orders.v1", resources=placing, **answers)
            database = WorkflowDatabase.in_folder(tmp_path)
            settings = Settings(first_retry_seconds=first_retry_seconds, retry_seconds=3600.0)
            defined = workflows(api.steps, settings)
            await stack.enter_async_context(opened(durable, database, defined, EventContracts({})))
            return api

        yield open_orders
