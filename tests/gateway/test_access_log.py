"""One line for each request, without personal data, and never in the way of a request."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.access_log import AccessLog
from gateway.exchange import Exchange
from tests.support.serving import Served, eventually

BASE = "/experience/kiosk/v1"


@contextlib.contextmanager
def logging_to(served: Served) -> Iterator[int]:
    """Let a running gateway log into a pipe; yield its reading end."""
    pipeline = served.gateway._pipeline
    assert pipeline is not None
    reading, writing = os.pipe()
    log = AccessLog(writing)
    log.start()
    pipeline._access_log = log
    try:
        yield reading
    finally:
        pipeline._access_log = None
        log.stop()
        os.close(writing)
        os.close(reading)


def lines(reading: int, count: int) -> list[dict[str, Any]]:
    """Return what was logged, once there are so many lines."""
    data = b""
    while data.count(b"\n") < count:
        data += os.read(reading, 65_536)
    return [json.loads(line) for line in data.splitlines()]


def test_a_line_says_what_was_asked_of_what_by_whom(gateway: Served) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with logging_to(gateway) as reading:
        response = gateway.request(
            "GET",
            f"{BASE}/choices/private-name?limit=42",
            headers={
                "X-Color": "my favourite",
                "traceparent": f"00-{trace}-b7ad6b7169203331-01",
                "User-Agent": "somebody's browser",
            },
        )
        (line,) = lines(reading, 1)

    assert line.pop("time").startswith("20")
    assert line.pop("milliseconds") >= 0
    assert len(line.pop("trace")) == 32
    assert line == {
        "requestId": response.headers["x-request-id"],
        "method": "GET",
        "status": 200,
        "api": "experience/kiosk.v1",
        "operation": "choose",
        "path": f"{BASE}/choices/{{choice}}",
        "client": "tests",
        "callerTrace": trace,
    }


def test_nothing_a_client_writes_gets_into_the_log(gateway: Served) -> None:
    secret = "do-not-log-me"
    with logging_to(gateway) as reading:
        gateway.request("GET", f"{BASE}/choices/{secret}?limit={secret}", token=secret)
        gateway.request("GET", f"/{secret}/nothing?{secret}", token="")
        gateway.request("GET", f"/portal/apis/{secret}/{secret}", token="")
        gateway.request(
            "POST",
            f"{BASE}/notes",
            json={"text": secret},
            headers={"Idempotency-Key": secret, "traceparent": secret, "X-Request-Id": secret},
        )
        gateway.client.post(
            f"{gateway.url}/oauth2/token", auth=(secret, secret), data={"x": secret}
        )
        found = lines(reading, 5)

    assert secret not in json.dumps(found)
    assert [line["status"] for line in found] == [401, 404, 404, 201, 401]
    assert [line.get("path") for line in found] == [
        f"{BASE}/choices/{{choice}}",
        None,
        "/portal/apis/{tier}/{api}",
        f"{BASE}/notes",
        "/oauth2/token",
    ]


def test_probes_are_not_worth_a_line(gateway: Served) -> None:
    with logging_to(gateway) as reading:
        gateway.request("GET", "/livez")
        gateway.request("GET", "/readyz")
        gateway.request("GET", f"{BASE}/public", token="")
        found = lines(reading, 1)

    assert [line["operation"] for line in found] == ["getPublic"]


def test_a_client_that_leaves_before_its_request_is_read_is_noted(gateway: Served) -> None:
    import socket

    with logging_to(gateway) as reading:
        with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2]))) as sock:
            sock.sendall(
                f"POST {BASE}/notes HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\r\n"
                f"Authorization: Bearer {gateway.token()}\r\n"
                "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
            )
        (line,) = lines(reading, 1)

    assert (line["status"], line["operation"]) == (499, "addNote")


def an_exchange() -> Exchange:
    async def receive() -> dict[str, Any]:
        raise NotImplementedError

    scope = {"method": "GET", "raw_path": b"/", "query_string": b"", "headers": []}
    return Exchange(scope, receive)


def test_a_reader_that_does_not_read_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    log = AccessLog(writing)
    log.start()
    exchange = an_exchange()
    started = time.monotonic()
    for _ in range(20_000):  # a pipe holds 64 KiB, these are 2 MB
        log.write(exchange, 200, 0.0)
    assert time.monotonic() - started < 2.0

    log.stop()
    assert time.monotonic() - started < 6.0

    # The thread is stuck in write(2); reading sets it free.
    os.set_blocking(reading, False)
    freed = eventually(lambda: not (drain(reading) or log._thread.is_alive()))
    os.close(reading)
    os.close(writing)
    assert freed


def drain(reading: int) -> bool:
    try:
        return bool(os.read(reading, 1 << 20))
    except BlockingIOError:
        return False


def test_lines_beyond_the_bound_are_dropped_and_counted(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = AccessLog(1)
    exchange = an_exchange()
    for _ in range(100_003):
        log.write(exchange, 200, 0.0)
    assert repr(log) == "<AccessLog 100000 waiting, 3 dropped>"

    log._flush()

    last = capfd.readouterr().out.splitlines()[-1]
    assert json.loads(last)["droppedLines"] == 3


def test_a_log_that_nobody_reads_any_more_is_given_up() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = AccessLog(writing)
    log.write(an_exchange(), 200, 0.0)

    log._flush()

    os.close(writing)
    assert log.dropped == 1


def test_what_waits_is_written_at_the_end() -> None:
    reading, writing = os.pipe()
    log = AccessLog(writing)
    log.start()
    log.write(an_exchange(), 200, 0.0)
    log.stop()

    assert len(lines(reading, 1)) == 1
    os.close(reading)
    os.close(writing)
