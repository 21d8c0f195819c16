"""The connector kit: what a call costs above the bare exchange, and the memory of many calls."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
from collections.abc import Awaitable, Callable
from time import process_time_ns
from typing import Any

import httpx

from bench.serving import resident_mib
from portico.connectors.classification import Dialect, Reason
from portico.connectors.connection import Connection, open_connection
from portico.connectors.credentials import bearer
from portico.connectors.messages import Answer, Job, Request, read
from portico.connectors.wire import ConnectionSettings
from portico.deadline import Deadline
from portico.sandbox.running import serve_on_loopback
from portico.transport.pool import PooledTransport
from portico.transport.wire import Outgoing

CALLS = 2_000
ROUNDS = 5
# Memory is compared after so many calls, when every cache is full, and after all of them.
WARM_CALLS, MANY_CALLS = 10_000, 100_000
BODY = b'{"id": "cus_1", "object": "customer", "name": "' + b"x" * 700 + b'"}'
REQUEST = read("get customers", "v1/customers/cus_1")


def measure() -> dict[str, dict[str, Any]]:
    """Return the overhead of a call, and the growth of memory."""
    return asyncio.run(_measure())


async def _measure() -> dict[str, dict[str, Any]]:
    async with serve_on_loopback(_answer) as url:
        settings = ConnectionSettings.model_validate({"base_url": url})
        async with open_connection(settings, DIALECT, lambda _: bearer("t")) as connection:
            spent = await overhead(connection, url, REQUEST, CALLS)
            grown = await growth(connection, REQUEST, warm=WARM_CALLS, calls=MANY_CALLS)
    return {
        "connector.overhead": {"cpu_us": round(spent, 1)},
        "connector.growth_mib": {"value": round(grown, 1), "unit": "MiB"},
    }


def _no_reason(_answer: Answer) -> Reason | None:
    return None


DIALECT = Dialect(system="bench", read_reason=_no_reason)


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def overhead(connection: Connection, url: str, request: Request, calls: int) -> float:
    """Return the CPU of a call, its body read, less that of the same exchange on the same pool."""
    job = Job(deadline=Deadline.after(600))
    pool = PooledTransport(max_connections=4, max_waiting=4, idle_seconds=60)
    address = httpx.URL(f"{url}/{request.target}")

    async def call() -> object:
        return (await connection.send(request, job)).json()

    async def bare() -> object:
        fields = [(b"host", b"127.0.0.1")]
        return await pool.handle_async_request(Outgoing("GET", address, fields, b"", {}))

    await call()
    differences = [await _cpu_us(call, calls) - await _cpu_us(bare, calls) for _ in range(ROUNDS)]
    await pool.aclose()
    return statistics.median(differences)


async def _cpu_us(work: Callable[[], Awaitable[object]], calls: int) -> float:
    began = process_time_ns()
    for _ in range(calls):
        await work()
    return (process_time_ns() - began) / calls / 1000


async def growth(connection: Connection, request: Request, *, warm: int, calls: int) -> float:
    """Return by how much memory grows from the time it is warm to the last of many calls."""
    job = Job(deadline=Deadline.after(3600))
    for _ in range(warm):
        await connection.send(request, job)
    gc.collect()
    before = resident_mib(os.getpid())
    for _ in range(calls - warm):
        await connection.send(request, job)
    gc.collect()
    return resident_mib(os.getpid()) - before
