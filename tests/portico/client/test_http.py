"""A callee in another process: whatever it sends, its caller gets a reply or a problem in time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest

from portico.client.http import MAX_REPLY_BYTES, HTTPTransport
from portico.client.tiers import TierClient, targets
from portico.contract import load
from portico.deadline import Deadline
from portico.problems import Problem
from portico.server.call import Call, Caller, Reply
from portico.trace import Trace
from portico.transport.pool import PooledTransport
from tests.support.serving import CONTRACTS, SHELF

pytestmark = pytest.mark.anyio
BASKET_CONTRACT = load(CONTRACTS / "process" / "basket.v1.yaml")
CONTRACTS_BY_NAME = {
    SHELF: load(CONTRACTS / "system" / "shelf.v1.yaml"),
    "process/absent.v1": load(CONTRACTS / "process" / "absent.v1.yaml"),
}
THING = b'{"id":"1","name":"Lamp","color":"grey"}'


class Tokens:
    """Counts the tokens it makes; each is good for `seconds`."""

    def __init__(self, seconds: float = 300.0) -> None:
        self.made: list[tuple[Caller, str]] = []
        self._seconds = seconds

    def mint(self, caller: Caller, audience: str) -> tuple[str, float]:
        self.made.append((caller, audience))
        return f"token-{len(self.made)}", self._seconds


def calling_as(scope: str) -> Caller:
    """Return basket as it calls shelf: for a user, by way of the client that asked it."""
    return Caller(
        subject="Zoë",
        client_id="process/basket.v1",
        scopes=frozenset({scope}),
        actors=("tests",),
    )


@contextlib.asynccontextmanager
async def answering(*parts: bytes, every: float = 0.0) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run a server that answers each request with these bytes; yield its URL and what it saw."""
    seen: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                seen.append(await reader.readuntil(b"\r\n\r\n"))
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(every)
                if not parts or b"connection: close" in parts[0]:
                    break
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def calling(
    url: str, tokens: Tokens | None = None, seconds: float = 5.0
) -> AsyncIterator[Callable[..., Any]]:
    """Yield a function that calls an operation of shelf at a URL."""
    pool = PooledTransport(max_connections=4, max_waiting=4, idle_seconds=4.0)
    async with httpx.AsyncClient(transport=pool, trust_env=False) as http:
        transport = HTTPTransport(
            CONTRACTS_BY_NAME[SHELF],
            url,
            http=http,
            tokens=tokens or Tokens(),
        )
        transports = dict.fromkeys(BASKET_CONTRACT.calls, transport)
        tiers = TierClient(
            "process/basket.v1", targets(BASKET_CONTRACT, CONTRACTS_BY_NAME, transports)
        )
        call: Call[None] = Call(
            operation_id="relay",
            caller=Caller(subject="Zoë", client_id="tests"),
            deadline=Deadline.after(seconds),
            trace=Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1, "vendor=1"),
            request_id="id-1",
            tiers=tiers,
            resources=None,
            idempotency_key="key-1",
        )

        async def invoke(operation: str = "getThing", **options: Any) -> Reply:
            arguments = options.pop("arguments", {"thingId": "1"})
            return await call.invoke(SHELF, operation, arguments, **options)

        yield invoke


def response(status: int, body: bytes, media_type: str = "application/json", *more: str) -> bytes:
    fields = [f"content-type: {media_type}", f"content-length: {len(body)}", *more]
    return "\r\n".join([f"HTTP/1.1 {status} X", *fields, "", ""]).encode() + body


async def problem(*parts: bytes, every: float = 0.0, seconds: float = 5.0) -> Problem:
    """Return what the caller gets for an answer."""
    async with answering(*parts, every=every) as (url, _), calling(url, seconds=seconds) as invoke:
        with pytest.raises(Problem) as raised:
            await invoke()
    return raised.value


