"""Checking two limits per request in a real Valkey, with its answer turned into header fields."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter, process_time_ns, sleep

import uvloop

from portico.limits.address import AddressLimit
from portico.limits.engine import LimitEngine
from portico.limits.headers import LimitHeaders
from portico.limits.limit import RatePolicy, Strategy
from portico.limits.plans import DemandMaker, Plans
from portico.redis.client import RedisClient
from portico.redis.embedded.binary import find
from portico.redis.script import Script

OPERATION = "process/orders.v1:createSale"
# What a trip costs that decides nothing.
NOTHING = Script("nothing", "return 1")
CALLS = 32_000
ROUNDS = 5
CONCURRENT = 32
# As in a plan: so many in a second, and so many in a day; never used up here.
POLICIES = {
    "gcra": RatePolicy(name="default", limits="1000000/second;1000000000/day"),
    "window": RatePolicy(
        name="default", limits="1000000/minute;10000000/hour", strategy=Strategy.WINDOW
    ),
}

Check = Callable[[], Awaitable[None]]


def measure() -> dict[str, dict[str, float | str]]:
    """Return the CPU of this process for each check; the server's is its own."""
    with tempfile.TemporaryDirectory(prefix="portico-") as folder:
        socket = Path(folder) / "s"
        arguments = ["--unixsocket", str(socket), "--port", "0", "--save", "", "--dir", folder]
        server = subprocess.Popen([find().path, *arguments], stdout=subprocess.DEVNULL)
        try:
            while not socket.exists():
                sleep(0.01)
            results = uvloop.run(_measure(f"unix://{socket}"))
        finally:
            server.terminate()
            server.wait()
    return {name: {"cpu_us": round(value, 2)} for name, value in results.items()}


async def _measure(url: str) -> dict[str, float]:
    results: dict[str, float] = {}
    async with await RedisClient.open(url) as client:

        async def trip() -> None:
            await client.run(NOTHING, [], [])

        results["limits.trip.32"] = await _cost(trip, CONCURRENT)
        results["limits.trip.alone"] = await _cost(trip, 1)
        for strategy in POLICIES:
            check = _checker(LimitEngine(client, workers=2), strategy)
            results[f"limits.{strategy}.32"] = await _cost(check, CONCURRENT)
            results[f"limits.{strategy}.alone"] = await _cost(check, 1)
    results["limits.local"] = await _cost(_checker(LimitEngine(None), "gcra"), 1)
    results["limits.address"] = _address()
    return results


def _checker(engine: LimitEngine, strategy: str) -> Check:
    plans = Plans({"default": [POLICIES[strategy]]}, operations=[OPERATION], default="default")
    demands = DemandMaker(plans)
    headers = LimitHeaders()

    async def check() -> None:
        demand = demands.demand(OPERATION, client_id="partner", address="192.0.2.7", tag="abc")
        if demand is None:
            raise RuntimeError("the plan has limits")
        verdict = await engine.check(demand)
        if not verdict.allowed:
            raise RuntimeError("the limits are never used up")
        headers.fields(verdict)

    return check


async def _cost(check: Check, concurrent: int) -> float:
    """Return the CPU µs of a check, the median of some rounds after one that warms."""

    async def some() -> None:
        for _ in range(CALLS // concurrent // 4):
            await check()

    spent = []
    for _ in range(ROUNDS + 1):
        begin = process_time_ns()
        await asyncio.gather(*[some() for _ in range(concurrent)])
        spent.append((process_time_ns() - begin) / (CALLS // concurrent // 4 * concurrent) / 1000)
    return statistics.median(spent[1:])


def _address() -> float:
    limit = AddressLimit("100000000/second")
    addresses = [f"192.0.2.{n % 256}" if n % 2 else f"2001:db8:{n:x}::1" for n in range(1000)]
    spent = []
    for _ in range(ROUNDS + 1):
        begin = perf_counter()
        for _ in range(CALLS // len(addresses)):
            for address in addresses:
                limit.wait_ns(address)
        count = CALLS // len(addresses) * len(addresses)
        spent.append((perf_counter() - begin) / count * 1e6)
    return statistics.median(spent[1:])
