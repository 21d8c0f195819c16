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
from tests.gateway.protocol.wire import App, answers, request, respond

pytestmark = pytest.mark.anyio

CHUNK = 65_536


class Idle:
    """Takes requests, but neither reads nor answers before it may."""

    def __init__(self) -> None:
        self.may_read = asyncio.Event()
        self.received = 0
        self.more = True

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        await self.may_read.wait()
        while self.more:
            message = await receive()
            self.received += len(message.get("body", b""))
            self.more = message.get("more_body", False)
        await respond(send, 200, b"")


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


def statuses(connection: MemoryConnection) -> list[int]:
    return [answer.status for answer in answers(connection.transport.written)]


async def test_an_unfinished_target_above_the_limit_is_refused_at_once() -> None:
    connection = MemoryConnection(App())
    await connection.feed(b"GET /" + b"a" * 9_000)

    assert statuses(connection) == [414]
    await connection.lose()


async def test_an_unfinished_head_above_the_limit_is_refused_at_once() -> None:
    connection = MemoryConnection(App())
    await connection.feed(b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, b"a" * 20_000)

    assert statuses(connection) == [431]
    await connection.lose()


async def test_a_head_that_its_last_chunk_makes_too_large_is_refused() -> None:
    connection = MemoryConnection(app := App())
    await connection.feed(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000)
    await connection.feed(b"a" * 20_000 + b"\r\n\r\n")

    assert statuses(connection) == [431]
    assert app.scopes == []
    await connection.lose()


async def test_a_body_before_a_head_does_not_count_against_it() -> None:
    connection = MemoryConnection(App())
    await connection.feed(request("POST", "/a", body=b"x" * 40_000) + b"GET / HTTP/1.1\r\n")
    await connection.feed(b"Host: a\r\n\r\n")

    assert statuses(connection) == [200, 200]
    await connection.lose()


async def test_a_broken_body_behind_another_request_is_refused_in_its_turn() -> None:
    connection = MemoryConnection(app := Idle())
    await connection.feed(request(), request("POST", "/b", "Transfer-Encoding: chunked"), b"zz\r\n")
    assert not connection.transport.written
    app.may_read.set()
    await connection.settle()

    assert statuses(connection) == [200, 400]
    await connection.lose()


async def test_a_head_is_not_timed_while_we_do_not_read() -> None:
    connection = MemoryConnection(app := Idle())
    await connection.feed(request(), request() + b"GET / HTTP/1.1\r\n")
    for _ in range(10):
        connection.gate.advance(9.0)
    app.may_read.set()
    await connection.settle()
    connection.gate.advance(9.0)
    await connection.feed(b"Host: a\r\n\r\n")

    assert statuses(connection) == [200, 200, 200]
    await connection.lose()


async def test_a_head_is_timed_from_its_first_byte() -> None:
    connection = MemoryConnection(App())
    await connection.feed(request())
    connection.gate.advance(60.0)
    await connection.feed(b"GET / HTTP/1.1\r\n")
    connection.gate.advance(9.0)
    assert statuses(connection) == [200]
    await connection.feed(b"Host: a\r\n")
    connection.gate.advance(2.0)

    assert statuses(connection) == [200, 408]
    await connection.lose()


async def test_a_connection_may_be_idle_longer_than_silent_at_first() -> None:
    silent, used = MemoryConnection(App()), MemoryConnection(App())
    await used.feed(request())
    for connection in (silent, used):
        connection.gate.advance(11.0)
    assert (silent.transport.closed, used.transport.closed) == (True, False)

    used.gate.advance(65.0)
    assert used.transport.closed
    for connection in (silent, used):
        await connection.lose()


@pytest.mark.parametrize(
    "line", ["Connection: close", "Expect: 100-continue"], ids=["closing", "expecting"]
)
async def test_an_early_answer_lingers_where_the_connection_cannot_go_on(line: str) -> None:
    connection = MemoryConnection(App())
    await connection.feed(request("POST", "/early", line, "Content-Length: 1000"))

    assert statuses(connection) == [413]
    assert connection.transport.half_closed
    assert not connection.transport.closed
    await connection.lose()


async def test_a_body_nobody_reads_is_skipped_up_to_a_limit() -> None:
    connection = MemoryConnection(App())
    await connection.feed(request("POST", "/early", "Content-Length: 10000000"))
    skipped = 0
    while not connection.transport.half_closed:
        await connection.feed(bytes(CHUNK))
        skipped += CHUNK

    assert skipped == STILL.max_discarded_bytes + CHUNK
    await connection.lose()


async def test_stopping_does_not_cut_off_an_answer_whose_request_is_still_arriving() -> None:
    connection = MemoryConnection(App())
    await connection.feed(request("POST", "/early", "Content-Length: 1000"))
    connection.protocol.shutdown()

    assert connection.transport.half_closed
    assert not connection.transport.closed
    await connection.lose()


async def test_an_application_learns_that_its_client_is_gone() -> None:
    connection = MemoryConnection(app := App())
    await connection.feed(request("POST", "/ok", "Content-Length: 1000"))
    await connection.lose()

    assert app.disconnects == 1


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


async def test_a_trusted_peer_has_no_cap_of_its_own() -> None:
    limits = replace(STILL, max_connections_per_peer=1, uncounted_peers=frozenset({"192.0.2.7"}))
    gate = Gate(limits, on_refusal=lambda _: None)
    connections = [MemoryConnection(App(), gate, peer="192.0.2.7") for _ in range(3)]

    assert [connection.transport.written for connection in connections] == [b"", b"", b""]
    for connection in connections:
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
