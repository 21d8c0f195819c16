"""What outlasts a request, opened for an API that a test runs alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from dbos import DBOS

from portico.dead_letters.audit import Audit
from portico.dead_letters.desk import Desk
from portico.durable import DurableParts
from portico.events.memory import MemoryLog
from portico.events.outbox import Outbox
from portico.webhooks.subscribers import Subscribers
from portico.workflow.engine import WorkflowOptions, open_workflows
from portico.workflow.notes import Notes
from portico.workflow.projections import Projections
from portico.workflow.watermarks import Watermarks
from portico.workflow.workflows import LANES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from portico.durable import Durable
    from portico.events.contracts import EventContracts
    from portico.workflow.database import WorkflowDatabase
    from portico.workflow.definition import Workflow


@contextlib.asynccontextmanager
async def opened(
    durable: Durable,
    database: WorkflowDatabase,
    definitions: Sequence[Workflow],
    contracts: EventContracts,
    options: WorkflowOptions | None = None,
) -> AsyncIterator[DurableParts]:
    """Open workflows and what comes with them until the end of the block."""
    own = database.open()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(own.dispose)
        workflows = await stack.enter_async_context(
            open_workflows(database, definitions, options=options)
        )
        parts = DurableParts(
            workflows=workflows,
            outbox=Outbox(database, workflows.transactions, contracts),
            dead_letters=Desk(workflows, MemoryLog(), Audit(own)),
            subscribers=Subscribers(database, own, []),
            watermarks=Watermarks(database, workflows.transactions.engine),
            notes=Notes(database, workflows.transactions.engine),
            projections=Projections(database, workflows.transactions.engine),
        )
        durable.opened(parts)
        stack.callback(durable.closed)
        yield parts


def quicken_lanes() -> None:
    """Have the open workflows look for runs of lanes all the time, not just twice a second.

    DBOS comes to the new pace within some seconds.
    """
    lanes = DBOS.retrieve_queue(LANES)
    assert lanes is not None
    lanes.set_polling_interval_sec(0.05)
