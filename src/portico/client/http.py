"""A call to an API that runs as its own service: the same document, as an HTTP request."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

import httpx
import orjson

from portico.client import render
from portico.contract import Contract, Operation
from portico.contract.media import is_json
from portico.json_text import encode
from portico.problems import (
    BAD_UPSTREAM,
    DEADLINE_EXCEEDED,
    UNAVAILABLE,
    Problem,
    problem_from,
)
from portico.server.call import Call, Caller, Reply

# A duration, not a point in time: the clocks of two machines need not agree.
TIMEOUT_HEADER = "portico-timeout-ms"
MAX_REPLY_BYTES = 16 * 1024 * 1024
BROKEN_OFF = "closed the connection before its answer was complete"
TOO_LARGE = f"answered with more than {MAX_REPLY_BYTES} bytes"
NOT_JSON = "answered with what is not JSON"
RETRY_AFTER_SECONDS = 1
CONNECT_SECONDS = 3.0  # one lost SYN is sent again after a second, two after three
POOL_SECONDS = 1.0
# A token is used until this long before it ends, so that none expires on its way.
_TOKEN_MARGIN_SECONDS = 30.0
# Tokens kept for one callee, one for each user and set of scopes: about 4 MB, as many as a callee
# remembers to have verified.
_MAX_TOKENS = 4096


class TokenSource(Protocol):
    """Makes the tokens by which one API proves itself to another."""

    def mint(self, caller: Caller, audience: str) -> tuple[str, float]:
        """Return a token of a calling API for a callee, and the seconds it is good for."""
        ...


class HTTPTransport:
    """Reaches one API at a base URL."""

    def __init__(
        self,
        contract: Contract,
        base_url: str,
        *,
        http: httpx.AsyncClient,
        tokens: TokenSource,
    ) -> None:
        self._api = contract.name
        self._base_url = base_url.rstrip("/") + contract.base_path
        self._http = http
        self._source = tokens
        # One token for each set of scopes and user: a call carries no more than it needs.
        self._tokens: OrderedDict[Caller, tuple[str, float]] = OrderedDict()

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        """Send the call and return its reply; see `Transport`."""
        remaining = max(call.deadline.remaining(), 0.001)
        request = self._request(operation, call, document, remaining)
        try:
            async with asyncio.timeout(remaining):
                response = await self._http.send(request, stream=True)
                content = await self._read(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise self._unavailable() from None
        except (TimeoutError, httpx.TimeoutException):
            raise Problem(DEADLINE_EXCEEDED, extensions={"api": self._api}) from None
        except httpx.HTTPError:
            raise self._broken(BROKEN_OFF) from None
        return self._reply(response, content)

    def _request(
        self, operation: Operation, call: Call[Any], document: Mapping[str, Any], remaining: float
    ) -> httpx.Request:
        path = render.path(operation, document["path"])
        fields = [
            ("authorization", f"Bearer {self._token(call.caller)}"),
            ("accept", ", ".join(operation.produces) or "*/*"),
            ("accept-encoding", "identity"),
            ("x-request-id", call.request_id),
            (TIMEOUT_HEADER, str(max(1, int(remaining * 1000)))),
            *call.trace.headers(),
            *render.headers(operation, document),
        ]
        content = None
        if "body" in document:
            fields.append(("content-type", "application/json"))
            content = encode(document["body"])
        return self._http.build_request(
            operation.method,
            self._base_url + path + render.query(operation, document["query"]),
            headers=[(name.encode(), value.encode("latin-1")) for name, value in fields],
            content=content,
            timeout=httpx.Timeout(
                remaining, connect=min(CONNECT_SECONDS, remaining), pool=POOL_SECONDS
            ),
        )

    def _token(self, caller: Caller) -> str:
        token, until = self._tokens.get(caller, ("", 0.0))
        if time.monotonic() < until:
            self._tokens.move_to_end(caller)
            return token
        token, seconds = self._source.mint(caller, self._api)
        until = time.monotonic() + max(0.0, seconds - _TOKEN_MARGIN_SECONDS)
        self._tokens[caller] = (token, until)
        if len(self._tokens) > _MAX_TOKENS:
            self._tokens.popitem(last=False)
        return token

    async def _read(self, response: httpx.Response) -> bytes:
        chunks = []
        size = 0
        try:
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > MAX_REPLY_BYTES:
                    raise self._broken(TOO_LARGE)
                chunks.append(chunk)
        finally:
            await response.aclose()
        return b"".join(chunks)

    def _reply(self, response: httpx.Response, content: bytes) -> Reply:
        status = response.status_code
        media_type = response.headers.get("content-type", "")
        fields = response.headers.multi_items()
        body: object = content or None
        if content and is_json(media_type):
            body = self._decoded(content)
        if status in {401, 403} and "www-authenticate" in response.headers:
            # It is this process that was refused, not the one who called it.
            raise self._broken("does not accept the tokens of this process")
        if status >= 400:
            raise problem_from(status, body if isinstance(body, dict) else {}, fields)
        return Reply(status=status, body=body, headers=fields, media_type=media_type)

    def _decoded(self, content: bytes) -> object:
        try:
            data: object = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise self._broken(NOT_JSON) from None
        return data

    def _unavailable(self) -> Problem:
        return Problem(
            UNAVAILABLE,
            f"{self._api} cannot be reached",
            headers=[("retry-after", str(RETRY_AFTER_SECONDS))],
            extensions={"api": self._api},
        )

    def _broken(self, what: str) -> Problem:
        return Problem(BAD_UPSTREAM, f"{self._api} {what}", extensions={"api": self._api})
