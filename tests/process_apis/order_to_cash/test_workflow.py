"""The workflow alone, above the bytes: what no sandbox does at a moment of one's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from portico.client.tiers import TierClient, targets
from portico.problems import CONFLICT, Problem
from portico.server.call import Call, Reply
from portico.workflow.database import WorkflowDatabase
from portico.workflow.definition import Workflow
from portico.workflow.engine import open_workflows
from portico.workflow.steps import Steps
from process_apis.order_to_cash.missed import NAME
from process_apis.order_to_cash.workflows import OrderToCash
from tests.portico.workflow.waiting import reached
from tests.support.tiers import contracts

if TYPE_CHECKING:
    from pathlib import Path

    from portico.contract import Operation

pytestmark = pytest.mark.anyio
API = "process/order-to-cash.v1"
PRICE = {"amount": "27.40", "currency": "EUR"}
ANSWERS: dict[str, Any] = {
    "getSubscription": {
        "id": "sub_1",
        "customerId": "cus_1",
        "items": [{"sku": "BEANS", "quantity": 1, "unitPrice": PRICE}],
    },
    "getCustomer": {"id": "cus_1", "name": "Harbour Street Coffee"},
    "listCustomers": {"items": []},
    "putCustomer": {"id": "1"},
    "putInvoice": {"id": "7", "number": "O2C-1"},
}


class Systems:
    """Answers as the systems would; entering the customer conflicts as often as it is told."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts = conflicts
        self.keys: list[str] = []

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        del document
        if operation.operation_id == "putCustomer":
            self.keys.append(call.idempotency_key)
            if self.conflicts:
                self.conflicts -= 1
                detail = "you and another user were working on this customer"
                raise Problem(CONFLICT, detail, extensions={"system": "quickbooks"})
        return Reply(body=ANSWERS[operation.operation_id])


async def run(folder: Path, systems: Systems) -> Any:
    known = contracts()
    transports = dict.fromkeys(known[API].calls, systems)
    steps = Steps(known[API], known, TierClient(API, targets(known[API], known, transports)))
    workflow = Workflow(name=NAME, run=OrderToCash(steps, retry_seconds=0.01).run)
    async with open_workflows(WorkflowDatabase.in_folder(folder), [workflow]) as workflows:
        await workflows.start("run-1", NAME, {"subscriptionId": "sub_1"})
        return (await reached(workflows, "run-1", "succeeded")).result


async def test_a_customer_that_another_run_changes_meanwhile_is_tried_again(
    tmp_path: Path,
) -> None:
    systems = Systems(conflicts=2)

    result = await run(tmp_path, systems)

    assert result == {"phase": "done", "invoice": {"id": "7", "number": "O2C-1"}}
    assert len(systems.keys) == 3
    assert len(set(systems.keys)) == 1


async def test_a_conflict_that_stays_is_a_refusal(tmp_path: Path) -> None:
    systems = Systems(conflicts=99)

    result = await run(tmp_path, systems)

    assert result["phase"] == "refused"
    assert result["cause"].startswith("quickbooks: ")
    assert len(systems.keys) == 4
