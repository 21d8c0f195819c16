"""What stands behind an operation: an API of this process, or an upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from gateway.exchange import Exchange, Field, Response
from gateway.upstream.messages import ForwardedResponse, ForwardRequest
from gateway.upstream.upstream import Upstream
from portico.client import render
from portico.client.tiers import TierClient, idempotency_parameter
from portico.contract import ABSENT, Contract, Operation
from portico.contract.media import is_json
from portico.deadline import Deadline
from portico.json_text import encode
from portico.problems import BAD_UPSTREAM, Problem
from portico.server.call import ANONYMOUS, Call, Reply, combine
from portico.server.service import ResponseCheck, Service
from portico.trace import Trace

if TYPE_CHECKING:
    from portico.contract.strict import StrictValidator

# What of a request does not go with another one.
_OF_THE_BODY = frozenset(
    {b"content-type", b"content-length", b"content-encoding", b"idempotency-key", b"if-match"}
)
# Tuples, because a union of types is made anew, and slowly, each time it is asked about.
_JSON = (dict, list)
_OCTETS = (bytes, AsyncIterator)


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

    async def ask(
        self,
        exchange: Exchange,
        operation: Operation,
        document: dict[str, Any],
        deadline: Deadline,
    ) -> Response:
        """Return the response to a request of the gateway's own, without a body."""
        ...


class Endpoint:
    """One operation at its address, with everything the pipeline asks for each request."""

    __slots__ = (
        "api",
        "backend",
        "labels",
        "name",
        "notices",
        "operation",
        "security",
        "template",
        "without_body",
    )

    def __init__(self, backend: Backend, operation: Operation) -> None:
        self.backend = backend
        self.operation = operation
        # What a request is checked against whose body is passed on unread.
        self.without_body = replace(operation, body_required=False)
        self.security = operation.security
        self.api = backend.contract.name
        # What limits, records, logs and metrics call it.
        self.name = f"{self.api}/{operation.operation_id}"
        self.labels = (self.api, operation.operation_id)
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
    ) -> None:
        self.contract = service.contract
        self.timeout_seconds = timeout_seconds
        self.body_bytes = body_bytes
        self.strict = service.strict
        self._service = service
        self._tiers = tiers
        self._key_names = {
            name: idempotency_parameter(operation)
            for name, operation in service.contract.operations.items()
        }

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
            idempotency_key=self._scoped_key(exchange, operation, document),
            media_type=_preferred(exchange, operation),
        )
        return _from_reply(await self._service.invoke(operation, call, document))

    async def ask(
        self,
        exchange: Exchange,
        operation: Operation,
        document: dict[str, Any],
        deadline: Deadline,
    ) -> Response:
        """Run a handler for the gateway itself."""
        return await self.answer(exchange, operation, document, None, deadline)

    def _scoped_key(
        self, exchange: Exchange, operation: Operation, document: dict[str, Any]
    ) -> str:
        """Put a key that is its caller's own in the place of the one that was sent; return it.

        Two clients that choose the same key must not see each other's work: a record has a key of
        its own for what is below, and without records the caller becomes part of the key. Another
        tier sends a key that was derived from such a one.
        """
        name = self._key_names[operation.operation_id]
        if not name:
            return ""
        fields = document["header"]
        key: str = fields.get(name, "")
        if key and exchange.upstream_key:
            fields[name] = exchange.upstream_key
            return exchange.upstream_key
        if not key or exchange.trusted:
            return key
        caller = exchange.caller or ANONYMOUS
        fields[name] = scoped = combine(caller.client_id, caller.subject, key)
        return scoped


def _preferred(exchange: Exchange, operation: Operation) -> str:
    several = len(operation.produces) > 1
    return operation.preferred(exchange.headers) if several else ""


