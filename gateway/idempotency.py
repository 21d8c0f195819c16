"""Writes under an Idempotency-Key: claimed before they run, answered again from their record.

The state machine is `portico.idempotency`; this is where requests and contracts meet it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config import Idempotency
from gateway.endpoints import Endpoint
from gateway.exchange import Exchange, Response
from portico.contract import Contract, ContractError, Finding, Operation
from portico.deadline import Deadline
from portico.idempotency.attempt import Attempt, Standing
from portico.idempotency.claim import Claim
from portico.idempotency.fingerprint import BodyMode, Fingerprinter, document_fingerprint
from portico.idempotency.key import (
    applies,
    missing_key,
    read_first_sent_ms,
    read_key,
    read_wait_seconds,
)
from portico.idempotency.policy import Disposition, InDoubt, Policy
from portico.idempotency.replay import Answer
from portico.idempotency.runner import run
from portico.idempotency.scope import Scope
from portico.idempotency.store import IdempotencyStore
from portico.idempotency.tiers import TIER_WAIT_SECONDS
from portico.limits.network import network_of
from portico.problems import BAD_UPSTREAM, MEDIA_TYPE, NOT_IMPLEMENTED, Problem

KEY = b"idempotency-key"
EXTENSION = "x-idempotency"
_BODIES = {"raw": BodyMode.RAW, "json": BodyMode.CANONICAL_JSON}
_KNOWN: Mapping[str, Mapping[str, object]] = {
    "inDoubt": {choice.value: choice for choice in InDoubt},
    "onError": {"store": Disposition.STORE, "release": Disposition.RELEASE},
    "body": _BODIES,
    "responses": {"store": True, "forget": False},
    "withoutStore": {"refuse": False, "run": True},
}
_STATUS = "statusOperation"
_STATUS_KEYS = frozenset({"idempotencyKey", "Idempotency-Key"})
_HINT = (
    "known are inDoubt: fail, reexecute or reconcile, statusOperation, onError: store or release,"
    " body: raw or json, responses: store or forget, withoutStore: refuse or run"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How the keys of one operation are treated, from `x-idempotency` of its contract.

    `inDoubt: reexecute` says that running the operation again under the same key does no harm,
    because what is below it is idempotent by the keys derived from this one. `reconcile` asks
    `statusOperation` of the same contract what a key has led to: its parameter `idempotencyKey`
    gets the key that was sent on, 404 means nothing.
    """

    policy: Policy
    body: BodyMode
    status: Operation | None
    status_key: tuple[str, str]  # place and name of the parameter that gets the key

    def status_document(self, upstream_key: str) -> dict[str, Any]:
        """Return the request that asks what a key has led to."""
        document: dict[str, Any] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
        place, name = self.status_key
        document[place][name] = upstream_key
        return document


def read_rule(contract: Contract, operation: Operation, retention_seconds: float) -> Rule:
    """Return the rule of an operation; raises ContractError for what is not understood."""
    described = _described(contract, operation)
    again = described.get("inDoubt") == "reexecute"
    release = described.get("onError") == "release"
    status, status_key = _status(contract, operation, described)
    policy = Policy(
        retention_seconds=retention_seconds,
        reexecutable=again or release,
        in_doubt=InDoubt(described.get("inDoubt", "fail")),
        on_error=Disposition.RELEASE if release else Disposition.STORE,
        on_exception=Disposition.RELEASE if again else Disposition.IN_DOUBT,
        store_responses=described.get("responses") != "forget",
        fail_open=described.get("withoutStore") == "run",
    )
    body = _BODIES[described.get("body", "raw")]
    return Rule(policy=policy, body=body, status=status, status_key=status_key)


