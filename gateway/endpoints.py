"""What stands behind an operation: an API of this process, or an upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import orjson

from gateway.exchange import Exchange, Field, Response
from gateway.upstream import ForwardedResponse, ForwardRequest, Upstream
from portico.client.tiers import TierClient
from portico.contract import ABSENT, Contract, Operation
from portico.contract.media import is_json
from portico.contract.strict import StrictValidator
from portico.deadline import Deadline
from portico.problems import BAD_UPSTREAM, Problem
from portico.server.call import ANONYMOUS, Call, Reply, combine
from portico.server.service import ResponseCheck, Service
from portico.trace import Trace


class Backend(Protocol):
    """Answers the operations of one API."""

    contract: Contract
    timeout_seconds: float
    body_bytes: int
    strict: StrictValidator | None

    def streams(self, operation: Operation, exchange: Exchange) -> bool:
        """Tell whether the request body is passed on unread."""
        ...

    async def answer(
        self,
        exchange: Exchange,
        operation: Operation,
        document: dict[str, Any],
        body: bytes | None,
        deadline: Deadline,
    ) -> Response:
        """Return the response to a checked request; raises Problem."""
        ...


class Endpoint:
    """One operation at its address, with everything the pipeline asks for each request."""

    __slots__ = ("api", "backend", "notices", "operation", "security", "template")

    def __init__(self, backend: Backend, operation: Operation) -> None:
        self.backend = backend
        self.operation = operation
        self.security = operation.security
        self.api = backend.contract.name
        self.template = backend.contract.base_path + operation.template
        self.notices: tuple[Field, ...] = tuple(
            (name.lower().encode(), value.encode()) for name, value in operation.notices
        )

    def __repr__(self) -> str:
        return f"<Endpoint {self.operation.method} {self.template}>"


class ServiceBackend:
    """An API of the tiers, run in this process."""

    def __init__(
        self,
        service: Service,
        tiers: TierClient,
        *,
        timeout_seconds: float,
        body_bytes: int,
        strict: StrictValidator | None = None,
    ) -> None:
        self.contract = service.contract
        self.timeout_seconds = timeout_seconds
        self.body_bytes = body_bytes
        self.strict = strict
        self._service = service
        self._tiers = tiers

    def streams(self, operation: Operation, exchange: Exchange) -> bool:
        """Return False: handlers get checked data, never a stream."""
        del operation, exchange
        return False

    async def answer(
        self,
        exchange: Exchange,
        operation: Operation,
        document: dict[str, Any],
        body: bytes | None,
        deadline: Deadline,
    ) -> Response:
        """Run the handler and return its checked reply."""
        del body  # it is in the document
        call: Call[Any] = Call(
            operation_id=operation.operation_id,
            caller=exchange.caller or ANONYMOUS,
            deadline=deadline,
            trace=exchange.trace or Trace.start(),
            request_id=exchange.request_id,
            tiers=self._tiers,
            resources=self._service.resources,
            idempotency_key=_scoped_key(exchange, document) if operation.idempotency else "",
        )
        return _from_reply(await self._service.invoke(operation, call, document))


def _scoped_key(exchange: Exchange, document: dict[str, Any]) -> str:
    """Put a key that is its caller's own in the place of the one that was sent, and return it.

    Two clients that choose the same key must not see each other's work. Another tier sends a key
    that was derived from such a one.
    """
    fields = document["header"]
    key: str = fields.get("Idempotency-Key", "")
    if not key or exchange.trusted:
        return key
    caller = exchange.caller or ANONYMOUS
    fields["Idempotency-Key"] = scoped = combine(caller.client_id, caller.subject, key)
    return scoped


def _from_reply(reply: Reply) -> Response:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers
    ]
    body = reply.body
    if body is None:
        return Response(reply.status, b"", "", headers)
    if not isinstance(body, dict | list) and isinstance(body, bytes | AsyncIterator):
        return Response(reply.status, body, reply.media_type, headers)
    return Response(reply.status, orjson.dumps(body), reply.media_type, headers)


class UpstreamBackend:
    """A bring-your-own API behind its contract."""

    def __init__(
        self,
        contract: Contract,
        upstream: Upstream,
        check: ResponseCheck,
        *,
        timeout_seconds: float,
        body_bytes: int,
        checked_bytes: int,
        strict: StrictValidator | None = None,
    ) -> None:
        self.contract = contract
        self.timeout_seconds = timeout_seconds
        self.body_bytes = body_bytes
        self.strict = strict
        self._upstream = upstream
        self._check = check
        self._checked_bytes = checked_bytes
        self._base_path = contract.base_path.encode()

    def streams(self, operation: Operation, exchange: Exchange) -> bool:
        """Tell whether the contract says nothing about the inside of this body."""
        if not operation.contents:
            return True
        return operation.find_content(exchange.headers).opaque

    async def answer(
        self,
        exchange: Exchange,
        operation: Operation,
        document: dict[str, Any],
        body: bytes | None,
        deadline: Deadline,
    ) -> Response:
        """Pass the request on and return the upstream's answer, checked where it is JSON."""
        del document
        content: bytes | AsyncIterator[bytes] = body or b""
        if body is None and exchange.has_body():
            content = exchange.stream_body(self.body_bytes)
        response = await self._upstream.forward(
            ForwardRequest(
                method=exchange.method,
                path=exchange.raw_path[len(self._base_path) :] or b"/",
                query=exchange.query,
                headers=exchange.raw_headers,
                body=content,
                deadline=deadline,
                trace=exchange.trace or Trace.start(),
                peer=exchange.peer,
                scheme=exchange.scope.get("scheme", "http"),
                host=exchange.headers.get(b"host", b""),
                base_path=self._base_path,
                http_version=exchange.scope.get("http_version", "1.1"),
            )
        )
        if self._check.due():
            await self._look_at(operation, response)
        return Response(
            response.status, response.body, "", response.headers, aclose=response.aclose
        )

    async def _look_at(self, operation: Operation, response: ForwardedResponse) -> None:
        """Check the answer; a large stream is passed on with its inside unchecked."""
        fields = {name: value.decode("latin-1") for name, value in response.headers}
        media_type = fields.get(b"content-type", "")
        seen: object = ABSENT
        if is_json(media_type) and b"content-encoding" not in fields:
            raw = await _collect(response, self._checked_bytes)
            seen = ABSENT if raw is None else self._parse(raw, response.status)
        elif response.body == b"":
            seen = None
        headers = [(name.decode("latin-1"), value) for name, value in fields.items()]
        wrong = operation.check_response(response.status, media_type, seen, headers)
        if wrong:
            try:
                self._check.report(operation, response.status, wrong)
            except Problem:
                await response.aclose()
                raise self._broken(len(wrong), response.status) from None

    def _parse(self, raw: bytes, status: int) -> object:
        if not raw:
            return None
        try:
            data: object = orjson.loads(raw)
        except orjson.JSONDecodeError:
            if self._check.enforces:
                raise self._broken(1, status) from None
            return ABSENT
        return data

    def _broken(self, count: int, status: int) -> Problem:
        return Problem(
            BAD_UPSTREAM,
            f"the upstream answered {status} with {count} violations of its contract",
            extensions={"api": self.contract.name},
        )


async def _collect(response: ForwardedResponse, limit: int) -> bytes | None:
    """Return the whole body and keep it for sending, or None if it is larger than `limit`."""
    body = response.body
    if isinstance(body, bytes):
        return body
    chunks: list[bytes] = []
    size = 0
    async for chunk in body:
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            response.body = _again(chunks, body)
            return None
    response.body = b"".join(chunks)
    return response.body


async def _again(chunks: Sequence[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    async for chunk in rest:
        yield chunk
