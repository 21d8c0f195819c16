"""Slow, silent and many clients over real sockets."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.gateway.protocol.wire import (
    QUICK,
    Served,
    answers,
    ask,
    connect,
    eventually,
    read_answer,
    request,
    serving,
    until_closed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOSE = "Connection: close"


def test_a_slow_header_section_times_out(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n")
        started = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - started < 0.5:
                sock.sendall(b"X-Drip: a\r\n")
                time.sleep(0.05)
        found = answers(until_closed(sock))

    assert [(answer.status, answer.slug()) for answer in found] == [(408, "request-timeout")]
    assert served.app.scopes == []


def test_a_body_that_stops_times_out(served: Served) -> None:
    found = ask(served.port, request("POST", "/ok", "Content-Length: 100") + b"half")

    assert [(answer.status, answer.slug()) for answer in found] == [(408, "request-timeout")]
    eventually(lambda: served.app.disconnects == 1)


def test_a_body_that_drips_times_out(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request("POST", "/ok", "Content-Length: 100"))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(30):
                sock.sendall(b"x")
                time.sleep(0.03)
        found = answers(until_closed(sock))

    assert [answer.slug() for answer in found] == ["request-timeout"]


def test_a_body_with_progress_may_take_long(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request("POST", "/ok", "Content-Length: 1000"))
        for _ in range(10):
            time.sleep(0.1)
            sock.sendall(b"x" * 100)

        assert read_answer(sock).status == 200


def test_a_slow_application_is_not_a_slow_client(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request(target="/wait"))
        time.sleep(1.0)
        served.app.gate.set()

        assert read_answer(sock).status == 200


def test_chunks_without_data_do_not_keep_a_body_alive(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request("POST", "/ok", "Transfer-Encoding: chunked") + b"1;")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(30):
                sock.sendall(b"extension")
                time.sleep(0.03)
        found = answers(until_closed(sock))

    assert [answer.slug() for answer in found] == ["request-timeout"]


def test_endless_trailers_are_refused(served: Served) -> None:
    chunks = [b"X-T: " + b"a" * 10_000] * 20
    found = ask(
        served.port, request("POST", "/ok", "Transfer-Encoding: chunked") + b"0\r\n", *chunks
    )

    assert [answer.slug() for answer in found] == ["headers-too-large"]


def test_a_silent_connection_is_closed_without_an_answer(served: Served) -> None:
    with connect(served.port) as sock:
        assert until_closed(sock) == b""


def test_blank_lines_do_not_keep_a_connection_open(served: Served) -> None:
    with connect(served.port) as sock, contextlib.suppress(OSError):
        for _ in range(100):
            sock.sendall(b"\r\n")
            time.sleep(0.02)
        pytest.fail("the connection stayed open")


def test_an_idle_connection_is_closed_and_not_before_its_time(served: Served) -> None:
    with connect(served.port) as sock:
        sock.sendall(request())
        read_answer(sock)
        started = time.monotonic()
        assert until_closed(sock) == b""

    assert 0.5 < time.monotonic() - started < 3


def test_a_client_that_does_not_read_is_dropped(served: Served) -> None:
    with connect(served.port) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sock.sendall(request(target="/flood"))
        eventually(lambda: bool(served.app.scopes) and not served.app.running)


# Caps.


def test_connections_above_the_cap_are_refused_and_others_answered() -> None:
    with (
        serving(replace(QUICK, max_connections=20, header_seconds=5)) as served,
        flood(served.port, 60) as socks,
    ):
        refused = [s for s in socks[20:] if answers(until_closed(s))[0].slug() == "unavailable"]

        assert len(refused) == 40
        socks[0].sendall(request())
        assert read_answer(socks[0]).status == 200


def test_a_refused_connection_says_when_to_come_back_and_frees_its_place() -> None:
    with serving(replace(QUICK, max_connections=1)) as served:
        with connect(served.port) as first:
            first.sendall(request())
            read_answer(first)
            (answer,) = ask(served.port, request())
        time.sleep(0.1)
        (later,) = ask(served.port, request("GET", "/ok", CLOSE))

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["connection"] == "close"
    assert later.status == 200


def test_one_address_has_a_cap_of_its_own() -> None:
    limits = replace(QUICK, max_connections_per_peer=3, uncounted_peers=frozenset[str]())
    with serving(limits) as served, flood(served.port, 5) as socks:
        (answer,) = answers(until_closed(socks[4]))

    assert answer.slug() == "unavailable"
    assert b"address" in answer.body


def test_requests_above_the_cap_are_refused_and_the_connection_kept() -> None:
    with serving(replace(QUICK, max_requests=2)) as served, flood(served.port, 3) as socks:
        for sock in socks[:2]:
            sock.sendall(request(target="/wait"))
        time.sleep(0.1)
        socks[2].sendall(request())
        answer = read_answer(socks[2])
        served.app.gate.set()
        assert [read_answer(sock).status for sock in socks[:2]] == [200, 200]
        eventually(lambda: not served.app.running)
        time.sleep(0.02)  # the tasks end after their answers
        socks[2].sendall(request())
        assert read_answer(socks[2]).status == 200

    assert (answer.status, answer.slug()) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"


@contextlib.contextmanager
def flood(port: int, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(port)) for _ in range(count)]
