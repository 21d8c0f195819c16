"""The workflow that is killed: bill a sale and set its stage, with retries and compensation."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from dbos import DBOS

from portico.workflow.definition import Workflow
from portico.workflow.errors import DeadLetterError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from portico.workflow.steps import Outcome, Steps
    from portico.workflow.workflows import Workflows

LEDGER = "system/ledger.v1"
NAME = "sale.v1"
RETRIES = 3
RETRY_SECONDS = 0.05
TABLES = sa.MetaData()
COUNTED = sa.Table(
    "counted",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("sale", sa.String(100), nullable=False),
)


class Sale:
    """Counted; first tries of both at once; then the invoice alone, as often as it may."""

    def __init__(self, steps: Steps, workflows: asyncio.Future[Workflows]) -> None:
        self._workflows = workflows
        self._create_invoice = steps.call(LEDGER, "createInvoice")
        self._set_stage = steps.call(LEDGER, "setStage")

    async def run(self, sale: Any) -> Any:
        workflows = await asyncio.shield(self._workflows)
        await workflows.transactions.run("count", partial(_count, sale["id"]))
        # Each branch is one step: their numbers are drawn in this order, also when it is replayed.
        _, invoice = await asyncio.gather(self._stage(sale, "won"), self._invoice(sale))
        for _ in range(RETRIES):
            if not invoice.may_pass:
                break
            await DBOS.sleep_async(RETRY_SECONDS)
            invoice = await self._invoice(sale)
        if invoice.may_pass:
            raise DeadLetterError(str(invoice.failure), system="ledger")
        if invoice.failure is not None:
            await self._stage(sale, "lost")
            return {"compensated": str(invoice.failure)}
        return invoice.body

    async def _invoice(self, sale: Any) -> Outcome:
        return await self._create_invoice(body=sale)

    async def _stage(self, sale: Any, stage: str) -> Outcome:
        outcome = await self._set_stage({"name": sale["id"]}, body={"stage": stage}, item=stage)
        while outcome.may_pass:
            await DBOS.sleep_async(RETRY_SECONDS)
            outcome = await self._set_stage({"name": sale["id"]}, body={"stage": stage}, item=stage)
        return outcome


async def _count(sale: str, connection: AsyncConnection) -> None:
    """Do what would show if it were done twice."""
    await connection.execute(COUNTED.insert().values(sale=sale))


def workflow(steps: Steps, workflows: asyncio.Future[Workflows]) -> Workflow:
    return Workflow(name=NAME, run=Sale(steps, workflows).run)
