"""Processes that ask for limits as fast as they can, for tests of many of them.

`python workers.py URL PREFIX SECONDS SHIFT...` starts one process for each shift of its clock, in
seconds. Each prints a line of JSON: for each policy a list of (time of the server, allowed).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from portico.limits.limit import RatePolicy, Strategy
from portico.redis.client import RedisClient
from tests.portico.limits.setting import Setting

CONCURRENT = 4
POLICIES = {
    # Refills while it is asked, at a rate that is no whole number of microseconds.
    "gcra": RatePolicy(name="gcra", limits="700/3second", burst=90),
    # Nothing comes back within the test.
    "slow": RatePolicy(name="slow", limits="400/day"),
    "window": RatePolicy(name="window", limits="150/second", strategy=Strategy.WINDOW),
}


def _shift_clock(seconds: float) -> None:
    """Set the clock of this host wrong; the limits must not notice."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1e9)


async def _ask(setting: Setting, policy: RatePolicy, until: float) -> list[tuple[int, bool]]:
    demand = setting.demand(policy)
    seen = []
    while time.monotonic() < until:
        verdict = await setting.engine.check(demand)
        assert not verdict.is_local
        seen.append((verdict.now_us, verdict.allowed))
    return seen


async def _work(url: str, prefix: str, seconds: float, begin: float) -> dict[str, object]:
    async with await RedisClient.open(url) as client, Setting(client) as setting:
        setting.prefix = prefix
        await asyncio.sleep(begin - time.monotonic())
        told: dict[str, object] = {}
        for policy in POLICIES.values():
            begin += seconds
            runs = [_ask(setting, policy, begin) for _ in range(CONCURRENT)]
            told[policy.name] = [each for run in await asyncio.gather(*runs) for each in run]
        return told


def main(url: str, prefix: str, seconds: float, shifts: list[float]) -> None:
    """Fork after all is imported: starting Python eight times takes longer than the test."""
    begin = time.monotonic() + 0.5
    children = []
    for shift in shifts:
        child = os.fork()
        if child == 0:
            _shift_clock(shift)
            report = json.dumps(asyncio.run(_work(url, prefix, seconds, begin)))
            with open(1, "w") as out:
                out.write(report + "\n")
            os._exit(0)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    sys.exit(any(statuses))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), [float(shift) for shift in sys.argv[4:]])
