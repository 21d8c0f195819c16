"""A process that runs sales and ends where it is told to.

A child starts the sales it is given, waits for all that are in the journal, and prints their
phases.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from portico.client.tiers import TierClient, targets
from portico.contract import Operation, load
from portico.problems import SYSTEM_UNAVAILABLE, UNPROCESSABLE, Problem
from portico.server.call import Call, Reply
from portico.workflow.database import WorkflowDatabase
from portico.workflow.engine import WorkflowOptions, open_workflows
from portico.workflow.steps import Steps
from portico.workflow.tables import create_tables
from portico.workflow.workflows import Workflows
from tests.portico.workflow.kills.flow import COUNTED, LEDGER, NAME, TABLES, workflow
from tests.portico.workflow.kills.forking import CrashPoints, patiently, serve, tell

SPECS = Path(__file__).parent.parent / "specs"
BILLING = "process/billing.v1"
CONTRACTS = {name: load(SPECS / f"{name}.yaml", SPECS) for name in (LEDGER, BILLING)}
LEASE_SECONDS = 0.3
_FINAL = {"succeeded", "dead"}


class OverHTTP:
    """The way to the ledger, with a crash point before and after each call."""

    def __init__(self, url: str, points: CrashPoints) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=10.0)
        self._points = points

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        path = "/invoices"
        if operation.operation_id == "setStage":
            path = f"/stages/{document['path']['name']}"
        self._points.reach()
        answer = await self._client.post(
            path, json=document["body"], headers={"Idempotency-Key": call.idempotency_key}
        )
        self._points.reach()
        if answer.status_code >= 500:
            raise Problem(SYSTEM_UNAVAILABLE, f"the ledger answered {answer.status_code}")
        if answer.status_code >= 400:
            raise Problem(UNPROCESSABLE, f"the ledger answered {answer.status_code}")
        return Reply(body=answer.json())


async def run(command: dict[str, Any], points: CrashPoints) -> dict[str, Any]:
    """Start the sales and see all of the journal to its end."""
    ledger = OverHTTP(command["ledger"], points)
    reachable = targets(CONTRACTS[BILLING], CONTRACTS, {LEDGER: ledger})
    steps = Steps(CONTRACTS[BILLING], CONTRACTS, TierClient(BILLING, reachable))
    options = WorkflowOptions(lease_seconds=LEASE_SECONDS, start_timeout_seconds=20.0)
    database = WorkflowDatabase.parse(command["database"])
    # A sale that is taken up again may run a moment before all is open.
    opened: asyncio.Future[Workflows] = asyncio.get_running_loop().create_future()
    sale_flow = workflow(steps, opened)
    await _make_tables(database)
    async with open_workflows(database, [sale_flow], options=options) as workflows:
        opened.set_result(workflows)
        for sale in command.get("replay", ()):
            await patiently(workflows.replay, sale)
        for sale in command.get("start", ()):
            await patiently(workflows.start, sale, NAME, {"id": sale})
        async with asyncio.timeout(command.get("seconds", 60.0)):
            while True:
                phases: dict[str, Any] = await patiently(_phases, workflows, command["sales"])
                if all(phase in _FINAL for phase in phases.values()):
                    return {
                        "phases": phases,
                        "counted": await patiently(_counted, workflows),
                        "causes": await patiently(_causes, workflows),
                    }
                await asyncio.sleep(0.05)


async def _make_tables(database: WorkflowDatabase) -> None:
    engine = database.open()
    try:
        await create_tables(engine, TABLES)
    finally:
        await engine.dispose()


async def _counted(workflows: Workflows) -> dict[str, int]:
    query = sa.select(COUNTED.c.sale, sa.func.count()).group_by(COUNTED.c.sale)
    async with workflows.transactions.engine.connect() as connection:
        return dict((await connection.execute(query)).all())


async def _causes(workflows: Workflows) -> dict[str, str]:
    return {state.workflow_id: state.error for state in await workflows.list_dead()}


async def _phases(workflows: Workflows, sales: list[str]) -> dict[str, str]:
    found = {}
    for sale in sales:
        state = await workflows.status(sale)
        found[sale] = "absent" if state is None else state.phase
    return found


def child(command: dict[str, Any], points: CrashPoints) -> None:
    logging.disable()
    ended = asyncio.run(patiently(run, command, points))
    tell(id=command["id"], points=points.count, **ended)


if __name__ == "__main__":
    serve(child)
