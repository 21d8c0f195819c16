"""A process of the durable measurements: `python -m bench.durable_worker MODE DATABASE ARGUMENT…`.

`door PORT` serves a door of Stripe's. `steps COUNT AT` runs workflows of three steps from a moment
on, `park COUNT` starts workflows that sleep and keeps them, `deliver COUNT URL` sends webhooks, and
`receive` takes them. Results are JSON lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import uvloop
from dbos import DBOS

from gateway import doors
from gateway.control import control_app
from gateway.protocol.serve import ServeEvents, quiet_collector, serve
from portico.events.event import new_event
from portico.webhooks.delivery import Deliveries
from portico.webhooks.door import Door
from portico.webhooks.egress import Egress, Guard
from portico.webhooks.subscribers import Subscriber, Subscribers
from portico.webhooks.vendors import VENDORS
from portico.workflow.database import WorkflowDatabase
from portico.workflow.definition import Workflow
from portico.workflow.engine import WorkflowOptions, open_workflows
from portico.workflow.workflows import Workflows

SECRET = "a-secret-of-the-bench"
# After so long another process takes up what one left that was killed.
LEASE_SECONDS = 3.0
_AT_ONCE = 50
_PARKED_SECONDS = 3600.0


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


async def _step(number: int) -> dict[str, object]:
    return {"failed": False, "body": {"id": str(number)}}


class Sales:
    """Runs workflows, and waits for them without asking the database."""

    def __init__(self) -> None:
        self._done: dict[str, asyncio.Event] = {}

    async def run(self, payload: Any) -> str:
        """Do what order-to-cash does when all goes well: two steps at once, then one."""
        first = DBOS.run_step_async({"name": "stage"}, _step, 1)
        await asyncio.gather(first, DBOS.run_step_async({"name": "invoice"}, _step, 2))
        await DBOS.run_step_async({"name": "publish"}, _step, 3)
        if payload["id"] in self._done:  # it may be run again after it was done
            self._done[payload["id"]].set()
        return "done"

    async def finish(self, workflows: Workflows, name: str) -> None:
        done = self._done[name] = asyncio.Event()
        await workflows.start(name, "steps.v1", {"id": name})
        await done.wait()
        del self._done[name]


class Parked:
    """Counts the workflows that sleep in this process."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self, payload: Any) -> None:
        del payload
        self.count += 1
        await DBOS.sleep_async(_PARKED_SECONDS)


async def _nothing(payload: Any) -> None:
    del payload


@contextlib.asynccontextmanager
async def opened(
    database: WorkflowDatabase, definition: Workflow, *, lease_seconds: float = 15.0
) -> AsyncIterator[Workflows]:
    patient = WorkflowOptions(start_timeout_seconds=60.0, lease_seconds=lease_seconds)
    async with open_workflows(database, [definition], options=patient) as workflows:
        with quiet_collector():  # as the gateway serves
            yield workflows


async def door(database: WorkflowDatabase, port: str) -> None:
    """Serve the door until the process is ended."""
    holder: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await holder[0](scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with opened(database, Workflow(name="intake.v1", run=_nothing)) as workflows:
            stripe = Door(
                name="stripe",
                vendor=VENDORS["stripe"],
                secrets=[SECRET.encode()],
                workflow="intake.v1",
                workflows=workflows,
            )
            routes = doors.routes({"stripe": stripe})
            holder.append(control_app(routes, ready=lambda: "", type_base="/portal/problems/"))
            yield

    events = ServeEvents(ready=lambda: say(ready=True))
    await serve(app, host="127.0.0.1", port=int(port), lifespan=lifespan, events=events)


async def steps(database: WorkflowDatabase, count: str, at: str) -> None:
    """Run workflows, so many at once, and tell when the last one was done."""
    sales = Sales()
    async with opened(database, Workflow(name="steps.v1", run=sales.run)) as workflows:
        warm = secrets.token_hex(4)
        await _each(20, lambda number: sales.finish(workflows, f"{warm}-{number}"))
        await asyncio.sleep(max(0.0, float(at) - time.time()))
        name = secrets.token_hex(4)
        begin, spent = time.time(), time.process_time()
        await _each(int(count), lambda number: sales.finish(workflows, f"{name}-{number}"))
        say(begin=begin, end=time.time(), cpu_seconds=time.process_time() - spent)


async def _each(count: int, do: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(count))

    async def take() -> None:
        for number in numbers:
            await do(number)

    await asyncio.gather(*(take() for _ in range(_AT_ONCE)))


async def park(database: WorkflowDatabase, count: str, new: str) -> None:
    """Start workflows, or take up those that another process left; keep them until the end."""
    parked = Parked()
    parking = Workflow(name="park.v1", run=parked.run)
    async with opened(database, parking, lease_seconds=LEASE_SECONDS) as workflows:
        say(open=True)
        await _each(int(new), lambda number: _park(workflows, number))
        while parked.count < int(count):  # noqa: ASYNC110  # the engine has no event for it
            await asyncio.sleep(0.02)
        say(parked=parked.count)
        await asyncio.sleep(_PARKED_SECONDS)


async def _park(workflows: Workflows, number: int) -> None:
    await workflows.start(f"parked-{number}", "park.v1", None)


async def deliver(database: WorkflowDatabase, count: str, url: str) -> None:
    """Send webhooks to one subscriber who takes them in parallel."""
    own = database.open()
    egress = Egress(Guard([ip_network("127.0.0.0/8")]))
    subscriber = Subscriber(name="one", url=url, types=["bench.made"], secrets=[b"s" + b"k" * 32])

    async def was_replayed(workflow_id: str) -> bool:
        del workflow_id
        return False

    deliveries = Deliveries(Subscribers(database, own, [subscriber]), egress, was_replayed)
    async with opened(database, deliveries.workflow) as workflows:
        handle = deliveries.subscription(workflows).handle
        begin, spent = time.time(), time.process_time()
        await _each(
            int(count), lambda number: handle(new_event("bench.made", "/bench", {"of": number}))
        )
        while True:
            left = await DBOS.list_workflows_async(
                status=["PENDING", "ENQUEUED"], limit=1, load_input=False
            )
            if not left:
                break
            await asyncio.sleep(0.05)
        say(seconds=time.time() - begin, cpu_seconds=time.process_time() - spent)
    await egress.close()
    await own.dispose()


async def receive(database: WorkflowDatabase) -> None:
    """Answer every request with 204, and say at the end of the input how many there were."""
    del database
    count = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        count += 1
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    say(port=server.sockets[0].getsockname()[1])
    await asyncio.to_thread(sys.stdin.read)
    say(received=count)


MODES: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "door": door,
    "steps": steps,
    "park": park,
    "deliver": deliver,
    "receive": receive,
}


def main() -> None:
    mode, url, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="portico-") as folder:
        database = WorkflowDatabase.in_folder(Path(folder))
        if url:
            database = WorkflowDatabase.parse(url)
        uvloop.run(MODES[mode](database, *arguments))
    os._exit(0)


if __name__ == "__main__":
    main()
