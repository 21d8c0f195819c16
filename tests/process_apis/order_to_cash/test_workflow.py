"""The workflow alone, above the bytes: what no sandbox does at a moment of one's choice."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from portico.client.tiers import TierClient, targets
from portico.durable import Durable, DurableParts
from portico.idempotency.problems import IN_FLIGHT
from portico.problems import CONFLICT, RECORD_CHANGED, Problem
from portico.server.call import Call, Reply
from portico.workflow.database import WorkflowDatabase
from portico.workflow.definition import Workflow
from portico.workflow.engine import open_workflows
from portico.workflow.notes import Notes
from portico.workflow.steps import Steps
from process_apis.order_to_cash.app import Settings
from process_apis.order_to_cash.missed import NAME
from process_apis.order_to_cash.workflows import OrderToCash
from tests.portico.workflow.waiting import reached
from tests.support.tiers import contracts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from portico.contract import Operation
    from portico.workflow.workflows import Workflows

pytestmark = pytest.mark.anyio
API = "process/order-to-cash.v1"
PRICE = {"amount": "27.40", "currency": "EUR"}
OPPORTUNITY = "006QyK000000001IBA"
NOTHING = {"amount": "0.00", "currency": "EUR"}
ITEMS = [{"sku": "BEANS", "quantity": 1, "unitPrice": PRICE}]
BOOKED = {"id": "7", "number": "O2C-1", "status": "issued", "customerId": "1"}
PART = {"id": "inpay_1", "status": "captured", "amount": PRICE, "provider": {"reference": "pi_1"}}
REFUND = {
    "id": "re_1",
    "status": "refunded",
    "amount": {"amount": "-27.40", "currency": "EUR"},
    "invoiceIds": ["in_0", "in_1", "in_2"],
    "extensions": {"stripe": {"paymentId": "pi_1"}},
}
ANSWERS: dict[str, Any] = {
    "getSubscription": {
        "id": "sub_1",
        "status": "active",
        "latestInvoiceId": "in_1",
        "customerId": "cus_1",
    },
    "getCustomer": {"id": "cus_1", "name": "Harbour Street Coffee"},
    "listCustomers": {"items": [{"id": "001QyK000000001IBA"}]},
    "listOpportunities": {
        "items": [{"id": OPPORTUNITY, "stage": "Qualification", "status": "open"}]
    },
    "moveOpportunity": {"id": OPPORTUNITY},
    "getInvoice": {"id": "in_1", "status": "issued", "lines": [], "totals": {"paid": NOTHING}},
    "listInvoices": {"items": []},
    "putCustomer": {"id": "1"},
    "putInvoice": BOOKED,
    "voidInvoice": {**BOOKED, "status": "void"},
    "listInvoicePayments": {"items": [PART]},
    "putPayment": {"id": "8", "amount": PRICE},
    "getRefund": REFUND,
    "putRefund": {"id": "9", "amount": PRICE},
}


TAKEN = Problem(CONFLICT, "another has this name", extensions={"system": "quickbooks"})
CHANGED = Problem(
    RECORD_CHANGED,
    "you and another user were working on this customer",
    headers=[("Retry-After", "1")],
    extensions={"system": "quickbooks"},
)


class Systems:
    """Answers as the systems would; entering the customer conflicts as often as it is told.

    Each is the same `conflict`. `until_ended` is how often the subscription is read before it has
    ended.
    """

    def __init__(
        self,
        conflicts: int = 0,
        until_ended: int = 99,
        items: Sequence[Any] = ITEMS,
        conflict: Problem = TAKEN,
    ) -> None:
        self.conflicts = conflicts
        self.conflict = conflict
        self.items = items
        self.booked: list[Any] = []
        self.voids: list[Problem] = []
        self.void_keys: list[str] = []
        self.refunds: list[Any] = []
        self.invoices: dict[str, Any] = {"in_1": ANSWERS["getInvoice"]}
        self.until_ended = until_ended
        self.keys: list[str] = []
        self.asked: list[str] = []

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        self.asked.append(operation.operation_id)
        if operation.operation_id == "getInvoice":
            return Reply(body=self.invoices[document["path"]["invoiceId"]])
        if operation.operation_id == "listInvoices":
            return Reply(body={"items": self.booked})
        if operation.operation_id == "voidInvoice":
            self.void_keys.append(call.idempotency_key)
            if self.voids:
                raise self.voids.pop(0)
        if operation.operation_id == "putRefund":
            self.refunds.append(document["body"])
        if operation.operation_id == "getSubscription":
            self.until_ended -= 1
            status = "active" if self.until_ended >= 0 else "ended"
            found = {**ANSWERS["getSubscription"], "status": status, "items": self.items}
            return Reply(body=found)
        if operation.operation_id == "putCustomer":
            self.keys.append(call.idempotency_key)
            if self.conflicts:
                self.conflicts -= 1
                raise self.conflict
        return Reply(body=ANSWERS[operation.operation_id])


def parts(database: WorkflowDatabase, workflows: Workflows) -> DurableParts:
    """Return what is open; order-to-cash writes notes, and looks for nothing else."""
    unused: Any = None
    return DurableParts(
        workflows=workflows,
        outbox=unused,
        dead_letters=unused,
        subscribers=unused,
        watermarks=unused,
        projections=unused,
        notes=Notes(database, workflows.transactions.engine),
    )


async def run(folder: Path, systems: Systems, **payload: str) -> Any:
    async with running(folder, systems) as workflows:
        await workflows.start("run-1", NAME, payload or {"subscriptionId": "sub_1"})
        return (await reached(workflows, "run-1", "succeeded")).result


@contextlib.asynccontextmanager
async def running(folder: Path, systems: Systems) -> AsyncIterator[Workflows]:
    known = contracts()
    transports = dict.fromkeys(known[API].calls, systems)
    steps = Steps(known[API], known, TierClient(API, targets(known[API], known, transports)))
    durable = Durable()
    patient = Settings(retry_seconds=0.01)
    workflow = Workflow(name=NAME, run=OrderToCash(steps, patient, durable).run)
    database = WorkflowDatabase.in_folder(folder)
    async with open_workflows(database, [workflow]) as workflows:
        durable.opened(parts(database, workflows))
        yield workflows


async def test_a_customer_that_another_run_changes_meanwhile_is_tried_again(
    tmp_path: Path,
) -> None:
    systems = Systems(conflicts=2, conflict=CHANGED)

    result = await run(tmp_path, systems)

    invoice = {"id": "7", "number": "O2C-1", "status": "issued"}
    assert result == {"phase": "done", "invoice": invoice, "opportunityId": OPPORTUNITY}
    # Nothing was done under a key that was refused; a callee would repeat the refusal.
    assert len(set(systems.keys)) == len(systems.keys) == 3


async def test_changes_of_others_that_do_not_end_are_a_dead_letter_and_no_refusal(
    tmp_path: Path,
) -> None:
    systems = Systems(conflicts=11, conflict=CHANGED)

    async with running(tmp_path, systems) as workflows:
        await workflows.start("run-1", NAME, {"subscriptionId": "sub_1"})
        dead = await reached(workflows, "run-1", "dead")
        tries = len(systems.keys)
        put_back = systems.asked.count("moveOpportunity") > 1
        await workflows.replay("run-1")
        done = await reached(workflows, "run-1", "succeeded")

    assert "quickbooks: you and another user" in dead.error
    assert tries == len(set(systems.keys[:tries])) == 11
    assert not put_back, "the sale stands, so its stage does"
    assert done.result["phase"] == "done"
    assert systems.asked.count("putInvoice") == 1


async def test_a_name_that_is_taken_is_a_refusal(tmp_path: Path) -> None:
    systems = Systems(conflicts=99)

    result = await run(tmp_path, systems)

    assert result["phase"] == "refused"
    assert result["cause"] == "quickbooks: another has this name"
    assert len(systems.keys) == len(set(systems.keys)) == 11


async def test_an_end_before_the_next_try_wins(tmp_path: Path) -> None:
    systems = Systems(conflicts=99, until_ended=1)

    result = await run(tmp_path, systems)

    assert result == {"phase": "cancelled", "opportunityId": OPPORTUNITY}
    assert "putInvoice" not in systems.asked
    assert len(systems.keys) == 1, "it was not tried again"
    assert systems.asked[-1] == "moveOpportunity"


async def test_an_end_after_the_last_look_before_the_invoice_undoes_it(tmp_path: Path) -> None:
    systems = Systems(conflicts=1, until_ended=2)

    result = await run(tmp_path, systems)

    assert result["phase"] == "cancelled"
    made = systems.asked.index("putInvoice")
    assert "listInvoices" in systems.asked[made:], "what was made meanwhile is looked for"


@pytest.mark.parametrize(
    ("problem", "keys"),
    [(CHANGED, 2), (Problem(CONFLICT, "invoice 7 was paid"), 2), (Problem(IN_FLIGHT), 1)],
    ids=["changed meanwhile", "paid", "an attempt still runs"],
)
async def test_an_invoice_that_cannot_be_voided_now_is_looked_at_again(
    tmp_path: Path, problem: Problem, keys: int
) -> None:
    """Only an attempt that still runs is waited for under its own key."""
    systems = Systems(until_ended=0)
    systems.booked, systems.voids = [BOOKED], [problem]

    result = await run(tmp_path, systems)

    assert (result["phase"], result["invoice"]["status"]) == ("cancelled", "void")
    assert (len(systems.void_keys), len(set(systems.void_keys))) == (2, keys)
    assert systems.asked.count("getInvoice") == keys, "Stripe says whether it was paid"


async def test_a_subscription_whose_cost_nobody_knows_is_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    systems = Systems(items=[{"sku": "BEANS", "quantity": 3}])

    result = await run(tmp_path, systems)

    assert result["phase"] == "refused"
    assert result["cause"] == (
        "stripe: subscription sub_1 has a product without a fixed price, "
        "and invoice in_1 in Stripe bills nothing for it"
    )
    assert "putInvoice" not in systems.asked
    assert systems.asked.count("moveOpportunity") == 2, "the stage is put back"


async def test_a_refund_of_several_invoices_is_one_under_the_first_of_a_subscription(
    tmp_path: Path,
) -> None:
    systems = Systems()
    named = {"extensions": {"stripe": {"subscriptionId": "sub_1"}}}
    paid = {"status": "paid", "lines": [], "totals": {"paid": PRICE}}
    systems.invoices = {
        "in_0": {"id": "in_0", **paid},
        "in_1": {"id": "in_1", **paid, **named},
        "in_2": {"id": "in_2", **paid, **named},
    }

    result = await run(tmp_path, systems, refundId="re_1")

    assert (result["phase"], result["subscriptionId"]) == ("done", "sub_1")
    (refund,) = systems.refunds
    assert refund["amount"] == PRICE
    assert (refund["paymentId"], refund["sku"]) == ("8", "BEANS")
