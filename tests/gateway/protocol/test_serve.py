"""Serving in a process of its own: readiness, draining, signals and exit codes."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING

import pytest

from tests.gateway.protocol.wire import answers, connect, read_answer, request, until_closed

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = [signal.SIGINT, signal.SIGTERM]


class Child:
    """A serving process; only this one is ever signalled."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = 0

    def hear(self, word: str) -> list[str]:
        """Return what the process says up to the word."""
        heard: list[str] = []
        stdout: IO[str] = self.process.stdout  # type: ignore[assignment]  # it is a pipe
        while not heard or heard[-1] != word:
            line = stdout.readline().strip()
            assert line, f"{word!r} was never said after {heard}"
            heard.append(line)
            if line.startswith("bound"):
                self.port = int(line.split()[2])
        return heard

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Return the exit code and the rest of both outputs."""
        out, err = self.process.communicate(timeout=15)
        return self.process.returncode, out, err


@contextlib.contextmanager
def child(**options: float) -> Iterator[Child]:
    command = [sys.executable, "-m", "tests.gateway.protocol.child", json.dumps(options)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": "src:."},
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def test_the_port_is_known_before_anything_starts() -> None:
    with child() as served:
        heard = served.hear("ready")

    assert [word.split()[0] for word in heard] == ["bound", "starting", "ready"]
    assert served.port > 0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_an_idle_server_with_success_and_in_silence(number: signal.Signals) -> None:
    with child() as served:
        served.hear("ready")
        with connect(served.port) as sock:
            sock.sendall(request())
            read_answer(sock)
            served.hear("asked /ok")
            started = time.monotonic()
            served.signal(number)

            assert until_closed(sock) == b""
        code, out, err = served.end()

    assert (code, out.split(), err) == (0, ["draining", "left"], "")
    assert time.monotonic() - started < 3


def test_requests_in_flight_are_answered_while_new_connections_are_refused() -> None:
    with child() as served:
        served.hear("ready")
        with connect(served.port) as sock, connect(served.port) as partial:
            sock.sendall(request(target="/slow?1.0"))
            partial.sendall(b"GET /half HTTP/1.1\r\n")
            served.hear("asked /slow")
            served.signal(signal.SIGTERM)
            served.hear("draining")
            time.sleep(0.1)
            with pytest.raises(ConnectionRefusedError):
                connect(served.port)
            assert [answer.slug() for answer in answers(until_closed(partial))] == ["unavailable"]
            (answer,) = answers(until_closed(sock))
        code, _, err = served.end()

    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.headers["connection"] == "close"
    assert (code, err) == (0, "")


def test_pipelined_requests_in_flight_are_all_answered() -> None:
    with child() as served:
        served.hear("ready")
        with connect(served.port) as sock:
            sock.sendall(request(target="/a?0.4") + request(target="/b?0.1"))
            served.hear("asked /a")
            served.signal(signal.SIGTERM)

            assert [answer.status for answer in answers(until_closed(sock))] == [200, 200]


def test_readiness_can_fail_before_connections_are_refused() -> None:
    with child(drain_delay_seconds=1.0) as served:
        served.hear("ready")
        served.signal(signal.SIGTERM)
        served.hear("draining")
        with connect(served.port) as sock:
            sock.sendall(request())

            assert read_answer(sock).status == 200
        assert served.end()[0] == 0


def test_a_request_longer_than_the_grace_period_gets_a_problem() -> None:
    with child(grace_seconds=1.0) as served:
        served.hear("ready")
        with connect(served.port) as sock:
            sock.sendall(request(target="/slow?30"))
            served.hear("asked /slow")
            served.signal(signal.SIGTERM)
            (answer,) = answers(until_closed(sock))
        code, out, err = served.end()

    assert answer.slug() == "unavailable"
    assert answer.headers["retry-after"] == "1"
    assert (code, out.split()) == (1, ["draining", "left"])
    assert "Traceback" not in err


def test_a_second_signal_ends_the_process_at_once() -> None:
    with child() as served:
        served.hear("ready")
        with connect(served.port) as sock:
            sock.sendall(request(target="/slow?30"))
            served.hear("asked /slow")
            served.signal(signal.SIGINT)
            served.hear("draining")
            started = time.monotonic()
            served.signal(signal.SIGINT)
            code, out, err = served.end()

    assert (code, out.split(), err) == (130, ["left"], "")
    assert time.monotonic() - started < 1


def test_clean_up_that_hangs_after_a_second_signal_is_not_waited_for() -> None:
    with child(leave=30.0, force_seconds=0.3) as served:
        served.hear("ready")
        served.signal(signal.SIGINT)
        served.hear("draining")
        time.sleep(0.5)
        served.signal(signal.SIGINT)

        code, _, err = served.end()
    assert (code, err) == (130, "")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_start_cleans_up_and_is_reported(number: signal.Signals) -> None:
    with child(start=30.0) as served:
        served.hear("starting")
        served.signal(number)

        assert served.end() == (128 + number, "left\n", "")