def _described(contract: Contract, operation: Operation) -> Mapping[str, str]:
    node = contract.document["paths"][operation.template].get(operation.method.lower(), {})
    described: Mapping[str, str] = node.get(EXTENSION, {})
    for name, value in described.items():
        if name != _STATUS and value not in _KNOWN.get(name, {}):
            raise _misunderstood(contract, operation, name, f"{EXTENSION} has {name}: {value}")
    return described


def _status(
    contract: Contract, operation: Operation, described: Mapping[str, str]
) -> tuple[Operation | None, tuple[str, str]]:
    """Return the operation that tells what a key has led to, and where it takes the key."""
    name = described.get(_STATUS)
    if (described.get("inDoubt") == "reconcile") is not (name is not None):
        cause = "inDoubt: reconcile and statusOperation need each other"
        raise _misunderstood(contract, operation, "inDoubt" if name is None else _STATUS, cause)
    if name is None:
        return None, ("", "")
    status = contract.operations.get(name)
    if status is None:
        cause = f"there is no operation {name} in this contract"
        raise _misunderstood(contract, operation, _STATUS, cause)
    for parameter in status.parameters:
        if parameter.name in _STATUS_KEYS and not status.body_required:
            return status, (parameter.place, parameter.name)
    cause = f"{name} has no parameter idempotencyKey that takes the key"
    raise _misunderstood(contract, operation, _STATUS, cause)


def _misunderstood(
    contract: Contract, operation: Operation, name: str, cause: str
) -> ContractError:
    return ContractError(
        [
            Finding(
                position=contract.position(*operation.pointer, EXTENSION, name),
                rule="unknown-idempotency",
                message=cause,
                hint=_HINT,
            )
        ]
    )


class _Keyed:
    """An endpoint whose writes are kept under their keys."""

    __slots__ = ("fingerprinter", "name", "rule")

    def __init__(self, endpoint: Endpoint, retention_seconds: float) -> None:
        operation = endpoint.operation
        self.name = endpoint.name
        self.rule = read_rule(endpoint.backend.contract, operation, retention_seconds)
        self.fingerprinter = Fingerprinter(
            method=operation.method,
            operation=endpoint.name,
            template=endpoint.template,
            mode=self.rule.body,
        )


