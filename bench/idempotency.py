"""What an idempotency key costs: CPU of this process and of the server, memory of a record.

`python -m bench idempotency`. A request has a body of 780 bytes and a response of 1 KiB.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import process_time_ns
from typing import Any

import uvloop

from portico.idempotency.attempt import Attempt, Standing
from portico.idempotency.claim import Claim
from portico.idempotency.fingerprint import Fingerprinter
from portico.idempotency.policy import Policy
from portico.idempotency.record import write_response
from portico.idempotency.replay import Answer
from portico.idempotency.runner import run
from portico.idempotency.scope import Locator, Scope
from portico.idempotency.store import IdempotencyStore
from portico.problems import Problem
from portico.redis.client import RedisClient
from portico.redis.embedded.server import EmbeddedRedis
from portico.redis.script import Script

CONCURRENT = 32
CALLS = {1: 1_000, CONCURRENT: 6_000}
ROUNDS = 5
RECORDS = 20_000
REQUEST = b"x" * 780
RESPONSE = b'{"id":"' + b"y" * 1015 + b'"}'
HEADERS = [
    (b"content-type", b"application/json"),
    (b"location", b"/process/orders/v1/orders/17"),
    (b"x-request-id", b"0b6f1c3a5d7e4f2a"),
]
OPERATION = "process/orders.v1/createOrder"
FINGERPRINTER = Fingerprinter(
    method="POST", operation=OPERATION, template="/process/orders/v1/orders"
)
SCOPE = Scope(client_id="shop", subject="shop")
POLICY = Policy()
EMPTY = Script("empty", "return 1")
Row = dict[str, float | str]


def measure() -> dict[str, Row]:
    """Return the costs of each step, alone and with 32 requests at once."""
    with (
        tempfile.TemporaryDirectory(prefix="portico-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_measure(Path(folder)))


class _Bench:
    """One store, and operations of a request that never repeat a key."""

    def __init__(self, redis: RedisClient) -> None:
        self.redis = redis
        self.store = IdempotencyStore(redis, Locator(os.urandom(32)))
        self._numbers = itertools.count(1)
        self.claims: list[Claim] = []

    def attempt(self, number: int) -> Attempt:
        path = b"/process/orders/v1/orders"
        taken = FINGERPRINTER.take(path, content_type="application/json", body=REQUEST)
        return Attempt(
            scope=SCOPE,
            key=f"8e03978e-40d5-43e8-bc93-{number:012d}",
            fingerprint=taken,
            operation=OPERATION,
            request_id="0b6f1c3a5d7e4f2a",
        )

    async def trip(self) -> None:
        await self.redis.run(EMPTY, (b"a",), ())

    async def claim(self) -> None:
        claim = await self.store.claim(self.attempt(next(self._numbers)), POLICY)
        if isinstance(claim, Standing):
            raise TypeError(claim.verdict)
        self.claims.append(claim)

    async def complete(self) -> None:
        await self.claims.pop().complete(201, HEADERS, RESPONSE)

    async def run(self) -> None:
        attempt = self.attempt(next(self._numbers))
        await run(self.store, attempt, POLICY, _execute, render=_render)

    async def run_attached(self) -> None:
        attempt = self.attempt(next(self._numbers))
        await run(self.store, attempt, POLICY, _execute, render=_render, detached=False)

    async def replay(self) -> None:
        await run(self.store, self.attempt(0), POLICY, _execute, render=_render)


async def _execute(claim: Claim) -> Answer:
    del claim
    return Answer(201, list(HEADERS), RESPONSE)


def _render(problem: Problem) -> Answer:
    raise problem


async def _measure(folder: Path) -> dict[str, Row]:
    server = EmbeddedRedis(folder)
    await server.start()
    try:
        async with await RedisClient.open(server.url) as redis:
            bench = _Bench(redis)
            await bench.replay()  # the first stores what the others replay
            results = await _costs(bench)
            results.update(await _memory(bench))
            results.update(_encoding())
            await bench.store.close()
            return results
    finally:
        await server.stop()


async def _costs(bench: _Bench) -> dict[str, Row]:
    results: dict[str, Row] = {}
    for concurrent in CALLS:
        steps = (
            bench.trip,
            bench.claim,
            bench.complete,
            bench.run,
            bench.run_attached,
            bench.replay,
        )
        spent: dict[str, list[float]] = {step.__name__: [] for step in steps}
        for _ in range(ROUNDS):
            for step in steps:
                spent[step.__name__].append(await _cpu(step, concurrent))
        for name, values in spent.items():
            results[f"idempotency.{name}.{concurrent}"] = {
                "cpu_us": round(statistics.median(values), 1)
            }
    return results


async def _cpu(step: Callable[[], Awaitable[None]], concurrent: int) -> float:
    """Return the microseconds of CPU that one call takes in this process."""
    calls = CALLS[concurrent] // concurrent

    async def one_after_the_other() -> None:
        for _ in range(calls):
            await step()

    begin = process_time_ns()
    await asyncio.gather(*(one_after_the_other() for _ in range(concurrent)))
    return (process_time_ns() - begin) / (calls * concurrent) / 1000


async def _memory(bench: _Bench) -> dict[str, Row]:
    """Return what a record takes besides its body, and the server's time for its scripts."""
    await bench.redis.execute("FLUSHALL", "SYNC")
    await bench.redis.execute("CONFIG", "RESETSTAT")
    before = await _used(bench.redis)

    async def some() -> None:
        for _ in range(RECORDS // CONCURRENT):
            await bench.run()

    await asyncio.gather(*(some() for _ in range(CONCURRENT)))
    count = RECORDS // CONCURRENT * CONCURRENT
    each = (await _used(bench.redis) - before) / count
    stats = await _info(bench.redis, "commandstats")
    found = re.search(r"cmdstat_evalsha:.*?usec_per_call=([\d.]+)", stats)
    return {
        "idempotency.record": {"value": round(each), "unit": "bytes"},
        "idempotency.record.overhead": {"value": round(each - len(RESPONSE)), "unit": "bytes"},
        "idempotency.server": {
            "value": float(found.group(1)) if found else 0.0,
            "unit": "µs a script",
        },
    }


async def _used(redis: RedisClient) -> int:
    found = re.search(r"used_memory:(\d+)", await _info(redis, "memory"))
    return int(found.group(1)) if found else 0


async def _info(redis: RedisClient, section: str) -> str:
    reply: Any = await redis.execute("INFO", section)
    return bytes(reply).decode()


def _encoding() -> dict[str, Row]:
    """Return what it takes to write a response of JSON for the store, as it is and compressed."""
    line = '{{"sku":"chair-{0:05d}","quantity":{1},"price":"12.{0:02d}"}},'
    text = "".join(line.format(number * 7919 % 99991, number % 9) for number in range(400)).encode()
    results: dict[str, Row] = {}
    for kib in (1, 4, 16):
        body = text[: kib * 1024]
        for name, threshold in (("plain", 1 << 30), ("zlib", 1)):
            begin = process_time_ns()
            for _ in range(1000):
                written = write_response(201, HEADERS, body, compress_from=threshold)
            spent = (process_time_ns() - begin) / 1000 / 1000
            results[f"idempotency.write.{kib}KiB.{name}"] = {"cpu_us": round(spent, 1)}
            results[f"idempotency.written.{kib}KiB.{name}"] = {
                "value": len(written),
                "unit": "bytes",
            }
    return results
