"""A process that places one order and ends where it is told to; forked for each run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

from portico.client.local import LocalTransport
from portico.client.tiers import TierClient, targets
from portico.contract import Contract, Operation, load
from portico.deadline import Deadline
from portico.server.bind import bind
from portico.server.call import Call, Reply
from portico.server.service import Service
from portico.server.validation import Validation
from portico.trace import Trace
from portico.workflow.database import WorkflowDatabase
from portico.workflow.engine import WorkflowOptions, open_workflows
from portico.workflow.steps import Steps
from portico.workflow.workflows import Workflows
from process_apis.orders.app import Settings
from process_apis.orders.workflows import ERP, NAME, STRIPE, workflows
from system_apis.stripe import app as stripe_app
from system_apis.stripe import handlers as stripe_handlers
from system_apis.tryton import app as tryton_app
from system_apis.tryton import handlers as tryton_handlers
from tests.portico.workflow.kills.forking import CrashPoints, patiently, serve, tell_and_end

SPECS = Path(__file__).parents[4] / "specs" / "openapi"
API = "process/orders.v1"
_CALLEES = (ERP, STRIPE, "process/catalog.v1", "process/inventory.v1")
CONTRACTS = {name: load(SPECS / f"{name}.yaml", SPECS) for name in (API, *_CALLEES)}
LEASE_SECONDS = 0.3
RETRY_SECONDS = 0.05
_FINAL = {"succeeded", "dead"}


class Systems:
    """The way to the systems, with a crash point before and after each call.

    Where a run is `gone`, somebody cancels the sale in Tryton before it is confirmed.
    """

    def __init__(self, connectors: dict[str, Any], points: CrashPoints, *, gone: bool) -> None:
        self._erp = connectors[ERP]
        self._points = points
        self._gone = gone
        self._by_name = {
            name: (CONTRACTS[name], _transport(CONTRACTS[name], connector))
            for name, connector in connectors.items()
        }

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        name = operation.operation_id
        if self._gone and name == "confirmSale":
            await self._cancel(int(document["path"]["saleId"]))
        transport = next(
            found for contract, found in self._by_name.values() if name in contract.operations
        )
        self._points.reach()
        try:
            return await transport.send(operation, call, document)
        finally:
            self._points.reach()

    async def _cancel(self, number: int) -> None:
        erp = await self._erp.enter(Deadline.after(30), Trace.start())
        if (await erp.read("sale.sale", number, ["state"])).text("state") == "draft":
            await erp.press("sale.sale", number, "cancel", ["state"])


def _transport(contract: Contract, connector: Any) -> LocalTransport:
    handlers = {ERP: tryton_handlers, STRIPE: stripe_handlers}[contract.name]
    service = Service(contract, bind(contract, handlers), connector, Validation())
    return LocalTransport(service, TierClient(contract.name, {}))


async def placed(command: dict[str, Any], points: CrashPoints) -> dict[str, Any]:
    """Return what the placing came to."""
    return {"phase": await patiently(run, command, points)}


async def run(command: dict[str, Any], points: CrashPoints) -> str:
    """Start the placing and see it to its end; return what it came to."""
    async with contextlib.AsyncExitStack() as stack:
        erp = tryton_app.resources(tryton_app.Settings.model_validate(command[ERP]))
        bank = stripe_app.resources(stripe_app.Settings.model_validate(command[STRIPE]))
        connectors: dict[str, Any] = {
            ERP: await stack.enter_async_context(erp),
            STRIPE: await stack.enter_async_context(bank),
        }
        systems = Systems(connectors, points, gone=command["gone"])
        reachable = targets(CONTRACTS[API], CONTRACTS, dict.fromkeys(_CALLEES, systems))
        steps = Steps(CONTRACTS[API], CONTRACTS, TierClient(API, reachable))
        opened = open_workflows(
            WorkflowDatabase.parse(command["database"]),
            workflows(steps, Settings(retry_seconds=RETRY_SECONDS)),
            options=WorkflowOptions(lease_seconds=LEASE_SECONDS, start_timeout_seconds=20.0),
        )
        found = await stack.enter_async_context(opened)
        await patiently(found.start, command["name"], NAME, command["payload"])
        async with asyncio.timeout(60.0):
            return await _end(found, command["name"])


async def _end(found: Workflows, name: str) -> str:
    while True:
        state = await patiently(found.wait, name, seconds=5.0)
        if state.phase in _FINAL:
            return str(state.result["phase"] if state.result else f"dead: {state.error}")


def child(command: dict[str, Any], points: CrashPoints) -> None:
    logging.disable()
    asyncio.run(tell_and_end(command["id"], placed(command, points)))


if __name__ == "__main__":
    serve(child)
