"""Limits are checked when they are made, and no connection costs more than they say."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from dataclasses import replace
from typing import Any

import pytest

from gateway.protocol.gate import Gate
from gateway.protocol.limits import ProtocolLimits
from tests.gateway.protocol.memory import STILL, MemoryConnection
from tests.gateway.protocol.wire import App, answers, request

pytestmark = pytest.mark.anyio

CHUNK = 65_536


class Idle:
    """Takes requests and reads none of their bodies until it may."""

    def __init__(self) -> None:
        self.may_read = asyncio.Event()
        self.received = 0
        self.more = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 (ASGI)
        await self.may_read.wait()
        while self.more:
            message = await receive()
            self.received += len(message.get("body", b""))
            self.more = message.get("more_body", False)


@pytest.mark.parametrize(
    "change", [{"max_connections": 0}, {"header_seconds": -1.0}, {"linger_seconds": 0}]
)
async def test_a_limit_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be greater than 0"):
        ProtocolLimits(**change)


async def test_a_body_that_is_not_read_stays_with_the_client() -> None:
    connection = MemoryConnection(app := Idle())
    await connection.feed(request("POST", "/ok", "Content-Length: 10000000"))
    fed = 0
    while connection.transport.is_reading():
        await connection.feed(bytes(CHUNK))
        fed += CHUNK

    assert fed <= 3 * CHUNK
    assert connection.protocol.latest is not None
    assert len(connection.protocol.latest.body) == fed

    app.may_read.set()
    await connection.settle()
    assert connection.transport.is_reading()
    await connection.lose()


async def test_waiting_for_the_application_is_not_held_against_the_client() -> None:
    connection = MemoryConnection(Idle())
    await connection.feed(request("POST", "/ok", "Content-Length: 10000000"))
    while connection.transport.is_reading():
        await connection.feed(bytes(CHUNK))
    for _ in range(10):
        connection.gate.advance(9.0)

    assert not connection.transport.written
    assert not connection.transport.closed
    await connection.lose()


async def test_waiting_for_100_continue_is_not_held_against_the_client() -> None:
    connection = MemoryConnection(Idle())
    await connection.feed(request("POST", "/ok", "Expect: 100-continue", "Content-Length: 5"))
    for _ in range(10):
        connection.gate.advance(9.0)

    assert not connection.transport.written
    await connection.lose()


async def test_reading_stops_while_a_pipelined_request_waits() -> None:
    connection = MemoryConnection(Idle())
    await connection.feed(request(), request())

    assert not connection.transport.is_reading()
    await connection.lose()


async def test_bytes_after_a_refusal_are_dropped_and_then_not_read() -> None:
    connection = MemoryConnection(App())
    await connection.feed(b"nonsense\r\n\r\n")
    assert connection.transport.half_closed
    dropped = 0
    while connection.transport.is_reading():
        await connection.feed(bytes(CHUNK))
        dropped += CHUNK

    assert dropped == STILL.max_discarded_bytes + CHUNK
    connection.gate.advance(3.0)
    assert connection.transport.was_aborted()
    await connection.lose()


async def test_at_most_so_many_refused_connections_linger() -> None:
    gate = Gate(replace(STILL, max_lingering=2), on_refusal=lambda _: None)
    connections = [MemoryConnection(App(), gate) for _ in range(3)]
    for connection in connections:
        await connection.feed(b"nonsense\r\n\r\n")

    assert [connection.transport.closed for connection in connections] == [False, False, True]
    for connection in connections:
        await connection.lose()
    assert repr(gate) == "<Gate 0 admitted, 0 lingering>"


async def test_an_unread_answer_is_dropped_once_it_stops_moving() -> None:
    connection = MemoryConnection(App())
    connection.transport.stuck = 100_000
    connection.protocol.pause_writing()
    for _ in range(10):
        connection.gate.advance(6.0)
        connection.transport.stuck -= 3_000
    assert not connection.transport.was_aborted()

    for _ in range(3):
        connection.gate.advance(6.0)
    assert connection.transport.was_aborted()
    await connection.lose()


async def test_a_closing_connection_with_unsent_bytes_is_dropped_once_they_stop_moving() -> None:
    connection = MemoryConnection(App())
    connection.transport.stuck = 1_000
    await connection.feed(request("GET", "/ok", "Connection: close"))
    assert connection.transport.closed
    assert not connection.transport.was_aborted()

    connection.gate.advance(11.0)
    assert connection.transport.was_aborted()
    await connection.lose()


async def test_a_stalled_process_does_not_blame_its_clients() -> None:
    limits = ProtocolLimits(tick_seconds=0.01)
    connection = MemoryConnection(App(), Gate(limits))
    await connection.feed(b"GET / HTTP/1.1\r\n")
    await asyncio.sleep(0.03)
    before = connection.gate.now

    asyncio.get_running_loop().call_soon(time.sleep, 0.2)
    await asyncio.sleep(0.01)
    await asyncio.sleep(0)

    assert 0 < connection.gate.now - before < 0.1
    await connection.lose()


async def test_the_clock_runs_only_while_there_are_connections() -> None:
    connection = MemoryConnection(App(), Gate(ProtocolLimits(tick_seconds=0.01)))
    await asyncio.sleep(0.05)
    assert connection.gate.now > 0
    await connection.lose()
    await asyncio.sleep(0.03)
    stopped = connection.gate.now
    await asyncio.sleep(0.05)

    assert connection.gate.now == stopped


async def test_peers_are_counted_only_while_they_are_connected() -> None:
    gate = Gate(replace(STILL, max_connections_per_peer=1), on_refusal=lambda _: None)
    first = MemoryConnection(App(), gate, peer="192.0.2.7")
    second = MemoryConnection(App(), gate, peer="192.0.2.7")
    other = MemoryConnection(App(), gate, peer="192.0.2.8")
    assert [answers(c.transport.written)[0].status for c in (second,)] == [503]
    assert not other.transport.written
    await first.lose()
    third = MemoryConnection(App(), gate, peer="192.0.2.7")
    assert not third.transport.written
    for connection in (second, other, third):
        await connection.lose()


async def test_requests_and_connections_leave_no_garbage_for_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        app = App()
        connection = MemoryConnection(app)
        await connection.feed(*[request("POST", "/ok", body=b"x" * 100)] * 10)
        app.seen.clear()
        app.scopes.clear()
        alive = weakref.ref(connection.protocol.latest or app)
        await connection.feed(request())
        assert alive() is None, "a finished request waits for the collector"

        protocol = weakref.ref(connection.protocol)
        await connection.lose()
        del connection
        assert protocol() is None, "a closed connection waits for the collector"
    finally:
        gc.enable()
