"""The one way a tier calls another: only what its contract lists, with everything passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from portico.client.arguments import (
    Argument,
    Prepare,
    UnaddressableError,
    compile_arguments,
)
from portico.client.render import UnsendableError
from portico.contract import ABSENT, Contract, Operation
from portico.problems import (
    CALL_NOT_DECLARED,
    CONTRACT_VIOLATION,
    DEADLINE_EXCEEDED,
    HEADERS_TOO_LARGE,
    INVALID_CONTENT,
    INVALID_PARAMETER,
    MALFORMED_REQUEST,
    METHOD_NOT_ALLOWED,
    MISSING_CONTENT,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    UNSUPPORTED_MEDIA_TYPE,
    URI_TOO_LONG,
    Problem,
    passed_on,
)
from portico.server.call import Call, Caller, Reply

JSON = "application/json"  # what tiers speak to one another
# An inner call leaves its caller a tenth of the time to answer with what it learnt.
INNER_SHARE = 0.9
# Answers to a request that the calling API made wrongly.
_CALLER_FAULTS = frozenset(
    kind.slug
    for kind in (
        HEADERS_TOO_LARGE,
        INVALID_CONTENT,
        INVALID_PARAMETER,
        MALFORMED_REQUEST,
        METHOD_NOT_ALLOWED,
        MISSING_CONTENT,
        NOT_ACCEPTABLE,
        UNSUPPORTED_MEDIA_TYPE,
        URI_TOO_LONG,
    )
)


class Transport(Protocol):
    """Carries a call to an API, in this process or another."""

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        """Return the reply below 400; raises Problem for every other."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An operation that may be called, and how it is reached."""

    api: str
    operation: Operation
    transport: Transport
    arguments: Mapping[str, Argument]
    scopes: frozenset[str]
    key_name: str  # of the Idempotency-Key parameter, as the contract writes it
    takes_json: bool  # or no body at all, which has no meaning then


