"""A process that holds three places until it is killed. `python lease_holder.py URL PREFIX`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from portico.limits.limit import ConcurrencyPolicy
from portico.redis.client import RedisClient
from tests.portico.limits.setting import Setting


async def _hold(url: str, prefix: str) -> None:
    async with await RedisClient.open(url) as client, Setting(client) as setting:
        setting.prefix = prefix
        policy = ConcurrencyPolicy(name="at-once", at_once=3, lease_seconds=1.0)
        held = [await setting.check(policy) for _ in range(3)]
        print(sum(verdict.allowed for verdict in held), "held", flush=True)  # noqa: T201 read by the test
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(_hold(sys.argv[1], sys.argv[2]))
