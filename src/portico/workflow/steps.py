"""Calls of other tiers as workflow steps: made again after a crash, taking effect once.

A step's key comes from the workflow's id and the step's name, not from its number: trying again
within the workflow, after a crash or by a replay always carries the same key, down to the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dbos import DBOS

from portico.client.tiers import TierClient, idempotency_parameter
from portico.contract import Contract, Operation
from portico.deadline import Deadline
from portico.problems import CALL_NOT_DECLARED, CONFLICT, CONTRACT_VIOLATION, Problem
from portico.server.call import Call, Caller, combine
from portico.trace import current
from portico.workflow.errors import UnsafeStepError

# RFC 9110 9.2.1 and 9.2.2: repeating these is harmless by definition.
_IDEMPOTENT_METHODS = frozenset({"get", "head", "options", "put", "delete", "query"})
# Time-outs, too early, too many requests.
_PASSING = frozenset({408, 425, 429})
_OUR_FAULT = frozenset({CALL_NOT_DECLARED.slug, CONTRACT_VIOLATION.slug})
_IN_FLIGHT = "idempotency-in-flight"
STEP_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a step did not succeed. A `passing` one may be over when it is tried again."""

    status: int
    title: str
    detail: str
    system: str
    passing: bool
    kind: str = ""
    """The slug of the problem's type; empty for what no problem told, or an older journal has."""

    def __str__(self) -> str:
        return self.detail or self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step came to: a body, or a failure. A value, so that the journal keeps it.

    How often and when to try again is for the workflow to say: there it survives a restart.
    """

    body: Any = None
    failure: Failure | None = None

    @property
    def succeeded(self) -> bool:
        return self.failure is None

    @property
    def may_pass(self) -> bool:
        """Tell whether trying again later makes sense."""
        return self.failure is not None and self.failure.passing


@dataclass(frozen=True, slots=True)
class Step:
    """An operation of another API as a step of workflows."""

    caller: str
    api: str
    operation: Operation
    tiers: TierClient
    seconds: float = STEP_SECONDS

    async def __call__(
        self,
        arguments: Mapping[str, object] | None = None,
        *,
        body: object = None,
        item: str = "",
    ) -> Outcome:
        """Call the operation once per workflow and `item`; returns failures, raises none.

        `item` tells apart several effects of one operation in one workflow, such as a line.
        """
        workflow_id = DBOS.workflow_id
        if workflow_id is None:
            raise RuntimeError(f"the step {self.name} was called outside a workflow")
        call = self._call(workflow_id)
        recorded = await DBOS.run_step_async(
            {"name": f"{self.name} {item}".rstrip()}, self._perform, call, arguments, body, item
        )
        return _outcome(recorded)

    async def within(self, workflow_id: str, arguments: Mapping[str, object]) -> Outcome:
        """Read once, from a step that keeps its own outcome; returns failures, raises none.

        What is read does not go to the journal: a list of thousands of pages has no place there.
        """
        return _outcome(await self._perform(self._call(workflow_id), arguments, None, ""))

    @property
    def name(self) -> str:
        return f"{self.api} {self.operation.operation_id}"

    def _call(self, workflow_id: str) -> Call[Any]:
        return Call(
            operation_id=self.operation.operation_id,
            caller=Caller(subject=self.caller, client_id=self.caller),
            deadline=Deadline.after(self.seconds),
            trace=current().child(),
            request_id=workflow_id,
            tiers=self.tiers,
            resources=None,
            idempotency_key=combine("workflow", workflow_id),
        )

    async def _perform(
        self, call: Call[Any], arguments: Mapping[str, object] | None, body: object, item: str
    ) -> dict[str, Any]:
        try:
            reply = await call.invoke(
                self.api,
                self.operation.operation_id,
                arguments,
                body=body,
                step=f"item {item}",
            )
        except Problem as problem:
            return {"failed": True, **_record(problem, self.api)}
        return {"failed": False, "body": reply.body}


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps that the workflows of one API may take: what its contract lists in `x-calls`."""

    contract: Contract
    contracts: Mapping[str, Contract]
    tiers: TierClient
    seconds: float = field(default=STEP_SECONDS)

    def call(self, api: str, operation_id: str) -> Step:
        """Return an operation as a step.

        Raises UnsafeStepError for one that may take effect twice, and Problem for one that
        `x-calls` does not list: both when the workflow is made, which is at start-up.
        """
        if operation_id not in self.contract.calls.get(api, ()):
            detail = f"{self.contract.name} has {operation_id} of {api} as a step"
            raise Problem(CALL_NOT_DECLARED, f"{detail}, which its x-calls does not list")
        operation = self.contracts[api].operations[operation_id]
        if not is_repeatable(operation):
            raise UnsafeStepError(api, operation_id)
        return Step(self.contract.name, api, operation, self.tiers, self.seconds)


def is_repeatable(operation: Operation) -> bool:
    """Tell whether an operation may be called twice: by its method, or by a key it declares."""
    return operation.method.lower() in _IDEMPOTENT_METHODS or bool(idempotency_parameter(operation))


def _record(problem: Problem, api: str) -> dict[str, Any]:
    named = (problem.extensions.get(name) for name in ("system", "upstream", "api"))
    return {
        "status": problem.status,
        "title": problem.kind.title,
        "detail": problem.detail,
        "system": next((str(name) for name in named if name), api),
        "passing": _is_passing(problem),
        "kind": problem.kind.slug,
    }


def _is_passing(problem: Problem) -> bool:
    """Tell whether a failure may be over later.

    A 500 of another API is: the key makes it safe to ask again. Its contract broken is not. A
    conflict is where it says when to come again: with an attempt that still runs, or with somebody
    who holds or changes the record at the moment.
    """
    slug = problem.kind.slug
    if slug in _OUR_FAULT or problem.status in {501, 508}:
        return False
    held = slug == _IN_FLIGHT or (problem.status == CONFLICT.status and problem.says_when)
    return problem.status >= 500 or problem.status in _PASSING or held


def _outcome(recorded: Mapping[str, Any]) -> Outcome:
    if not recorded["failed"]:
        return Outcome(body=recorded["body"])
    members = ("status", "title", "detail", "system", "passing", "kind")
    return Outcome(
        failure=Failure(**{name: recorded[name] for name in members if name in recorded})
    )