async def test_a_request_carries_everything_a_tier_passes_on() -> None:
    async with answering(response(200, THING)) as (url, seen), calling(url + "/base/") as invoke:
        reply = await invoke(arguments={"thingId": "a/b c"})

    lines = seen[0].decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if line)
    fields = {name.lower(): value for name, value in fields.items()}
    assert lines[0] == "GET /base/system/shelf/v1/things/a%2Fb%20c HTTP/1.1"
    assert fields["authorization"] == "Bearer token-1"
    assert fields["accept"] == "application/json"
    assert fields["accept-encoding"] == "identity"
    assert fields["x-request-id"] == "id-1"
    assert 4000 < int(fields["portico-timeout-ms"]) <= 4500
    assert fields["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert fields["traceparent"].endswith("-01")
    assert "b7ad6b7169203331" not in fields["traceparent"]
    assert fields["tracestate"] == "vendor=1"
    assert reply.body == orjson.loads(THING)


async def test_a_token_carries_what_the_operation_needs_and_is_used_again() -> None:
    tokens = Tokens()
    async with answering(response(200, THING)) as (url, _), calling(url, tokens) as invoke:
        for _ in range(3):
            await invoke()
    async with answering(response(204, b"", "")) as (url, _), calling(url, tokens) as invoke:
        await invoke("removeThing")

    assert tokens.made == [(calling_as("shelf:read"), SHELF), (calling_as("shelf:write"), SHELF)]


async def test_a_token_is_renewed_before_it_ends() -> None:
    tokens = Tokens(seconds=30.0)
    async with answering(response(200, THING)) as (url, _), calling(url, tokens) as invoke:
        await invoke()
        await invoke()

    assert len(tokens.made) == 2


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (response(200, b"{"), "system/shelf.v1 answered with what is not JSON"),
        (response(500, b"<p>", "application/json"), "answered with what is not JSON"),
        (b"nonsense\r\n\r\n", "closed the connection before its answer was complete"),
        (b"HTTP/1.1 200 X\r\ncontent-length: 9\r\nconnection: close\r\n\r\n{", "closed the conn"),
        (
            response(401, b"{}", "application/problem+json", "www-authenticate: Bearer"),
            "system/shelf.v1 does not accept the tokens of this process",
        ),
        (
            response(403, b"{}", "application/problem+json", "www-authenticate: Bearer"),
            "system/shelf.v1 does not accept the tokens of this process",
        ),
    ],
)
async def test_an_answer_that_is_none_is_a_502_that_names_the_callee(
    answer: bytes, detail: str
) -> None:
    found = await problem(answer)

    assert (found.status, found.kind.slug) == (502, "bad-upstream-answer")
    assert detail in found.detail
    assert found.extensions == {"api": SHELF}


async def test_a_connection_that_closes_without_an_answer_is_a_502() -> None:
    assert (await problem()).status == 502


async def test_a_callee_that_is_not_there_is_a_503_that_names_it() -> None:
    async with calling("http://127.0.0.1:9") as invoke:
        with pytest.raises(Problem) as raised:
            await invoke()

    assert raised.value.status == 503
    assert raised.value.detail == "system/shelf.v1 cannot be reached"
    assert raised.value.headers == (("retry-after", "1"),)


@pytest.mark.parametrize("every", [0.05, 10.0])
async def test_an_answer_that_takes_too_long_is_a_504_in_time(every: float) -> None:
    """A byte now and then does not keep a call alive beyond its deadline."""
    started = time.monotonic()
    head = b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"

    found = await problem(head, *[b" "] * 999, every=every, seconds=0.4)

    assert time.monotonic() - started < 1.0
    assert (found.status, found.kind.slug) == (504, "deadline-exceeded")
    assert found.extensions == {"api": SHELF}


async def test_an_answer_that_is_too_large_is_a_502() -> None:
    size = MAX_REPLY_BYTES + 1
    head = f"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"

    found = await problem(head.encode(), b" " * size)

    assert found.status == 502
    assert "answered with more than" in found.detail


@pytest.mark.parametrize(
    ("status", "slug"),
    [
        (404, "not-found"),
        (409, "conflict"),
        (500, "internal-error"),
        (502, "bad-upstream-answer"),
        (503, "unavailable"),
    ],
)
async def test_an_error_without_a_problem_is_the_usual_one_of_its_status(
    status: int, slug: str
) -> None:
    found = await problem(response(status, b"<h1>Oops</h1>", "text/html", "retry-after: 3"))

    assert (found.status, found.kind.slug) == (status, slug)
    assert found.headers == (("retry-after", "3"),)


@pytest.mark.parametrize("slug", ["invalid-content", "uri-too-long", "unsupported-media-type"])
async def test_a_refusal_of_the_request_is_the_callers_fault(slug: str) -> None:
    statuses = {"invalid-content": 422, "uri-too-long": 414, "unsupported-media-type": 415}
    document = {"type": f"/portal/problems/{slug}", "title": "x", "status": 4, "detail": "because"}
    media_type = "application/problem+json"

    found = await problem(response(statuses[slug], orjson.dumps(document), media_type))

    assert found.status == 500
    assert found.detail == "process/basket.v1 broke the contract of getThing: because"
