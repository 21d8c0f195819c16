"""One tier calling another in the same process, both contract checks included."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
from pathlib import Path
from time import process_time_ns
from typing import Any

from bench import order
from bench.servers import order_service
from portico.client.local import LocalTransport
from portico.client.tiers import TierClient, targets
from portico.contract import Contract, load
from portico.deadline import Deadline
from portico.server.call import ANONYMOUS, Call
from portico.trace import Trace

API = "process/bench.v1"
CALLS = 5_000
ROUNDS = 5


def measure() -> dict[str, dict[str, float]]:
    """Return tier.hop: CPU of one call of createOrder with its 780-byte body."""
    return {"tier.hop": {"cpu_us": round(asyncio.run(_measure()), 1)}}


def _caller() -> Contract:
    """Return the contract of an API that calls the measured one."""
    document = order.contract("/experience/bench/v1")
    document["x-calls"] = {API: ["createOrder"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "experience" / "bench.v1.json"
        path.parent.mkdir()
        path.write_text(json.dumps(document))
        return load(path)


async def _measure() -> float:
    service = order_service()
    caller = _caller()
    transport = LocalTransport(service, TierClient(API, {}))
    found = targets(caller, {API: service.contract}, {API: transport})
    call: Call[Any] = Call(
        operation_id="placeOrder",
        caller=ANONYMOUS,
        deadline=Deadline.after(600.0),
        trace=Trace.start(),
        request_id="bench",
        tiers=TierClient(caller.name, found),
        resources=None,
    )
    arguments = {
        "customerId": "C-42",
        "expand": ["customer", "lines"],
        "limit": 10,
        "X-Shop-Id": order.HEADERS["x-shop-id"],
    }
    spent = []
    for _ in range(ROUNDS + 1):
        begin = process_time_ns()
        for _ in range(CALLS):
            await call.invoke(API, "createOrder", arguments, body=order.ORDER)
        spent.append((process_time_ns() - begin) / CALLS / 1000)
    return statistics.median(spent[1:])  # the first round warms
