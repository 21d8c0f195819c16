"""The connector kit: what a call costs above the bare exchange, lists, and memory of many calls."""

from __future__ import annotations

import asyncio
import gc
import importlib
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter, process_time_ns
from types import ModuleType
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portico.connectors.classification import Dialect, Reason
from portico.connectors.connection import Connection, open_connection
from portico.connectors.credentials import bearer
from portico.connectors.messages import Answer, Job, read
from portico.connectors.wire import ConnectionSettings
from portico.deadline import Deadline
from portico.sandbox.running import Running, run_sandboxes, serve_on_loopback
from portico.sandbox.system import SandboxKind
from portico.testing import APIUnderTest
from portico.transport.pool import PooledTransport
from portico.transport.wire import Outgoing
from system_apis.quickbooks import app as quickbooks_app
from system_apis.quickbooks import handlers as quickbooks_handlers
from system_apis.quickbooks.sandbox.kind import QuickBooksKind
from system_apis.salesforce import app as salesforce_app
from system_apis.salesforce import handlers as salesforce_handlers
from system_apis.salesforce.sandbox.ids import make
from system_apis.salesforce.sandbox.system import SalesforceKind
from system_apis.sap import app as sap_app
from system_apis.sap import handlers as sap_handlers
from system_apis.sap.sandbox.system import SAPKind
from system_apis.sap.sandbox.values import padded
from system_apis.stripe import app as stripe_app
from system_apis.stripe import handlers as stripe_handlers
from system_apis.stripe.sandbox.kind import StripeKind

CONTRACTS = Path(__file__).parents[1] / "specs" / "openapi" / "system"
CALLS = 2_000
ROUNDS = 5
SYSTEM_CALLS = 300
CUSTOMERS = 200
PAGE = 100
# Memory is compared after so many calls, when every cache is full, and after all of them.
WARM_CALLS, MANY_CALLS = 10_000, 100_000
BODY = b'{"id": "cus_1", "object": "customer", "name": "' + b"x" * 700 + b'"}'
REQUEST = read("get customers", "v1/customers/cus_1")
SECRET = "a secret of the bench"

# Of each system: its API, and where its sandbox keeps customers, under which id.
APIS: dict[str, tuple[Any, ModuleType]] = {
    "quickbooks": (quickbooks_app, quickbooks_handlers),
    "salesforce": (salesforce_app, salesforce_handlers),
    "sap": (sap_app, sap_handlers),
    "stripe": (stripe_app, stripe_handlers),
}
CUSTOMER_TABLES: dict[str, tuple[str, str, Callable[[int], str]]] = {
    "quickbooks": ("Customer", "Id", str),
    "salesforce": ("Account", "Id", lambda number: make("001", number)),
    "sap": ("A_BusinessPartner", "BusinessPartner", lambda number: padded(str(number))),
    "stripe": ("customer", "id", lambda number: f"cus_{number}"),
}

KINDS: dict[str, SandboxKind] = {
    "quickbooks": QuickBooksKind(),
    "salesforce": SalesforceKind(),
    "sap": SAPKind(),
    "stripe": StripeKind(),
}
# Nothing is measured while a limit is waited for.
FASTER: dict[str, dict[str, object]] = {
    "quickbooks": {"requests_per_second": 1000, "requests_per_minute": 10_000},
    "stripe": {"requests_per_second": 1000},
}


def measure() -> dict[str, dict[str, Any]]:
    """Return the overhead of a call, the time of lists, and the growth of memory."""
    return asyncio.run(_measure())


async def _measure() -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    async with serve_on_loopback(_answer) as url:
        settings = ConnectionSettings.model_validate({"base_url": url})
        async with open_connection(settings, DIALECT, lambda _: bearer("t")) as connection:
            overhead = await _overhead(connection, url)
            results["connector.overhead"] = {"cpu_us": round(overhead, 1)}
            grown = await _growth(connection)
            results["connector.growth_mib"] = {"value": round(grown, 1), "unit": "MiB"}
    with tempfile.TemporaryDirectory() as folder:
        async with run_sandboxes(KINDS, lambda _: SECRET) as running:
            for name, entry in running.items():
                seconds = await _list(name, entry, Path(folder))
                results[f"connector.list_200.{name}"] = {"value": round(seconds, 2), "unit": "s"}
            for name, entry in running.items():
                spent = await _overhead_of(name, entry, Path(folder))
                results[f"connector.overhead.{name}"] = {"cpu_us": round(spent, 1)}
    return results


def _no_reason(_answer: Answer) -> Reason | None:
    return None


