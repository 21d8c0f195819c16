"""The one way a tier calls another: only what its contract lists, with everything passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from portico.contract import Contract, Operation
from portico.problems import (
    CALL_NOT_DECLARED,
    CONTRACT_VIOLATION,
    DEADLINE_EXCEEDED,
    INVALID_CONTENT,
    INVALID_PARAMETER,
    MALFORMED_REQUEST,
    MISSING_CONTENT,
    Problem,
)
from portico.server.call import Call, Caller, Reply

# An inner call leaves its caller a tenth of the time to answer with what it learnt.
INNER_SHARE = 0.9
_CALLER_FAULTS = frozenset(
    kind.slug for kind in (INVALID_CONTENT, INVALID_PARAMETER, MALFORMED_REQUEST, MISSING_CONTENT)
)


class Transport(Protocol):
    """Carries a call to an API, in this process or another."""

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        """Return the reply below 400; raises Problem for every other."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """An operation that may be called, and how it is reached."""

    api: str
    operation: Operation
    transport: Transport
    places: Mapping[str, str]
    scopes: frozenset[str]


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
            raise Problem(DEADLINE_EXCEEDED)
        document = _arrange(target, arguments, body)
        key = ""
        if target.operation.idempotency:
            key = call.derive_key(api, operation_id, step)
            if key:
                document["header"].setdefault("Idempotency-Key", key)
        inner: Call[Any] = Call(
            operation_id=operation_id,
            caller=Caller(subject=call.caller.subject, client_id=self.name, scopes=target.scopes),
            deadline=call.deadline.share(INNER_SHARE),
            trace=call.trace.child(),
            request_id=call.request_id,
            tiers=_NO_CALLS,
            resources=None,
            idempotency_key=document["header"].get("Idempotency-Key", "") if key else "",
        )
        try:
            return await target.transport.send(target.operation, inner, document)
        except Problem as problem:
            if problem.kind.slug in _CALLER_FAULTS:
                raise self._misused(target, problem) from problem
            raise

    def _undeclared(self, api: str, operation_id: str) -> Problem:
        return Problem(
            CALL_NOT_DECLARED,
            f"{self.name} called {operation_id} of {api}, which its x-calls does not list",
        )

    def _misused(self, target: Target, problem: Problem) -> Problem:
        """Return the problem of a call that broke the callee's contract: the caller's fault.

        The one who called this API is not told to correct a request it never made.
        """
        return Problem(
            CONTRACT_VIOLATION,
            f"{self.name} broke the contract of {target.operation.operation_id}: {problem.detail}",
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
            places = {parameter.name: parameter.where for parameter in operation.parameters}
            found[api, operation_id] = Target(
                api, operation, transports[api], places, operation.security.scopes()
            )
    return found


def _arrange(target: Target, arguments: Mapping[str, object], body: object) -> dict[str, Any]:
    document: dict[str, Any] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
    for name, value in arguments.items():
        if value is None:
            continue
        place = target.places.get(name)
        if place is None:
            raise Problem(
                CONTRACT_VIOLATION,
                f"{target.operation.operation_id} of {target.api} has no parameter {name!r}",
            )
        document[place][name] = value
    if body is not None:
        document["body"] = body
    return document
