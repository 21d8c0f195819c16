"""The compiled contract by itself: checking a request and a response, routing, loading."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter, process_time_ns

import orjson

from bench import order
from bench.servers import order_contract
from bench.serving import resident_mib
from portico.contract import load_foreign
from portico.contract.route import Router

ROUNDS = 7
CALLS = 5_000
OPERATIONS = 1_000
_PATH = "/customers/C-42/orders"


def measure() -> dict[str, dict[str, float | str]]:
    """Return the checks, the routes and the loading of a large document."""
    return {**_checks(), **_routes(), **_load()}


def _cpu_us(call: Callable[[], object]) -> float:
    """Return the median CPU time of one call, in microseconds."""
    spent = []
    for _ in range(ROUNDS + 1):
        begin = process_time_ns()
        for _ in range(CALLS):
            call()
        spent.append((process_time_ns() - begin) / CALLS / 1000)
    return round(statistics.median(spent[1:]), 2)  # the first round warms


def _checks() -> dict[str, dict[str, float | str]]:
    operation = order_contract().operations["createOrder"]
    query = order.TARGET.partition("?")[2].encode()
    headers = {name.encode(): value.encode() for name, value in order.HEADERS.items()}

    def respond() -> object:
        return operation.check_response(201, "application/json", orjson.loads(order.BODY))

    if respond():
        raise RuntimeError("the measured response does not match its contract")
    return {
        "contract.request": {
            "cpu_us": _cpu_us(lambda: operation.check_request(["C-42"], query, headers, order.BODY))
        },
        "contract.response": {"cpu_us": _cpu_us(respond)},
    }


def _routes() -> dict[str, dict[str, float | str]]:
    found: dict[str, dict[str, float | str]] = {}
    for paths in (200, 2_000):
        router: Router[str] = Router()
        for number in range(paths - 1):
            router.add("GET", f"/things{number}/{{thingId}}/parts", "getParts")
        router.add("POST", "/customers/{customerId}/orders", "createOrder")
        found[f"route.{paths}"] = {"cpu_us": _cpu_us(partial(router.match, _PATH))}
    return found


def _load() -> dict[str, dict[str, float | str]]:
    """Load a large document in a process of its own, so that its memory can be told apart."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.contract"], capture_output=True, text=True, check=True
    )
    seconds, mebibytes = json.loads(done.stdout)
    return {
        "load.1000_operations": {"value": round(seconds, 2), "unit": "s"},
        "load.1000_operations_mib": {"value": round(mebibytes, 1), "unit": "MiB"},
    }


def _load_large() -> tuple[float, float]:
    """Return the seconds and MiB that a document of 1,000 operations takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.json"
        order_contract()  # what any document needs is loaded before
        path.write_text(json.dumps(order.contract(others=OPERATIONS - 1)))
        before = resident_mib(os.getpid())
        begin = perf_counter()
        contract = load_foreign(path, name="large", base_path="/large")
        seconds = perf_counter() - begin
        if len(contract.operations) != OPERATIONS:
            raise RuntimeError(f"loaded {len(contract.operations)} operations")
        return seconds, resident_mib(os.getpid()) - before


if __name__ == "__main__":
    print(json.dumps(_load_large()))
