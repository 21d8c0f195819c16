"""A load generator: one process, keep-alive connections, one request at a time on each.

`python -m bench.load HOST PORT CONNECTIONS SECONDS` reads the raw request on standard input and
prints a JSON line: requests, seconds, failures and latency percentiles in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from time import perf_counter
from typing import cast

import uvloop


class _Client(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        start = head.find(b"content-length: ")
        stop = head.find(b"\r\n", start)
        length = int(head[start + 16 : stop if stop > 0 else None])
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer = self._buffer[end + 4 + length :]
        self._run.count(perf_counter() - self._sent, ok=head[9:10] == b"2")
        if not self._run.over():
            self._send()

    def _send(self) -> None:
        if self._transport is not None:
            self._sent = perf_counter()
            self._transport.write(self._run.next_request())

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._run.lost += 1


# What is another number in each request, of the same length.
KEY = b"key-00000000-000000000000"


class _Run:
    def __init__(self, request: bytes, seconds: float) -> None:
        self._parts = request.split(KEY, 1)
        self._sent = 0
        # Runs against one server do not repeat each other's keys.
        self._run = os.getpid()
        self.until = perf_counter() + seconds
        self.latencies: list[float] = []
        self.failures = 0
        self.lost = 0

    def next_request(self) -> bytes:
        if len(self._parts) == 1:
            return self._parts[0]
        self._sent += 1
        return b"%bkey-%08d-%012d%b" % (self._parts[0], self._run, self._sent, self._parts[1])

    def count(self, seconds: float, *, ok: bool) -> None:
        self.latencies.append(seconds)
        self.failures += not ok

    def over(self) -> bool:
        return perf_counter() >= self.until


async def _load(host: str, port: int, connections: int, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    run = _Run(sys.stdin.buffer.read(), seconds)
    begin = perf_counter()
    clients = [
        await loop.create_connection(lambda: _Client(run), host, port) for _ in range(connections)
    ]
    await asyncio.sleep(run.until - perf_counter())
    took = perf_counter() - begin
    for transport, _ in clients:
        transport.close()
    ordered = sorted(run.latencies)
    return {
        "requests": len(ordered),
        "seconds": took,
        "failures": run.failures,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
    }


if __name__ == "__main__":
    host, port, connections, seconds = sys.argv[1:5]
    result = uvloop.run(_load(host, int(port), int(connections), float(seconds)))
    print(json.dumps(result))
