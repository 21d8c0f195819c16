"""What happens to a request, in order: cheap refusals first, one look at everything."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Any

from gateway.access_log import AccessLog
from gateway.admission import CredentialsRefusedError
from gateway.cors import CORSPolicy
from gateway.endpoints import Endpoint
from gateway.exchange import ClientDisconnectedError, Exchange, Receive, Response, Scope, Send
from gateway.identity.authenticator import Authenticator
from gateway.identity.claims import TokenCaller
from gateway.identity.guard import is_tier
from gateway.identity.server.client_authentication import PEER
from gateway.metrics import RequestMetrics
from gateway.protocol.cycle import REQUEST_ID
from gateway.protocol.target import check_target
from gateway.traffic import Traffic
from gateway.upstream.origin import TrustedProxies, resolve_origin
from portico.client.http import TIMEOUT_HEADER
from portico.contract.route import Leaf, Router
from portico.deadline import Deadline
from portico.limits.demand import Demand
from portico.problems import (
    INTERNAL_ERROR,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_IMPLEMENTED,
    Problem,
)
from portico.server.call import Caller
from portico.trace import Trace, enter

logger = logging.getLogger("portico.gateway")

_KNOWN_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"}
)
NO_PROXIES = TrustedProxies()
NO_TRAFFIC = Traffic()
# What the log says of a request whose client left before it was read; nginx made it known.
CLIENT_LEFT = 499
# Of another tier: that of a request, or the id of the workflow that calls.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:~@+=-]{1,200}\Z")
_TIMEOUT_DIGITS = 9  # eleven days
_TIMEOUT = TIMEOUT_HEADER.encode()
# Answers to authenticated requests are for their caller only (RFC 6750, 5.3).
_PRIVATE = (b"cache-control", b"private, no-store")
_SHARED = (b"public", b"s-maxage")
_UNSHARED = (b"private", b"no-store")


class Pipeline:
    """An ASGI application over the operations of all contracts; the rest goes to `control`."""

    def __init__(  # noqa: PLR0913  # a stage each
        self,
        router: Router[Endpoint],
        control: Any,
        *,
        authenticator: Authenticator,
        cors: CORSPolicy | None,
        access_log: AccessLog | None,
        type_base: str,
        metrics: RequestMetrics | None = None,
        traffic: Traffic = NO_TRAFFIC,
        trusted_proxies: TrustedProxies = NO_PROXIES,
    ) -> None:
        self._router = router
        self._control = control
        self._authenticator = authenticator
        self._cors = cors
        self._access_log = access_log
        self._type_base = type_base
        self._metrics = metrics or RequestMetrics()
        self._address_limit = traffic.address_limit
        self._limits = traffic.limits
        self._idempotency = traffic.idempotency
        self._admission = traffic.admission
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._control(scope, receive, send)
            return
        exchange = Exchange(scope, receive)
        if self._trusted_proxies and exchange.peer in self._trusted_proxies:
            self._find_client(exchange)
        if self._address_limit is not None:
            # Before anything that costs more than counting.
            wait_ns = self._address_limit.wait_ns(exchange.address)
            if wait_ns:
                refused = self._refusal(exchange, self._address_limit.refusal(wait_ns))
                await self._send(exchange, refused, send)
                return
        if exchange.raw_path == b"*":  # OPTIONS * asks about the server, not about a resource
            await self._send(exchange, Response(204), send)
            return
        problem = check_target(exchange.raw_path)
        if problem is not None:
            await self._send(exchange, self._refusal(exchange, problem), send)
            return
        found = self._router.match(exchange.raw_path.decode("latin-1"))
        if found is None:
            await self._pass_on(exchange, send)
            return
        response = None
        try:
            response = await self._guarded(exchange, *found)
            if response is not None:
                await self._send(exchange, response, send)
        finally:
            if exchange.verdict is not None and self._limits is not None:
                self._limits.finish(exchange, response)

    def _find_client(self, exchange: Exchange) -> None:
        """Take the address of the client from a proxy whose word counts."""
        origin = resolve_origin(exchange.peer, "", "", exchange.raw_headers, self._trusted_proxies)
        exchange.address = origin.address
        exchange.scope["client"] = (origin.address, 0)

    async def _pass_on(self, exchange: Exchange, send: Send) -> None:
        """Let `control` answer what is no operation of a contract."""
        status = 0

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                fields = [field for field in message["headers"] if field[0] != b"x-request-id"]
                message["headers"] = [*fields, (b"x-request-id", exchange.request_id.encode())]
            await send(message)

        exchange.trace = Trace.start()
        enter(exchange.trace)  # a webhook may start a workflow
        exchange.scope[REQUEST_ID] = exchange.request_id
        exchange.scope[PEER] = exchange.peer
        try:
            await self._control(exchange.scope, exchange.receive, sending)
        finally:
            self._note(exchange, status or 500)

    async def _guarded(
        self, exchange: Exchange, leaf: Leaf[Endpoint], values: Sequence[str]
    ) -> Response | None:
        """Return the response, a problem for every error, or None when nobody is left."""
        try:
            return await self._handle(exchange, leaf, values)
        except ClientDisconnectedError:
            self._note(exchange, CLIENT_LEFT)
            return None
        except Problem as problem:
            return self._refusal(exchange, problem)
        except Exception:
            # The outermost guard: whatever happened, the caller gets a problem and we a traceback.
            logger.exception("unhandled error: request=%s", exchange.request_id)
            return self._refusal(exchange, Problem(INTERNAL_ERROR))

    async def _handle(
        self, exchange: Exchange, leaf: Leaf[Endpoint], values: Sequence[str]
    ) -> Response:
        headers = exchange.read_headers()
        endpoint = _choose(exchange.method, leaf)
        if endpoint is None:
            return self._options(exchange, leaf)
        exchange.endpoint = endpoint
        operation, backend = endpoint.operation, endpoint.backend
        # Who it is comes before what it asks: strangers learn nothing about a contract.
        pending = self._authenticator.admit(exchange, endpoint)
        if pending is not None:
            await pending
        if exchange.caller is not None and is_tier(exchange.caller, endpoint.api):
            self._trust_tier(exchange)
        deadline = self._deadline(exchange, backend.timeout_seconds)
        operation.check_accept(headers)
        key = "" if self._idempotency is None else self._idempotency.read(exchange, endpoint)
        if b"content-encoding" in headers and operation.contents.declared:
            exchange.note_coding()
        # What is remembered under a key includes the body.
        streamed = not key and backend.streams(operation, exchange)
        body = None
        if not streamed and operation.contents.declared and exchange.has_body():
            body = exchange.whole_body(backend.body_bytes)
            if body is None:
                operation.find_content(headers)  # what nobody can read is not received first
                body = await exchange.read_body(backend.body_bytes)
            if exchange.packed:
                body = await exchange.unpack(body, backend.body_bytes)
        checked = endpoint.without_body if streamed else operation
        document = checked.check_request(values, exchange.query, headers, body)
        if backend.strict is not None:
            path = exchange.raw_path.decode("latin-1")[len(backend.contract.base_path) :]
            backend.strict.check_request(
                operation.method, path, exchange.query, headers, body or b""
            )
        return await self._answer(exchange, endpoint, key, document, body, deadline)

    async def _answer(
        self,
        exchange: Exchange,
        endpoint: Endpoint,
        key: str,
        document: dict[str, Any],
        body: bytes | None,
        deadline: Deadline,
    ) -> Response:
        """Admit a checked request and run its operation, under its key where it has one."""
        demand = None if self._limits is None else self._limits.demand(exchange, endpoint, body)
        if exchange.proof_use is not None and not self._takes_proof(demand):
            await self._authenticator.use_proof(exchange, endpoint)
        arguments = (exchange, endpoint.operation, document, body, deadline)
        if not key or self._idempotency is None:
            if demand is not None:
                await self._allow(exchange, endpoint, demand)
            return await endpoint.backend.answer(*arguments)
        attempt = self._idempotency.attempt(key, exchange, endpoint, document, body, deadline)
        standing = None
        if demand is not None and self._admission is not None:
            policy = self._idempotency.policy(endpoint)
            try:
                standing = await self._admission.admit(exchange, demand, attempt, policy)
            except CredentialsRefusedError as error:
                raise self._authenticator.refused(exchange, endpoint, used=error.used) from None
        answer = partial(endpoint.backend.answer, *arguments)
        return await self._idempotency.answer(
            attempt, exchange, endpoint, answer, standing, deadline
        )

    def _takes_proof(self, demand: Demand | None) -> bool:
        return self._admission is not None and self._admission.takes_proof(demand)

    async def _allow(self, exchange: Exchange, endpoint: Endpoint, demand: Demand) -> None:
        """Consume the limits of a request; raises Problem."""
        if self._admission is not None:
            try:
                await self._admission.allow(exchange, demand)
            except CredentialsRefusedError as error:
                raise self._authenticator.refused(exchange, endpoint, used=error.used) from None
        elif self._limits is not None:
            await self._limits.check(exchange, demand)

    def _trust_tier(self, exchange: Exchange) -> None:
        """Take over what another tier passes on: request id, trace, and whom the call is for."""
        exchange.trusted = True
        headers = exchange.headers
        request_id = headers.get(b"x-request-id", b"").decode("latin-1")
        if _REQUEST_ID.match(request_id):
            exchange.request_id = request_id
        exchange.trace = Trace.parse(
            [headers.get(b"traceparent", b"").decode("latin-1")],
            [headers.get(b"tracestate", b"").decode("latin-1")],
        )
        caller: TokenCaller = exchange.caller
        exchange.caller = Caller(
            # A tier that acts for nobody is the subject of its own token.
            subject=caller.subject if caller.actor is not None else "",
            client_id=caller.client_id,
            scopes=caller.scopes,
            actors=caller.actors,
        )

    def _deadline(self, exchange: Exchange, seconds: float) -> Deadline:
        """Return when the answer has to be there; only another tier may shorten it."""
        if exchange.trace is None:
            exchange.trace = Trace.start()
        if not exchange.trusted:
            # A stranger's trace is not continued (Trace Context 7): it is noted in the log.
            parent = exchange.headers.get(b"traceparent")
            if parent is not None:
                stranger = Trace.parse([parent.decode("latin-1")])
                exchange.parent = stranger.trace_id if stranger else ""
            return Deadline(exchange.started + seconds)
        text = exchange.headers.get(_TIMEOUT, b"")
        if text.isdigit() and len(text) <= _TIMEOUT_DIGITS:
            seconds = min(seconds, int(text) / 1000)
        return Deadline(exchange.started + seconds)

    def _options(self, exchange: Exchange, leaf: Leaf[Endpoint]) -> Response:
        headers = [(b"allow", leaf.allow.encode())]
        if self._cors is not None:
            endpoints = [endpoint for endpoint, _ in leaf.methods.values()]
            headers += self._cors.preflight(exchange.headers, leaf.allow, endpoints)
        return Response(204, headers=headers)

    def _refusal(self, exchange: Exchange, problem: Problem) -> Response:
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in problem.headers
        ]
        headers += [(b"content-language", b"en"), (b"cache-control", b"no-store")]
        body = problem.body(type_base=self._type_base, request_id=exchange.request_id)
        return Response(problem.status, body, MEDIA_TYPE, headers)

    async def _send(self, exchange: Exchange, response: Response, send: Send) -> None:
        headers = response.headers
        if exchange.caller is not None:
            _keep_from_shared_caches(headers)
        if exchange.nonce:
            headers.append((b"dpop-nonce", exchange.nonce.encode()))
        headers.append((b"x-request-id", exchange.request_id.encode("latin-1")))
        if exchange.verdict is not None and self._limits is not None:
            headers += self._limits.fields(exchange.verdict, response)
        endpoint: Endpoint | None = exchange.endpoint
        if endpoint is not None and endpoint.notices:
            headers.extend(endpoint.notices)
        if response.status >= 400 and exchange.leaves_body():
            # The connection ends here, and the client is told so that it does not use it again.
            headers.append((b"connection", b"close"))
        if self._cors is not None:
            response.headers = self._cors.applied(exchange.headers, headers)
        head = exchange.method == "HEAD"
        try:
            if head or exchange.cycle is None or not response.respond(exchange.cycle):
                await response.send(send, head=head, left=exchange.left)
            elif response.aclose is not None:
                await response.aclose()  # what was read whole has nothing left to wait for
        finally:
            self._note(exchange, response.status)

    def _note(self, exchange: Exchange, status: int) -> None:
        seconds = monotonic() - exchange.started
        self._metrics.note(exchange.endpoint, status, seconds)
        if self._access_log is not None:
            self._access_log.write(exchange, status, seconds)


def _keep_from_shared_caches(headers: list[tuple[bytes, bytes]]) -> None:
    """Make an answer to a caller private, whatever its author says of shared caches."""
    told = [value for name, value in headers if name == b"cache-control"]
    if not told:
        headers.append(_PRIVATE)
        return
    directives = [each.strip() for each in b",".join(told).split(b",")]
    kept = [each for each in directives if not each.lower().startswith(_SHARED)]
    if len(kept) < len(directives) or not any(each.lower() in _UNSHARED for each in kept):
        headers[:] = [each for each in headers if each[0] != b"cache-control"]
        headers.append((b"cache-control", b", ".join([b"private", *kept])))


def _choose(method: str, leaf: Leaf[Endpoint]) -> Endpoint | None:
    """Return the endpoint of a method, None for OPTIONS; raises 405 and 501."""
    chosen = leaf.methods.get(method)
    if chosen is None and method == "HEAD":
        chosen = leaf.methods.get("GET")
    if chosen is not None:
        return chosen[0]
    if method == "OPTIONS":
        return None
    if method not in _KNOWN_METHODS:
        raise Problem(NOT_IMPLEMENTED, headers=[("allow", leaf.allow)])
    raise Problem(
        METHOD_NOT_ALLOWED, f"{leaf.template} offers {leaf.allow}", headers=[("allow", leaf.allow)]
    )
