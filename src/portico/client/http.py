"""A call to an API that runs as its own service: the same document, as an HTTP request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import orjson

from portico.contract import Contract, Operation
from portico.contract.media import is_json
from portico.contract.parameters import Parameter
from portico.problems import BAD_UPSTREAM, DEADLINE_EXCEEDED, UNAVAILABLE, Problem, problem_from
from portico.server.call import Call, Reply

# A duration, not a point in time: the clocks of two machines need not agree.
TIMEOUT_HEADER = "portico-timeout-ms"
SUBJECT_HEADER = "portico-subject"
MAX_REPLY_BYTES = 16 * 1024 * 1024
RETRY_AFTER_SECONDS = 1
# A token is used until this long before it ends, so that none expires on its way.
_TOKEN_MARGIN_SECONDS = 30.0


class TokenSource(Protocol):
    """Makes the tokens by which one API proves itself to another."""

    def mint(self, *, client_id: str, audience: str, scopes: frozenset[str]) -> tuple[str, float]:
        """Return a token and the seconds it is good for."""
        ...


class HTTPTransport:
    """Reaches one API at a base URL, as one calling API."""

    def __init__(
        self,
        contract: Contract,
        base_url: str,
        *,
        client_id: str,
        scopes: frozenset[str],
        http: httpx.AsyncClient,
        tokens: TokenSource,
    ) -> None:
        self._api = contract.name
        self._base_url = base_url.rstrip("/") + contract.base_path
        self._client_id = client_id
        self._scopes = scopes
        self._http = http
        self._tokens = tokens
        self._token = ("", 0.0)

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        """Send the call and return its reply; see `Transport`."""
        request = self._request(operation, call, document)
        try:
            response = await self._http.send(request)
        except httpx.TimeoutException:
            raise Problem(DEADLINE_EXCEEDED, extensions={"api": self._api}) from None
        except httpx.ConnectError:
            raise self._unavailable() from None
        except httpx.HTTPError:
            raise Problem(BAD_UPSTREAM, extensions={"api": self._api}) from None
        return _reply(response)

    def _request(
        self, operation: Operation, call: Call[Any], document: Mapping[str, Any]
    ) -> httpx.Request:
        remaining = max(call.deadline.remaining(), 0.001)
        headers = [
            ("authorization", f"Bearer {self._fresh_token()}"),
            ("accept", ", ".join(operation.produces) or "*/*"),
            ("x-request-id", call.request_id),
            (TIMEOUT_HEADER, str(max(1, int(remaining * 1000)))),
            *call.trace.headers(),
            *_headers(operation, document["header"]),
        ]
        if call.caller.subject:
            headers.append((SUBJECT_HEADER, call.caller.subject))
        content = None
        if "body" in document:
            headers.append(("content-type", "application/json"))
            content = orjson.dumps(document["body"])
        return self._http.build_request(
            operation.method,
            self._base_url + _path(operation, document["path"]) + _query(operation, document),
            headers=headers,
            content=content,
            timeout=remaining,
        )

    def _fresh_token(self) -> str:
        token, until = self._token
        if time.monotonic() < until:
            return token
        token, seconds = self._tokens.mint(
            client_id=self._client_id, audience=self._api, scopes=self._scopes
        )
        self._token = (token, time.monotonic() + max(0.0, seconds - _TOKEN_MARGIN_SECONDS))
        return token

    def _unavailable(self) -> Problem:
        return Problem(
            UNAVAILABLE,
            f"{self._api} cannot be reached",
            headers=[("Retry-After", str(RETRY_AFTER_SECONDS))],
            extensions={"api": self._api},
        )


def _reply(response: httpx.Response) -> Reply:
    media_type = response.headers.get("content-type", "")
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name not in {"content-type", "content-length", "date", "server", "connection"}
    ]
    body: object = response.content
    if is_json(media_type):
        body = orjson.loads(response.content)
    elif not response.content:
        body = None
    if response.status_code >= 400:
        document = body if isinstance(body, dict) else {}
        raise problem_from(response.status_code, document, headers)
    return Reply(status=response.status_code, body=body, headers=headers, media_type=media_type)


def _path(operation: Operation, values: Mapping[str, Any]) -> str:
    path = operation.template
    for parameter in operation.parameters:
        if parameter.where == "path":
            path = path.replace("{" + parameter.name + "}", _simple(values[parameter.name]))
    return path


def _simple(value: object) -> str:
    if isinstance(value, list):
        return ",".join(quote(_text(item), safe="") for item in value)
    return quote(_text(value), safe="")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _query(operation: Operation, document: Mapping[str, Any]) -> str:
    pairs: list[tuple[str, str]] = []
    for parameter in operation.parameters:
        if parameter.where == "query" and parameter.name in document["query"]:
            pairs.extend(_pairs(parameter, document["query"][parameter.name]))
    return "?" + "&".join(f"{name}={value}" for name, value in pairs) if pairs else ""


def _pairs(parameter: Parameter, value: object) -> list[tuple[str, str]]:
    name = quote(parameter.name, safe="")
    if isinstance(value, list):
        items = [quote(_text(item), safe="") for item in value]
        return [(name, item) for item in items] if parameter.explode else [(name, ",".join(items))]
    if isinstance(value, dict):
        if parameter.style == "deepObject":
            return [
                (f"{name}%5B{quote(key, safe='')}%5D", quote(_text(item), safe=""))
                for key, item in value.items()
            ]
        return [(quote(key, safe=""), quote(_text(item), safe="")) for key, item in value.items()]
    return [(name, quote(_text(value), safe=""))]


def _headers(operation: Operation, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            parameter.name,
            ",".join(map(_text, value)) if isinstance(value, list) else _text(value),
        )
        for parameter in operation.parameters
        if parameter.where == "header" and (value := values.get(parameter.name)) is not None
    ]