DIALECT = Dialect(system="bench", read_reason=_no_reason)


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def _overhead(connection: Connection, url: str) -> float:
    """Return the CPU of a call less that of the same exchange on the same pool."""
    job = Job(deadline=Deadline.after(600))
    pool = PooledTransport(max_connections=4, max_waiting=4, idle_seconds=60)
    address = httpx.URL(f"{url}/v1/customers/cus_1")

    async def call() -> object:
        return (await connection.send(REQUEST, job)).json()

    async def bare() -> object:
        fields = [(b"host", b"127.0.0.1")]
        return await pool.handle_async_request(Outgoing("GET", address, fields, b"", {}))

    differences = [await _cpu_us(call) - await _cpu_us(bare) for _ in range(ROUNDS)]
    await pool.aclose()
    return statistics.median(differences)


async def _cpu_us(work: Callable[[], Awaitable[object]], calls: int = CALLS) -> float:
    began = process_time_ns()
    for _ in range(calls):
        await work()
    return (process_time_ns() - began) / calls / 1000


async def _growth(connection: Connection) -> float:
    """Return by how much memory grows from the time it is warm to the last of many calls."""
    job = Job(deadline=Deadline.after(3600))
    for _ in range(WARM_CALLS):
        await connection.send(REQUEST, job)
    before = _resident_mib()
    for _ in range(MANY_CALLS - WARM_CALLS):
        await connection.send(REQUEST, job)
    return _resident_mib() - before


def _resident_mib() -> float:
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class _Replayed:
    """A server whose reads cost nothing: after the first its answer is given again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[tuple[str, bytes], list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = (scope["path"], scope["query_string"])
        if scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        if key not in self._kept:
            messages: list[Message] = []

            async def keep(message: Message) -> None:
                messages.append(message)

            await self._app(scope, receive, keep)
            self._kept[key] = messages
        for message in self._kept[key]:
            await send(message)


async def _overhead_of(name: str, entry: Running, folder: Path) -> float:
    """Return the CPU of a read by a connector less that of the same exchange on the same pool."""
    app, _ = APIS[name]
    doctor = importlib.import_module(f"system_apis.{name}.doctor")
    job = Job(deadline=Deadline.after(600))
    async with serve_on_loopback(_Replayed(entry.faulty)) as url:
        made = _settings(name, entry, url, folder) | FASTER.get(name, {})
        async with app.resources(app.Settings.model_validate(made)) as resources:
            request = doctor.probes(resources)[0].request
            pool = PooledTransport(max_connections=4, max_waiting=4, idle_seconds=60)
            address = httpx.URL(f"{url}/{request.target}")

            async def call() -> object:
                return (await resources.connection.send(request, job)).json()

            async def bare() -> object:
                fields = [(b"host", b"127.0.0.1")]
                return await pool.handle_async_request(Outgoing("GET", address, fields, b"", {}))

            await call()
            differences = [
                await _cpu_us(call, SYSTEM_CALLS) - await _cpu_us(bare, SYSTEM_CALLS)
                for _ in range(ROUNDS)
            ]
            await pool.aclose()
    return statistics.median(differences)


async def _list(name: str, entry: Running, folder: Path) -> float:
    """Return the seconds of listing 200 customers, with the limits the vendor has."""
    app, handlers = APIS[name]
    made = _settings(name, entry, entry.url, folder)
    _add_customers(name, entry)
    async with app.resources(app.Settings.model_validate(made)) as resources:
        api = APIUnderTest(CONTRACTS / f"{name}.v1.yaml", handlers, resources=resources)
        began, listed, arguments = perf_counter(), 0, {"limit": PAGE}
        while listed < CUSTOMERS:
            page: Any = (await api.invoke("listCustomers", arguments)).body
            listed += len(page["items"])
            arguments = {"limit": PAGE, "cursor": page.get("nextCursor", "")}
        return perf_counter() - began


def _settings(name: str, entry: Running, url: str, folder: Path) -> dict[str, object]:
    """Return the settings of the API for a sandbox at a URL."""
    made = {
        setting: SECRET if str(value).startswith("generated:") else value
        for setting, value in entry.kind.settings(url).items()
    }
    made["references_url"] = f"sqlite:///{folder / 'references.sqlite'}"
    return made | {"tokens": folder} if name == "quickbooks" else made


def _add_customers(name: str, entry: Running) -> None:
    table_name, key, id_of = CUSTOMER_TABLES[name]
    table = entry.sandbox.state.table(table_name)
    template = next(iter(table.values()))
    for number in range(1000, 1000 + CUSTOMERS):
        table[id_of(number)] = {**template, key: id_of(number)}
