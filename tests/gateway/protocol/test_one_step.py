"""A whole answer in one step says the same as two messages, or is left to them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.protocol.cycle import CYCLE
from tests.gateway.protocol.memory import MemoryConnection
from tests.gateway.protocol.wire import request

pytestmark = pytest.mark.anyio
FIELDS = [(b"content-type", b"text/plain"), (b"content-length", b"2")]


class Steps:
    """Answers in one step where that is possible, else with messages; notes which."""

    def __init__(self, status: int = 200, fields: list[tuple[bytes, bytes]] = FIELDS) -> None:
        self.status = status
        self.fields = fields
        self.in_one_step: list[bool] = []
        self.bodies: list[bytes | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del receive
        cycle = scope[CYCLE]
        self.bodies.append(cycle.whole_body())
        done = cycle.respond(self.status, list(self.fields), b"ok")
        self.in_one_step.append(done)
        if not done:
            start = {"type": "http.response.start", "status": self.status, "headers": self.fields}
            await send(start)
            await send({"type": "http.response.body", "body": b"ok"})


class Messages(Steps):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        start = {"type": "http.response.start", "status": self.status, "headers": self.fields}
        await send(start)
        await send({"type": "http.response.body", "body": b"ok"})


async def written(app: Steps, *chunks: bytes) -> bytes:
    connection = MemoryConnection(app)
    await connection.feed(*chunks)
    return connection.transport.written


async def test_the_bytes_are_the_same() -> None:
    one, two = Steps(), Messages()

    assert await written(one, request()) == await written(two, request())
    assert one.in_one_step == [True]


@pytest.mark.parametrize("app", [Steps, Messages])
async def test_a_date_that_is_passed_on_is_the_only_one(app: type[Steps]) -> None:
    date = b"Sun, 06 Nov 1994 08:49:37 GMT"

    found = await written(app(fields=[*FIELDS, (b"date", date)]), request())

    assert found.lower().count(b"\r\ndate: ") == 1
    assert date in found


async def test_requests_follow_one_another_on_a_connection() -> None:
    app = Steps()

    found = await written(app, request(), request("POST", "/", body=b"body") + request())

    assert found.count(b"HTTP/1.1 200 OK") == 3
    assert app.in_one_step == [True, True, True]
    assert app.bodies == [b"", b"body", b""]


@pytest.mark.parametrize(
    "asked",
    [
        request("HEAD", "/"),
        request("GET", "/", "Connection: close"),
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ],
    ids=["head", "last request", "http/1.0"],
)
async def test_what_is_framed_otherwise_is_left_to_messages(asked: bytes) -> None:
    one, two = Steps(), Messages()

    assert await written(one, asked) == await written(two, asked)
    assert one.in_one_step == [False]


@pytest.mark.parametrize(
    "field",
    [
        (b"connection", b"close"),
        (b"x-broken", b"a\r\nset-cookie: b"),
        (b"x-broken", b"a\0b"),
        (b"x broken", b"a"),
        (b"x-br\xc3\xb6ken", b"a"),
    ],
)
async def test_a_field_that_needs_a_look_is_left_to_messages(field: tuple[bytes, bytes]) -> None:
    app = Steps(fields=[*FIELDS, field])

    found = await written(app, request())

    assert app.in_one_step == [False]
    assert b"\r\nset-cookie" not in found


@pytest.mark.parametrize("length", [b"3", b"1", b"x"])
async def test_a_wrong_length_is_never_sent(length: bytes) -> None:
    app = Steps(fields=[(b"content-length", length)])

    await written(app, request())

    assert app.in_one_step == [False]


async def test_a_body_that_is_still_arriving_is_left_to_messages() -> None:
    app = Steps()
    whole = request("POST", "/", body=b"0123456789")

    await written(app, whole[:-4])

    assert app.bodies == [None]


async def test_a_client_that_waits_for_a_continue_is_not_kept_waiting() -> None:
    app = Steps()

    await written(app, request("POST", "/", "Expect: 100-continue", "Content-Length: 2"))

    assert app.bodies == [None]


async def test_nothing_keeps_a_cycle_alive_once_it_is_over() -> None:
    scopes = []

    class Keeping(Steps):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            scopes.append(scope)
            await super().__call__(scope, receive, send)

    await written(Keeping(), request())

    assert CYCLE not in scopes[0]
