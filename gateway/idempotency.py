"""Writes under an Idempotency-Key: claimed before they run, answered again from their record.

The state machine is `portico.idempotency`; this is where requests and contracts meet it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from gateway.endpoints import Endpoint
from gateway.exchange import Exchange, Response
from portico.contract import Contract, ContractError, Finding, Operation
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
from portico.limits.network import network_of
from portico.problems import MEDIA_TYPE, Problem

KEY = b"idempotency-key"
EXTENSION = "x-idempotency"
_BODIES = {"raw": BodyMode.RAW, "json": BodyMode.CANONICAL_JSON}
_KNOWN: Mapping[str, Mapping[str, object]] = {
    "inDoubt": {"fail": InDoubt.FAIL, "reexecute": InDoubt.REEXECUTE},
    "onError": {"store": Disposition.STORE, "release": Disposition.RELEASE},
    "body": _BODIES,
}
_HINT = "known are inDoubt: fail or reexecute, onError: store or release, body: raw or json"


class Rule:
    """How the keys of one operation are treated, from `x-idempotency` of its contract.

    `inDoubt: reexecute` says that running the operation again under the same key does no harm,
    because what is below it is idempotent by the keys derived from this one.
    """

    __slots__ = ("fingerprinter", "name", "policy")

    def __init__(self, endpoint: Endpoint, retention_seconds: float) -> None:
        contract, operation = endpoint.backend.contract, endpoint.operation
        described = _described(contract, operation)
        again = described.get("inDoubt") == "reexecute"
        release = described.get("onError") == "release"
        self.name = endpoint.name
        self.fingerprinter = Fingerprinter(
            method=operation.method,
            operation=self.name,
            template=endpoint.template,
            mode=_BODIES[described.get("body", "raw")],
        )
        self.policy = Policy(
            retention_seconds=retention_seconds,
            reexecutable=again or release,
            in_doubt=InDoubt.REEXECUTE if again else InDoubt.FAIL,
            on_error=Disposition.RELEASE if release else Disposition.STORE,
            on_exception=Disposition.RELEASE if again else Disposition.IN_DOUBT,
        )


def _described(contract: Contract, operation: Operation) -> Mapping[str, str]:
    node = contract.document["paths"][operation.template].get(operation.method.lower(), {})
    described: Mapping[str, str] = node.get(EXTENSION, {})
    for name, value in described.items():
        if value not in _KNOWN.get(name, {}):
            raise ContractError(
                [
                    Finding(
                        position=contract.position(*operation.pointer, EXTENSION, name),
                        rule="unknown-idempotency",
                        message=f"{EXTENSION} has {name}: {value}",
                        hint=_HINT,
                    )
                ]
            )
    return described


class IdempotentWrites:
    """Runs operations that declare a key under the record of that key."""

    def __init__(
        self, store: IdempotencyStore, endpoints: Iterable[Endpoint], retention_seconds: float
    ) -> None:
        self._store = store
        self._type_base = store.options.type_base
        self._rules = {
            endpoint: Rule(endpoint, retention_seconds)
            for endpoint in endpoints
            if endpoint.operation.idempotency and applies(endpoint.operation.method)
        }

    def read(self, exchange: Exchange, endpoint: Endpoint) -> str:
        """Return the request's key, or nothing where the operation knows none.

        Both spellings of a key, quoted and bare, become one. Raises Problem 400.
        """
        if endpoint not in self._rules:
            return ""
        raw = exchange.headers.get(KEY)
        if raw is None:
            if endpoint.operation.idempotency == "required":
                raise missing_key(self._type_base)
            return ""
        key = read_key([raw], type_base=self._type_base)
        exchange.headers[KEY] = key.encode("ascii")
        return key

    def attempt(
        self,
        key: str,
        exchange: Exchange,
        endpoint: Endpoint,
        document: Mapping[str, Any],
        body: bytes | None,
    ) -> Attempt:
        """Return what the store must know of a request under its key."""
        headers = exchange.headers
        rule = self._rules[endpoint]
        return Attempt(
            scope=scope_of(exchange),
            key=key,
            fingerprint=_fingerprint(exchange, rule, document, body),
            operation=endpoint.name,
            request_id=exchange.request_id,
            accept=headers.get(b"accept", b"").decode("latin-1"),
            wait_seconds=read_wait_seconds(headers.get(b"prefer")),
            first_sent_ms=read_first_sent_ms(key, headers.get(b"repeatability-first-sent")),
        )

    def policy(self, endpoint: Endpoint) -> Policy:
        """Return how the keys of an operation are treated."""
        return self._rules[endpoint].policy

    async def answer(
        self,
        attempt: Attempt,
        exchange: Exchange,
        endpoint: Endpoint,
        execute: Callable[[], Awaitable[Response]],
        standing: Claim | Standing | None,
    ) -> Response:
        """Return the response of the one run under this key, now or from its record.

        `standing` is what an admission has found already.
        """

        async def claimed(claim: Claim) -> Answer:
            exchange.upstream_key = claim.upstream_key
            return _answer(await execute())

        found = await run(
            self._store,
            attempt,
            self.policy(endpoint),
            claimed,
            render=lambda problem: self._render(problem, exchange),
            standing=standing,
        )
        return Response(found.status, found.body, "", found.headers, aclose=found.aclose)

    def _render(self, problem: Problem, exchange: Exchange) -> Answer:
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in problem.headers
        ]
        headers.append((b"content-type", MEDIA_TYPE.encode()))
        content = problem.body(type_base=self._type_base, request_id=exchange.request_id)
        return Answer(problem.status, headers, content)


def _answer(response: Response) -> Answer:
    headers = response.headers
    if response.media_type:
        headers = [*headers, (b"content-type", response.media_type.encode("latin-1"))]
    return Answer(response.status, list(headers), response.body, response.aclose)


def scope_of(exchange: Exchange) -> Scope:
    """Return whose key a request has; callers without a token are told apart by their address."""
    caller = exchange.caller
    if caller is None:
        return Scope(client_id="", subject=f"address/{network_of(exchange.address)}")
    return Scope(client_id=caller.client_id, subject=caller.subject)


def _fingerprint(
    exchange: Exchange, rule: Rule, document: Mapping[str, Any], body: bytes | None
) -> bytes:
    if exchange.trusted:
        # Another tier's call is the same one whether it came over HTTP or within a process.
        return document_fingerprint(rule.name, document)
    headers = exchange.headers
    return rule.fingerprinter.take(
        exchange.raw_path,
        query=exchange.query,
        content_type=headers.get(b"content-type", b"").decode("latin-1"),
        if_match=headers.get(b"if-match", b""),
        body=body or b"",
    )
