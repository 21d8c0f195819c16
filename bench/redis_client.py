"""What a command costs this process: CPU time per script run, alone and 32 at a time.

The server runs beside it and its time does not count. redis-py's own client runs the same script
in the same minute, for comparison.

    python bench/redis_client.py
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import redis.asyncio
import uvloop

from portico.redis.client import RedisClient
from portico.redis.embedded.server import EmbeddedRedis
from portico.redis.script import Script

COMMANDS = 10_000
ROUNDS = 3
CONCURRENT = 32

# As many keys and arguments as an admission with two buckets and an idempotency record has; what
# the server does with them is not measured here.
_SCRIPT = Script("bench", "return {1, KEYS[1], ARGV[1], 0}")
_KEYS = [b"{tenant-0001}:bucket:burst", b"{tenant-0001}:bucket:day", b"{tenant-0001}:record:0001"]
_ARGUMENTS: list[bytes | str | int] = [
    *(2, 5, 1000000, 1, 100000, 86400000000, 1),
    *(b"f" * 32, b"owner-token-0001", 30000),
]

Run = Callable[[], Awaitable[object]]


def measure() -> dict[str, float]:
    """Return CPU microseconds per command by name."""
    return uvloop.run(_measure())


async def _measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedRedis(Path(folder)) as embedded:
            return await _compare(embedded.url)


async def _compare(url: str) -> dict[str, float]:
    theirs = redis.asyncio.Redis.from_url(url)
    registered = theirs.register_script(_SCRIPT.text)
    async with await RedisClient.open(url) as ours:
        runs: dict[str, Run] = {
            "redis_client.script": lambda: ours.run(_SCRIPT, _KEYS, _ARGUMENTS),
            "redis_client.get": lambda: ours.execute(b"GET", b"{tenant-0001}:record:0001"),
            "redis_py.script": lambda: registered(keys=_KEYS, args=_ARGUMENTS),
        }
        try:
            return {
                f"{name}.{concurrent}": await _microseconds(run, concurrent)
                for name, run in runs.items()
                for concurrent in (1, CONCURRENT)
            }
        finally:
            await theirs.aclose()


async def _microseconds(run: Run, concurrent: int) -> float:
    await _work(run, COMMANDS // 10, concurrent)
    return round(median([await _work(run, COMMANDS, concurrent) for _ in range(ROUNDS)]), 1)


async def _work(run: Run, commands: int, concurrent: int) -> float:
    each = commands // concurrent
    before = time.process_time()
    await asyncio.gather(*(_repeat(run, each) for _ in range(concurrent)))
    return (time.process_time() - before) / (each * concurrent) * 1e6


async def _repeat(run: Run, times: int) -> None:
    for _ in range(times):
        await run()


if __name__ == "__main__":
    for name, microseconds in measure().items():
        print(f"{name:28} {microseconds:6.1f} µs")
