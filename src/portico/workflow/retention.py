"""Workflows that came to an end, and notes, are deleted after a while; dead letters stay."""

from __future__ import annotations

import datetime as dt
from typing import Any

from dbos import DBOS

from portico.workflow.definition import Schedule, Workflow
from portico.workflow.notes import Notes
from portico.workflow.transactions import Transactions

NAME = "portico.retention"
# At night, and not at the full hour, when everybody else's jobs run.
SCHEDULE = Schedule(name=NAME, workflow=NAME, cron="0 17 3 * * *")
# One transaction deletes this many, which takes some tens of milliseconds.
_BATCH = 500
_ENDED = ["SUCCESS", "CANCELLED"]


def workflow(retention_seconds: float, notes: Notes, transactions: Transactions) -> Workflow:
    """Return the workflow that deletes what ended longer ago than that, and old notes."""

    async def run(payload: Any) -> int:
        del payload
        await notes.forget()
        deleted = 0
        while True:
            count = await DBOS.run_step_async(
                {"name": "delete"}, delete_ended, retention_seconds, transactions
            )
            deleted += count
            if count < _BATCH:
                return deleted

    return Workflow(name=NAME, run=run)


async def delete_ended(retention_seconds: float, transactions: Transactions) -> int:
    """Delete one batch and return its size."""
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=retention_seconds)
    ended = await DBOS.list_workflows_async(
        status=list(_ENDED),
        completed_before=before.isoformat(),
        limit=_BATCH,
        load_input=False,
        load_output=False,
    )
    if ended:
        ids = [status.workflow_id for status in ended]
        await DBOS.delete_workflows_async(ids)
        await transactions.forget(ids)
    return len(ended)
