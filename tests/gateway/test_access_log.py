"""One line for each request, without personal data, and never in the way of a request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.access_log import AccessLog
from gateway.exchange import Exchange
from tests.support.serving import Served

BASE = "/experience/kiosk/v1"


@contextlib.contextmanager
def logging_to(served: Served) -> Iterator[int]:
    """Let a running gateway log into a pipe; yield its reading end."""
    pipeline = served.gateway._pipeline
    assert pipeline is not None
    reading, writing = os.pipe()
    log = AccessLog(writing)
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


@pytest.mark.anyio
async def test_a_reader_that_does_not_read_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    log = AccessLog(writing)
    exchange = an_exchange()
    started = time.monotonic()
    for _ in range(20_000):  # a pipe holds 64 KiB, these are 2 MB
        log.write(exchange, 200, 0.0)
    await asyncio.sleep(0.1)  # it writes what the pipe takes
    assert time.monotonic() - started < 2.0
    assert "20000 waiting" not in repr(log)

    log.stop()
    assert time.monotonic() - started < 6.0

    os.close(reading)
    os.close(writing)


@pytest.mark.anyio
async def test_a_slow_reader_gets_every_line_in_order() -> None:
    reading, writing = os.pipe()
    log = AccessLog(writing)
    exchange = an_exchange()
    for status in range(2000):
        log.write(exchange, status, 0.0)
    found = b""
    while found.count(b"\n") < 2000:
        await asyncio.sleep(0.03)  # longer than it waits with its lines
        found += os.read(reading, 20_000)
    os.close(reading)
    os.close(writing)

    assert [json.loads(line)["status"] for line in found.splitlines()] == list(range(2000))


@pytest.mark.anyio
async def test_a_full_core_of_requests_does_not_outrun_the_log() -> None:
    writing = os.open(os.devnull, os.O_WRONLY)
    log = AccessLog(writing)
    exchange = an_exchange()
    for _ in range(500):
        for _ in range(32):  # every connection has one in each turn of the loop
            log.write(exchange, 200, 0.0)
        time.sleep(0.0005)  # noqa: ASYNC251  # and they take their time
        await asyncio.sleep(0)
    waiting = int(repr(log).split()[1])
    log.stop()
    os.close(writing)

    assert waiting < 2_000


@pytest.mark.anyio
async def test_lines_beyond_the_bound_are_dropped_and_counted(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = AccessLog(1)
    exchange = an_exchange()
    for _ in range(20_003):
        log.write(exchange, 200, 0.0)
    assert repr(log) == "<AccessLog 20000 waiting, 3 dropped>"

    log.stop()

    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(found) == 20_001
    assert [line["droppedLines"] for line in found if "droppedLines" in line] == [3]


@pytest.mark.anyio
async def test_a_log_that_nobody_reads_any_more_is_given_up() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = AccessLog(writing)
    log.write(an_exchange(), 200, 0.0)

    log.stop()

    os.close(writing)
    assert log.dropped == 1


@pytest.mark.anyio
async def test_what_waits_is_written_at_the_end() -> None:
    reading, writing = os.pipe()
    log = AccessLog(writing)
    log.write(an_exchange(), 200, 0.0)
    log.stop()

    assert len(lines(reading, 1)) == 1
    os.close(reading)
    os.close(writing)
