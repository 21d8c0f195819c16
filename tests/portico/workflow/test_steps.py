"""Steps: what may be one, which key it carries, what its failures mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dbos import DBOS

from portico.client.tiers import TierClient, targets
from portico.contract import Contract, load
from portico.problems import (
    BAD_UPSTREAM,
    CALL_NOT_DECLARED,
    CONFLICT,
    PROBLEM_TYPES,
    SYSTEM_UNAVAILABLE,
    UNPROCESSABLE,
    Problem,
)
from portico.server.call import Call, Reply
from portico.trace import Trace, enter
from portico.workflow.definition import Workflow
from portico.workflow.engine import open_workflows
from portico.workflow.errors import DeadLetterError, UnsafeStepError
from portico.workflow.steps import Step, Steps
from portico.workflow.traces import trace_of
from tests.portico.workflow.waiting import reached

if TYPE_CHECKING:
    from portico.contract import Operation
    from portico.workflow.database import WorkflowDatabase

pytestmark = pytest.mark.anyio
SPECS = Path(__file__).parent / "specs"
LEDGER, BILLING = "system/ledger.v1", "process/billing.v1"


class Ledger:
    """The system behind: it fails as often as it is told, and notes the keys."""

    def __init__(self, *failures: Problem) -> None:
        self.failures = list(failures)
        self.keys: list[str] = []
        self.traces: list[str] = []
        self.requests: list[str] = []

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        assert document["header"].get("Idempotency-Key", "") == call.idempotency_key
        self.keys.append(call.idempotency_key)
        self.traces.append(call.trace.trace_id)
        self.requests.append(call.request_id)
        if self.failures:
            raise self.failures.pop(0)
        return Reply(body={"did": operation.operation_id})


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return {name: load(SPECS / f"{name}.yaml", SPECS) for name in (LEDGER, BILLING)}


def steps(contracts: dict[str, Contract], ledger: Ledger) -> Steps:
    reachable = targets(contracts[BILLING], contracts, {LEDGER: ledger})
    return Steps(contracts[BILLING], contracts, TierClient(BILLING, reachable))


def invoicing(step: Step) -> Workflow:
    """Return a workflow that tries three times and does not wait between."""

    async def run(payload: Any) -> Any:
        for _ in range(3):
            outcome = await step(body=payload)
            if not outcome.may_pass:
                break
        if outcome.succeeded:
            return outcome.body
        return {"failure": str(outcome.failure), "may_pass": outcome.may_pass}

    return Workflow(name="invoicing.v1", run=run)


async def test_tries_and_replays_carry_one_key(
    sqlite: WorkflowDatabase, contracts: dict[str, Contract]
) -> None:
    away = Problem(SYSTEM_UNAVAILABLE)
    ledger = Ledger(away, away)
    step = steps(contracts, ledger).call(LEDGER, "createInvoice")

    async with open_workflows(sqlite, [invoicing(step)]) as workflows:
        await workflows.start("one", "invoicing.v1", {"total": "1.00"})
        state = await reached(workflows, "one", "succeeded")
        await workflows.start("two", "invoicing.v1", {"total": "1.00"})
        await reached(workflows, "two", "succeeded")

    assert state.result == {"did": "createInvoice"}
    assert len(ledger.keys) == 4
    assert len(set(ledger.keys[:3])) == 1, "each try of one workflow"
    assert ledger.keys[3] != ledger.keys[0], "another workflow is another invoice"


async def test_a_step_continues_the_trace_of_the_request_that_started_its_workflow(
    sqlite: WorkflowDatabase, contracts: dict[str, Contract]
) -> None:
    """Also when another engine goes on with it; without a request it has one of its own."""
    request = Trace.start()
    ledger = Ledger(Problem(UNPROCESSABLE))
    step = steps(contracts, ledger).call(LEDGER, "createInvoice")
    broken = True

    async def run(payload: Any) -> Any:
        outcome = await step(body=payload)
        if broken:
            raise DeadLetterError(str(outcome.failure))
        return outcome.body

    flow = Workflow(name="traced.v1", run=run)
    async with open_workflows(sqlite, [flow]) as workflows:
        enter(request)
        await workflows.start("one", "traced.v1", {"total": "1.00"})
        dead = await reached(workflows, "one", "dead")
    broken = False
    async with open_workflows(sqlite, [flow]) as workflows:
        enter(Trace.start())
        await workflows.replay("one")
        done = await reached(workflows, "one", "succeeded")

    assert ledger.traces == [request.trace_id] * 2
    assert dead.trace_id == done.trace_id == request.trace_id
    assert ledger.requests == ["one", "one"], "the logs of the tiers name the run"
    assert trace_of("tick").trace_id == trace_of("tick").trace_id != trace_of("tock").trace_id


async def test_two_items_of_one_workflow_are_two_effects(
    sqlite: WorkflowDatabase, contracts: dict[str, Contract]
) -> None:
    ledger = Ledger()
    step = steps(contracts, ledger).call(LEDGER, "createInvoice")

    async def run(payload: Any) -> None:
        for line in payload:
            await step(body={"line": line}, item=line)

    async with open_workflows(sqlite, [Workflow(name="lines.v1", run=run)]) as workflows:
        await workflows.start("one", "lines.v1", ["a", "b"])
        state = await reached(workflows, "one", "succeeded")

    assert len(set(ledger.keys)) == 2
    assert [step.name for step in state.steps] == [
        f"{LEDGER} createInvoice a",
        f"{LEDGER} createInvoice b",
    ]


async def test_a_refusal_is_not_tried_again(
    sqlite: WorkflowDatabase, contracts: dict[str, Contract]
) -> None:
    ledger = Ledger(Problem(UNPROCESSABLE, "the customer is blocked"))
    step = steps(contracts, ledger).call(LEDGER, "createInvoice")

    async with open_workflows(sqlite, [invoicing(step)]) as workflows:
        await workflows.start("one", "invoicing.v1", {})
        state = await reached(workflows, "one", "succeeded")

    assert state.result == {"failure": "the customer is blocked", "may_pass": False}
    assert len(ledger.keys) == 1


@pytest.mark.parametrize(
    ("problem", "passes"),
    [
        (Problem(SYSTEM_UNAVAILABLE), True),
        (Problem(BAD_UPSTREAM), True),
        (Problem(PROBLEM_TYPES["deadline-exceeded"]), True),
        (Problem(PROBLEM_TYPES["too-many-requests"]), True),
        (Problem(PROBLEM_TYPES["internal-error"]), True),
        (Problem(PROBLEM_TYPES["idempotency-in-flight"]), True),
        (Problem(CONFLICT), False),
        (Problem(CONFLICT, headers=[("Retry-After", "1")]), True),
        (Problem(PROBLEM_TYPES["idempotency-in-doubt"]), False),
        (Problem(PROBLEM_TYPES["response-contract-violation"]), False),
        (Problem(PROBLEM_TYPES["method-not-implemented"]), False),
    ],
    ids=lambda value: value.kind.slug if isinstance(value, Problem) else "",
)
async def test_a_failure_says_whether_it_may_pass(
    sqlite: WorkflowDatabase, contracts: dict[str, Contract], problem: Problem, passes: bool
) -> None:
    step = steps(contracts, Ledger(*[problem] * 3)).call(LEDGER, "createInvoice")

    async with open_workflows(sqlite, [invoicing(step)]) as workflows:
        await workflows.start("one", "invoicing.v1", {})
        state = await reached(workflows, "one", "succeeded")

    assert state.result["may_pass"] is passes


async def test_a_replay_begins_with_the_step_that_failed(
    sqlite: WorkflowDatabase, contracts: dict[str, Contract]
) -> None:
    ledger = Ledger()
    of = steps(contracts, ledger)
    stage, invoice = of.call(LEDGER, "setStage"), of.call(LEDGER, "createInvoice")

    async def run(payload: Any) -> Any:
        await stage({"name": "won"}, body={})
        outcome = await invoice(body=payload)
        if outcome.failure is not None:
            raise RuntimeError(str(outcome.failure))
        return outcome.body

    async with open_workflows(sqlite, [Workflow(name="sale.v1", run=run)]) as workflows:
        ledger.failures = []
        await workflows.start("warm", "sale.v1", {})
        await reached(workflows, "warm", "succeeded")
        before = len(ledger.keys)
        ledger.failures = [Problem(SYSTEM_UNAVAILABLE, "closed"), Problem(SYSTEM_UNAVAILABLE)]
        ledger.failures.insert(0, Problem(SYSTEM_UNAVAILABLE))  # the stage fails too, unnoticed
        await workflows.start("one", "sale.v1", {})
        await reached(workflows, "one", "dead")
        ledger.failures = []
        await workflows.replay("one")
        state = await reached(workflows, "one", "succeeded")

    assert state.result == {"did": "createInvoice"}
    assert len(ledger.keys) - before == 4, "both steps failed, so both are done again"
    assert ledger.keys[-1] == ledger.keys[-3], "the invoice kept its key"


def test_an_operation_without_an_idempotency_facility_is_refused_as_a_step(
    contracts: dict[str, Contract],
) -> None:
    with pytest.raises(UnsafeStepError, match=r"postEntry of system/ledger\.v1") as refusal:
        steps(contracts, Ledger()).call(LEDGER, "postEntry")

    assert "Idempotency-Key" in refusal.value.hint


@pytest.mark.parametrize("operation_id", ["listInvoices", "setStage", "createInvoice"])
def test_an_operation_that_is_repeatable_is_accepted(
    contracts: dict[str, Contract], operation_id: str
) -> None:
    step = steps(contracts, Ledger()).call(LEDGER, operation_id)

    assert step.name == f"{LEDGER} {operation_id}"


def test_what_the_contract_does_not_list_is_refused_as_a_step(
    contracts: dict[str, Contract],
) -> None:
    with pytest.raises(Problem) as refusal:
        steps(contracts, Ledger()).call(LEDGER, "deleteEverything")

    assert refusal.value.kind is CALL_NOT_DECLARED


async def test_a_step_outside_a_workflow_is_a_mistake(contracts: dict[str, Contract]) -> None:
    assert DBOS.workflow_id is None
    step = steps(contracts, Ledger()).call(LEDGER, "createInvoice")

    with pytest.raises(RuntimeError, match="outside a workflow"):
        await step(body={})
