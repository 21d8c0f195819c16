"""A process that runs operations under their keys, for tests that kill, stop and restart it.

`python worker.py SOCKET SECRET EFFECTS` reads one JSON command a line and prints JSON lines. An
effect is a line appended to the file EFFECTS: whatever else goes wrong, it shows what was done.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from portico.idempotency.attempt import Attempt
from portico.idempotency.claim import Claim
from portico.idempotency.policy import Policy
from portico.idempotency.replay import Answer
from portico.idempotency.runner import run
from portico.idempotency.scope import Locator, Scope
from portico.idempotency.store import IdempotencyStore
from portico.problems import Problem
from portico.redis.client import RedisClient
from portico.redis.options import RedisOptions

GRACE_SECONDS = 0.2


def tell(**message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Worker:
    def __init__(self, store: IdempotencyStore, effects: Path) -> None:
        self.store = store
        self.effects = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def work(self, command: dict[str, Any]) -> None:
        policy = Policy(**{"lease_seconds": 0.5, "retention_seconds": 60, **command["policy"]})
        count = command.get("count", 1)
        found = await asyncio.gather(*(self.one(command, policy) for _ in range(count)))
        tell(id=command["id"], results=found)

    async def one(self, command: dict[str, Any], policy: Policy) -> str:
        attempt = Attempt(
            scope=Scope(client_id="shop"),
            key=command["key"],
            fingerprint=b"1:same",
            operation="test",
            wait_seconds=command.get("wait", 0),
        )

        async def execute(claim: Claim) -> Answer:
            return await self.execute(command, claim)

        try:
            answer = await run(self.store, attempt, policy, execute, render=render)
        except Problem as problem:
            return problem.kind.slug
        await self.pause(command, "completed")
        assert isinstance(answer.body, bytes)
        return ("replayed " if answer.replayed else "executed ") + answer.body.decode()

    async def execute(self, command: dict[str, Any], claim: Claim) -> Answer:
        await self.pause(command, "claimed")
        await claim.dispatched()
        await self.pause(command, "dispatched")
        os.write(self.effects, f"{command['key']} {claim.epoch}\n".encode())
        await self.pause(command, "acted")
        await asyncio.sleep(command.get("seconds", 0))
        return Answer(201, [], str(claim.epoch).encode())

    async def pause(self, command: dict[str, Any], at: str) -> None:
        if command.get("pause") == at:
            tell(id=command["id"], at=at)
            await asyncio.sleep(command.get("pause_seconds", 3600))


def render(problem: Problem) -> Answer:
    return Answer(problem.status, [], problem.kind.slug.encode())


async def main() -> None:
    url, secret, effects = sys.argv[1:4]
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    options = RedisOptions(timeout_seconds=5, stall_seconds=5)  # the machine may be busy
    async with await RedisClient.open(url, options=options) as client:
        store = IdempotencyStore(client, Locator(bytes.fromhex(secret)))
        worker = Worker(store, Path(effects))
        stopping = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stopping.set)
        tell(ready=os.getpid())
        serving = asyncio.create_task(serve(reader, worker))
        await asyncio.wait(
            [serving, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        await store.close(grace_seconds=GRACE_SECONDS)
        await asyncio.sleep(0)


async def serve(reader: asyncio.StreamReader, worker: Worker) -> None:
    tasks = set()
    while line := await reader.readline():
        tasks.add(asyncio.create_task(worker.work(json.loads(line))))
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(main())
