"""An API of the tiers run alone: its real contract, binder and client above a double transport."""

from __future__ import annotations

import copy
import importlib
import inspect
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portico.client.tiers import TierClient, targets
from portico.contract import Contract, Operation, contract_paths, load
from portico.contract.bundle import resolve
from portico.deadline import Deadline
from portico.problems import Problem
from portico.server.bind import bind
from portico.server.call import Call, Caller, Reply
from portico.server.service import Service
from portico.server.validation import Validation
from portico.trace import Trace
from portico.workflow.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2] / "specs" / "openapi"
ACCEPTED = 202
SHOP = Caller(subject="shop", client_id="shop")


@cache
def contracts() -> Mapping[str, Contract]:
    """Return every contract of the repository by name."""
    return {contract.name: contract for contract in map(load, contract_paths(ROOT))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A call that arrived at the double: the operation and its checked request."""

    operation_id: str
    arguments: Mapping[str, Any]
    body: Any
    key: str


@dataclass(slots=True)
class Canned:
    """A transport that answers with the examples of the callee's contract.

    `answers` has other bodies, Problems to raise, or functions of the call (plain or async) that
    return either, by operationId. Requests are checked against the contract as a running API would.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    api: str = ""

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        made = Made(
            operation_id=operation.operation_id,
            arguments={**document["path"], **document["query"]},
            body=document.get("body"),
            key=call.idempotency_key,
        )
        self.made.append(made)
        operation.check_document(document)
        name = operation.operation_id
        answer = self.answers.get(f"{self.api} {name}", self.answers.get(name, _Example))
        if callable(answer) and answer is not _Example:
            answer = answer(made)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Problem):
            raise answer
        if answer is not _Example:
            return Reply(status=_done(operation), body=copy.deepcopy(answer))
        return Reply(status=_done(operation), body=example(operation))

    def operations(self) -> list[str]:
        return [made.operation_id for made in self.made]

    def only(self, operation_id: str) -> Made:
        """Return the one call of an operation."""
        (made,) = (made for made in self.made if made.operation_id == operation_id)
        return made


class _Example:
    """Marks an operation that answers with its example."""


def example(operation: Operation, name: str = "") -> Any:
    """Return the named or first example of the last success response of an operation."""
    for contract in contracts().values():
        if contract.operations.get(operation.operation_id) is operation:
            return response_example(contract, operation, name)
    raise LookupError(operation.operation_id)


def _done(operation: Operation) -> int:
    """Return the last success status that says that it is done, which 202 does not."""
    return [status for status in operation.success if status != ACCEPTED][-1]


def response_example(contract: Contract, operation: Operation, name: str = "") -> Any:
    document = contract.document
    node: Any = document
    for part in operation.pointer:
        node = node[part]
    response = resolve(document, node["responses"][str(_done(operation))])
    examples = response["content"]["application/json"]["examples"]
    chosen = resolve(document, examples[name] if name else next(iter(examples.values())))
    return copy.deepcopy(chosen["value"])


class API:
    """One API with its handlers; everything it calls is answered by `canned`.

    Where two callees have an operation of one name, an answer is named `api operationId`.
    """

    def __init__(self, name: str, *, resources: Any = None, **answers: Any) -> None:
        self.contract = contracts()[name]
        self.resources = resources
        self.canned = Canned(answers)
        self.seconds = 5.0
        handlers = bind(self.contract, importlib.import_module(f"{self.contract.package}.handlers"))
        self._service = Service(self.contract, handlers, resources, Validation())
        transports = {api: replace(self.canned, api=api) for api in self.contract.calls}
        self._tiers = TierClient(name, targets(self.contract, contracts(), transports))
        self.steps = Steps(self.contract, contracts(), self._tiers)

    async def call(
        self,
        operation_id: str,
        *,
        body: object = None,
        key: str = "",
        caller: Caller = SHOP,
        **parameters: object,
    ) -> Reply:
        """Call an operation by the names of its parameters; its request and reply are checked."""
        operation = self.contract.operations[operation_id]
        document: dict[str, Any] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
        places = {parameter.name: parameter.where for parameter in operation.parameters}
        for name, value in parameters.items():
            document[places[name]][name] = value
        if key:
            document["header"]["Idempotency-Key"] = key
        if body is not None:
            document["body"] = body
        call: Call[None] = Call(
            operation_id=operation_id,
            caller=caller,
            deadline=Deadline.after(self.seconds),
            trace=Trace("0" * 31 + "1", "0" * 15 + "1"),
            request_id="test",
            tiers=self._tiers,
            resources=self._service.resources,
            idempotency_key=key,
        )
        return await self._service.invoke(operation, call, operation.check_document(document))