class TierClient:
    """The calls that one API may make."""

    def __init__(self, name: str, targets: Mapping[tuple[str, str], Target]) -> None:
        self.name = name
        self._targets = targets

    async def invoke(
        self,
        call: Call[Any],
        api: str,
        operation_id: str,
        arguments: Mapping[str, object],
        *,
        body: object = None,
        step: str = "",
    ) -> Reply:
        """Make a call; see `Call.invoke`."""
        target = self._targets.get((api, operation_id))
        if target is None:
            raise self._undeclared(api, operation_id)
        if call.deadline.expired():
            raise Problem(DEADLINE_EXCEEDED, extensions={"api": api})
        document = self._document(target, arguments, body)
        key = self._key(target, call, document["header"], step)
        self._check(target, document)
        inner: Call[Any] = Call(
            operation_id=operation_id,
            caller=self._as_caller(call.caller, target.scopes),
            deadline=call.deadline.share(INNER_SHARE),
            trace=call.trace.child(),
            request_id=call.request_id,
            tiers=_NO_CALLS,
            resources=None,
            idempotency_key=key,
        )
        try:
            reply = await target.transport.send(target.operation, inner, document)
        except Problem as problem:
            given_on = self._given_on(target, problem)
            if given_on is problem:
                raise
            raise given_on from problem
        if reply.headers:
            reply.headers = _declared(target.operation, reply)
        return reply

    def _as_caller(self, caller: Caller, scopes: frozenset[str]) -> Caller:
        """Return this API as a caller: for whom it was called itself, with what one call needs."""
        actors = (caller.client_id, *caller.actors) if caller.client_id else ()
        return Caller(subject=caller.subject, client_id=self.name, scopes=scopes, actors=actors)

    def _given_on(self, target: Target, problem: Problem) -> Problem:
        """Return the problem that the calling handler sees, the same wherever the callee runs."""
        if problem.kind.slug in _CALLER_FAULTS:
            return self._misused(target, str(problem))
        return passed_on(problem, target.api)

    def _document(
        self, target: Target, arguments: Mapping[str, object], body: object
    ) -> dict[str, Any]:
        """Return the arguments by their places, as a request would carry them."""
        document: dict[str, Any] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
        for name, value in arguments.items():
            argument = target.arguments.get(name)
            if argument is None:
                raise self._misused(target, f"there is no parameter {name!r}")
            if value is None:
                continue
            if argument.prepare is not None:
                value = self._prepared(target, name, argument.prepare, value)  # noqa: PLW2901
                if value is ABSENT:
                    continue
            document[argument.place][name] = value
        if body is not None:
            document["body"] = body
        return document

    def _prepared(self, target: Target, name: str, prepare: Prepare, value: object) -> object:
        try:
            return prepare(value)
        except UnsendableError as error:
            raise self._misused(target, f"the parameter {name!r}: {error}") from error
        except UnaddressableError as error:
            # There can be no such resource, and no request could ask for it.
            raise Problem(NOT_FOUND, f"no {name} is like this") from error

    def _key(self, target: Target, call: Call[Any], fields: dict[str, Any], step: str) -> str:
        """Return the callee's idempotency key: the handler's own choice, else a derived one."""
        if not target.key_name:
            return ""
        derived = call.derive_key(target.api, target.operation.operation_id, step)
        if derived:
            fields.setdefault(target.key_name, derived)
        return str(fields.get(target.key_name, ""))

    def _check(self, target: Target, document: dict[str, Any]) -> None:
        """Hold a call against the callee's contract before anything is sent."""
        if "body" in document and not target.takes_json:
            raise self._misused(target, f"it does not read {JSON}")
        try:
            target.operation.check_document(document)
        except Problem as problem:
            raise self._misused(target, str(problem)) from problem

    def _undeclared(self, api: str, operation_id: str) -> Problem:
        return Problem(
            CALL_NOT_DECLARED,
            f"{self.name} called {operation_id} of {api}, which its x-calls does not list",
        )

    def _misused(self, target: Target, detail: str) -> Problem:
        """Return the problem of a call that broke the callee's contract: the caller's fault.

        The one who called this API is not told to correct a request it never made.
        """
        return Problem(
            CONTRACT_VIOLATION,
            f"{self.name} broke the contract of {target.operation.operation_id}: {detail}",
            extensions={"api": target.api, "operation": target.operation.operation_id},
        )

    def __repr__(self) -> str:
        return f"<TierClient {self.name} {len(self._targets)} operations>"


_NO_CALLS = TierClient("", {})


def targets(
    contract: Contract, contracts: Mapping[str, Contract], transports: Mapping[str, Transport]
) -> dict[tuple[str, str], Target]:
    """Return what a contract's `x-calls` allow, with the transport of each callee."""
    found: dict[tuple[str, str], Target] = {}
    for api, operation_ids in contract.calls.items():
        for operation_id in operation_ids:
            operation = contracts[api].operations[operation_id]
            found[api, operation_id] = Target(
                api=api,
                operation=operation,
                transport=transports[api],
                arguments=compile_arguments(contracts[api], operation),
                scopes=operation.security.scopes(),
                key_name=idempotency_parameter(operation),
                takes_json=not operation.reads_body or operation.contents.find(JSON) is not None,
            )
    return found


def idempotency_parameter(operation: Operation) -> str:
    """Return the name of the Idempotency-Key parameter as the contract writes it, or empty."""
    for parameter in operation.parameters:
        if parameter.where == "header" and parameter.name.lower() == "idempotency-key":
            return parameter.name
    return ""


def _declared(operation: Operation, reply: Reply) -> list[tuple[str, str]]:
    """Return the header fields that the contract declares: others belong to the hop."""
    answer = operation.find_answer(reply.status)
    if answer is None or not answer.headers:
        return []
    fields = [(name.lower(), value) for name, value in reply.headers]
    return [field for field in fields if field[0] in answer.headers]