class IdempotentWrites:
    """Runs operations that declare a key under the record of that key."""

    def __init__(
        self, store: IdempotencyStore, endpoints: Iterable[Endpoint], settings: Idempotency
    ) -> None:
        self._strict_keys = settings.strict_keys
        self._store = store
        self._type_base = store.options.type_base
        self._keyed = {
            endpoint: _Keyed(endpoint, settings.retention_seconds)
            for endpoint in endpoints
            if endpoint.operation.idempotency and applies(endpoint.operation.method)
        }

    def read(self, exchange: Exchange, endpoint: Endpoint) -> str:
        """Return the request's key, or nothing where the operation knows none.

        Both spellings of a key, quoted and bare, become one. Raises Problem 400.
        """
        if endpoint not in self._keyed:
            return ""
        raw = exchange.headers.get(KEY)
        if raw is None:
            if endpoint.operation.idempotency == "required":
                raise missing_key(self._type_base)
            return ""
        key = read_key(raw, strict=self._strict_keys, type_base=self._type_base)
        exchange.headers[KEY] = key.encode("ascii")
        return key

    def attempt(
        self,
        key: str,
        exchange: Exchange,
        endpoint: Endpoint,
        document: Mapping[str, Any],
        body: bytes | None,
        deadline: Deadline,
    ) -> Attempt:
        """Return what the store must know of a request under its key."""
        headers = exchange.headers
        wait_seconds = read_wait_seconds(headers.get(b"prefer"))
        if exchange.trusted:
            # A tier that was restarted comes back while its first call may still be running.
            wait_seconds = min(TIER_WAIT_SECONDS, max(0.0, deadline.remaining()))
        return Attempt(
            scope=scope_of(exchange),
            key=key,
            fingerprint=_fingerprint(exchange, self._keyed[endpoint], document, body),
            operation=endpoint.name,
            request_id=exchange.request_id,
            accept=headers.get(b"accept", b"").decode("latin-1"),
            wait_seconds=wait_seconds,
            first_sent_ms=read_first_sent_ms(key, headers.get(b"repeatability-first-sent")),
        )

    def policy(self, endpoint: Endpoint) -> Policy:
        """Return how the keys of an operation are treated."""
        return self._keyed[endpoint].rule.policy

    async def answer(
        self,
        attempt: Attempt,
        exchange: Exchange,
        endpoint: Endpoint,
        execute: Callable[[], Awaitable[Response]],
        standing: Claim | Standing | None,
        deadline: Deadline,
    ) -> Response:
        """Return the response of the one run under this key, now or from its record.

        `standing` is what an admission has found already.
        """

        async def claimed(claim: Claim) -> Answer:
            exchange.upstream_key = claim.upstream_key
            return _answer(await execute())

        async def reconcile(claim: Claim) -> Answer | None:
            return await self._ask(exchange, endpoint, claim, deadline)

        found = await run(
            self._store,
            attempt,
            self.policy(endpoint),
            claimed,
            render=lambda problem: self._render(problem, exchange),
            reconcile=reconcile if self._keyed[endpoint].rule.status is not None else None,
            standing=standing,
            # Our server cancels a request when it stops, never because its client has gone.
            detached=False,
        )
        return Response(found.status, found.body, "", found.headers, aclose=found.aclose)

    async def _ask(
        self, exchange: Exchange, endpoint: Endpoint, claim: Claim, deadline: Deadline
    ) -> Answer | None:
        """Return what a key has led to, None for nothing; raises Problem where nobody knows."""
        rule = self._keyed[endpoint].rule
        if rule.status is None:
            raise Problem(NOT_IMPLEMENTED)
        document = rule.status.check_document(rule.status_document(claim.upstream_key))
        try:
            found = await endpoint.backend.ask(exchange, rule.status, document, deadline)
        except Problem as problem:
            if problem.status == 404:
                return None
            raise
        if found.status == 404:
            return None
        if found.status >= 300 or not isinstance(found.body, bytes):
            raise Problem(BAD_UPSTREAM, f"the status operation answered {found.status}")
        return _answer(found, created_status(endpoint.operation, found.status))

    def _render(self, problem: Problem, exchange: Exchange) -> Answer:
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in problem.headers
        ]
        headers.append((b"content-type", MEDIA_TYPE.encode()))
        content = problem.body(type_base=self._type_base, request_id=exchange.request_id)
        return Answer(problem.status, headers, content)


def _answer(response: Response, status: int | None = None) -> Answer:
    headers = response.headers
    if response.media_type:
        headers = [*headers, (b"content-type", response.media_type.encode("latin-1"))]
    return Answer(status or response.status, list(headers), response.body, response.aclose)


def created_status(operation: Operation, found: int) -> int:
    """Return the status of an operation's own answer, where another one told what it led to."""
    return operation.success[0] if len(operation.success) == 1 else found


def scope_of(exchange: Exchange) -> Scope:
    """Return whose key a request has; callers without a token are told apart by their address."""
    caller = exchange.caller
    if caller is None:
        return Scope(client_id="", subject=f"address/{network_of(exchange.address)}")
    return Scope(client_id=caller.client_id, subject=caller.subject)


def _fingerprint(
    exchange: Exchange, keyed: _Keyed, document: Mapping[str, Any], body: bytes | None
) -> bytes:
    if exchange.trusted:
        # Another tier's call is the same one whether it came over HTTP or within a process.
        return document_fingerprint(keyed.name, document)
    headers = exchange.headers
    return keyed.fingerprinter.take(
        exchange.raw_path,
        query=exchange.query,
        content_type=headers.get(b"content-type", b"").decode("latin-1"),
        if_match=headers.get(b"if-match", b""),
        body=body or b"",
    )
