"""A call within one process: no bytes, the same checks."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from portico.client import render
from portico.client.http import BROKEN_OFF, MAX_REPLY_BYTES, NOT_JSON, TOO_LARGE
from portico.client.layers import Callers
from portico.client.tiers import TierClient
from portico.contract import Operation
from portico.contract.media import is_json
from portico.idempotency.claim import Claim
from portico.idempotency.tiers import KeyedOperation
from portico.json_text import encode
from portico.problems import BAD_UPSTREAM, FORBIDDEN, INTERNAL_ERROR, Problem, problem_from
from portico.server.call import Call, Reply
from portico.server.service import Service

if TYPE_CHECKING:
    from portico.contract.strict import StrictValidator

logger = logging.getLogger("portico.client")


class LocalTransport:
    """Reaches an API that runs in this process."""

    def __init__(
        self,
        service: Service,
        tiers: TierClient,
        keyed: Mapping[str, KeyedOperation] | None = None,
        callers: Callers | None = None,
    ) -> None:
        self._service = service
        self._tiers = tiers
        self._keyed = keyed or {}
        self._callers = callers

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        """Run the handler for a checked document and return its checked reply."""
        # What a token would prove over HTTP is decided here, without one.
        if self._callers is not None:
            self._callers.check(call.caller.client_id)
        if not operation.security.allows(call.caller.scopes):
            raise Problem(FORBIDDEN)
        if self._service.strict is not None:
            self._check_strictly(self._service.strict, operation, document)
        call.resources = self._service.resources
        call.tiers = self._tiers
        try:
            reply = await self._once(operation, call, document)
        except Problem:
            raise
        except Exception:
            # The callee's outermost guard: over HTTP its caller would not see more either.
            logger.exception(
                "unhandled error: api=%s operation=%s request=%s",
                self._service.contract.name,
                operation.operation_id,
                call.request_id,
            )
            raise Problem(INTERNAL_ERROR) from None
        if reply.status >= 400:
            body = reply.body if isinstance(reply.body, dict) else {}
            raise problem_from(reply.status, body, reply.headers)
        if reply.body is not None and not isinstance(reply.body, dict | list):
            await self._read(reply)
        return reply

    async def _once(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        """Run the handler, under the record of the call's key where it has one."""
        keyed = self._keyed.get(operation.operation_id)
        if keyed is None or not call.idempotency_key:
            return await self._service.invoke(operation, call, document)

        async def claimed(claim: Claim) -> Reply:
            # What is below gets the key of this record, whoever sent which before.
            call.idempotency_key = claim.upstream_key
            document["header"][keyed.key_name] = claim.upstream_key
            return await self._service.invoke(operation, call, document)

        return await keyed.invoke(call, document, claimed)

    def _check_strictly(
        self, strict: StrictValidator, operation: Operation, document: dict[str, Any]
    ) -> None:
        """Have openapi-core check the request that would have been sent."""
        fields = dict(render.headers(operation, document))
        content = b""
        if "body" in document:
            content = encode(document["body"])
            fields["content-type"] = "application/json"
        strict.check_request(
            operation.method,
            render.path(operation, document["path"]),
            render.query(operation, document["query"]).removeprefix("?").encode(),
            {name.lower().encode(): value.encode("latin-1") for name, value in fields.items()},
            content,
        )

    async def _read(self, reply: Reply) -> None:
        """Make of octets what a caller over HTTP would get: JSON is read, streams are gathered."""
        content = reply.body
        if isinstance(content, AsyncIterator):
            try:
                reply.body = content = await self._gathered(content)
            except Problem:
                raise
            except Exception as error:
                raise self._broken(BROKEN_OFF) from error
        if isinstance(content, bytes) and content and is_json(reply.media_type):
            try:
                reply.body = orjson.loads(content)
            except orjson.JSONDecodeError:
                raise self._broken(NOT_JSON) from None
        elif isinstance(content, str) and not is_json(reply.media_type):
            reply.body = content.encode()

    async def _gathered(self, stream: AsyncIterator[bytes]) -> bytes:
        chunks = []
        size = 0
        async for chunk in stream:
            size += len(chunk)
            if size > MAX_REPLY_BYTES:
                raise self._broken(TOO_LARGE)
            chunks.append(chunk)
        return b"".join(chunks)

    def _broken(self, what: str) -> Problem:
        name = self._service.contract.name
        return Problem(BAD_UPSTREAM, f"{name} {what}", extensions={"api": name})