def _from_reply(reply: Reply) -> Response:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers
    ]
    body = reply.body
    if isinstance(body, _JSON):
        return Response(reply.status, encode(body), reply.media_type, headers)
    if body is None:
        return Response(reply.status, b"", "", headers)
    if isinstance(body, str) and not is_json(reply.media_type):
        body = body.encode()
    if isinstance(body, _OCTETS):
        aclose = getattr(body, "aclose", None)
        return Response(reply.status, body, reply.media_type, headers, aclose)
    return Response(reply.status, encode(body), reply.media_type, headers)


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
        if not exchange.has_body():
            return False
        if not operation.contents.declared:
            return True
        # openapi-core reads every body itself.
        return self.strict is None and operation.find_content(exchange.headers).opaque

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
        request = self._request(exchange, deadline, body=content)
        response = await self._upstream.forward(request, derived_key=exchange.upstream_key)
        # The answer to HEAD has no content, and 304 is between caches and not in contracts.
        if exchange.method != "HEAD" and response.status != 304 and self._check.due():
            await self._look_at(exchange, operation, response)
        return Response(
            response.status, response.body, "", response.headers, aclose=response.aclose
        )

    async def ask(
        self,
        exchange: Exchange,
        operation: Operation,
        document: dict[str, Any],
        deadline: Deadline,
    ) -> Response:
        """Send the upstream a request of the gateway's own, with the client's credentials."""
        fields = [field for field in exchange.raw_headers if field[0] not in _OF_THE_BODY]
        fields += [
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in render.headers(operation, document)
        ]
        request = self._request(
            exchange,
            deadline,
            method=operation.method,
            path=render.path(operation, document["path"]).encode(),
            query=render.query(operation, document["query"]).removeprefix("?").encode(),
            headers=fields,
        )
        response = await self._upstream.forward(request)
        try:
            body = await _collect(response, self._checked_bytes)
        finally:
            await response.aclose()
        if body is None:
            raise Problem(BAD_UPSTREAM, "the answer of the status operation is too large")
        return Response(response.status, body, "", response.headers)

    def _request(self, exchange: Exchange, deadline: Deadline, **changes: Any) -> ForwardRequest:
        """Return the client's request as it is passed on, with changes."""
        members = {
            "method": exchange.method,
            "path": exchange.raw_path[len(self._base_path) :] or b"/",
            "query": exchange.query,
            "headers": exchange.raw_headers,
            "body": b"",
            **changes,
        }
        return ForwardRequest(
            deadline=deadline,
            trace=exchange.trace or Trace.start(),
            peer=exchange.peer,
            scheme=exchange.scope.get("scheme", "http"),
            host=exchange.headers.get(b"host", b""),
            base_path=self._base_path,
            http_version=exchange.scope.get("http_version", "1.1"),
            **members,
        )

    async def _look_at(
        self, exchange: Exchange, operation: Operation, response: ForwardedResponse
    ) -> None:
        """Check the answer; one that is not passed on is closed."""
        try:
            wrong = await self._wrong(exchange, operation, response)
        except BaseException:
            await response.aclose()
            raise
        if not wrong:
            return
        try:
            self._check.report(operation, response.status, wrong)
        except Problem:
            await response.aclose()
            raise Problem(
                BAD_UPSTREAM,
                f"the upstream answered {response.status}, and not as its contract says",
                extensions={"api": self.contract.name},
            ) from None

    async def _wrong(
        self, exchange: Exchange, operation: Operation, response: ForwardedResponse
    ) -> list[dict[str, object]]:
        """Return what is wrong; the inside of a large stream is not looked at."""
        media_type, coding = _content_fields(response)
        seen: object = ABSENT
        raw: bytes | None = b"" if response.body == b"" else None
        if is_json(media_type):
            raw = await _collect(response, self._checked_bytes)
            if raw and coding:
                # It was asked to send its JSON as it is.
                return [{"detail": f"the content coding {coding!r} hides the body"}]
        if raw == b"":
            seen = None
        elif raw is not None:
            try:
                seen = orjson.loads(raw)
            except orjson.JSONDecodeError:
                return [{"detail": "the body is not JSON"}]
        wrong = operation.check_response(
            response.status, media_type, seen, _declared_fields(operation, response)
        )
        if self.strict is not None and raw is not None and not wrong:
            path = exchange.raw_path[len(self._base_path) :].decode("latin-1")
            wrong = self.strict.check_response(
                operation.method, path, response.status, media_type, raw
            )
        return wrong


def _content_fields(response: ForwardedResponse) -> tuple[str, str]:
    """Return media type and content coding; the lines of one name are joined."""
    media_type = coding = ""
    for name, value in response.headers:
        if name == b"content-type":
            media_type += (", " if media_type else "") + value.decode("latin-1")
        elif name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            coding += value.decode("latin-1")
    return media_type, coding


def _declared_fields(operation: Operation, response: ForwardedResponse) -> list[tuple[str, str]]:
    """Return the header fields, all lines of them, where the contract declares any."""
    answer = operation.find_answer(response.status)
    if answer is None or not answer.headers:
        return []
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]


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
