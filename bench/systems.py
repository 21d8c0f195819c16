"""Each system: the cost of a call above the bare exchange, lists, and the memory of many calls."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import httpx
from starlette.requests import Request as Incoming
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench.connectors import growth, overhead
from portico.connectors.connection import Connection
from portico.connectors.messages import Request
from portico.deadline import Deadline
from portico.sandbox.running import Running, run_sandboxes, serve_on_loopback
from portico.sandbox.system import SandboxKind
from portico.testing import APIUnderTest
from portico.trace import Trace
from system_apis.quickbooks.sandbox.kind import QuickBooksKind
from system_apis.salesforce.sandbox.ids import make
from system_apis.salesforce.sandbox.system import SalesforceKind
from system_apis.sap.sandbox.system import SAPKind
from system_apis.sap.sandbox.values import padded
from system_apis.stripe.sandbox.kind import StripeKind
from system_apis.tryton.sandbox.server import Endpoint, Sandbox

ROOT = Path(__file__).parents[1]
CONTRACTS = ROOT / "specs" / "openapi" / "system"
# Where the tests have set Tryton up already.
TRYTON_DATA = ROOT / "data" / "test" / "tryton"
OVERHEAD_CALLS = 300
# Memory of each connector; a long soak makes 100,000 calls of each.
WARM_CALLS, MANY_CALLS = 4_000, 20_000
CUSTOMERS = 200
PAGE = 100
SECRET = "a secret of the bench"

KINDS: dict[str, SandboxKind] = {
    "quickbooks": QuickBooksKind(),
    "salesforce": SalesforceKind(),
    "sap": SAPKind(),
    "stripe": StripeKind(),
}
# Where a sandbox keeps customers, under which id.
CUSTOMER_TABLES: dict[str, tuple[str, str, Callable[[int], str]]] = {
    "quickbooks": ("Customer", "Id", str),
    "salesforce": ("Account", "Id", lambda number: make("001", number)),
    "sap": ("A_BusinessPartner", "BusinessPartner", lambda number: padded(str(number))),
    "stripe": ("customer", "id", lambda number: f"cus_{number}"),
}
# Nothing is measured while a limit is waited for: these are above what settings allow.
FASTER: dict[str, dict[str, object]] = {
    "quickbooks": {"requests_per_second": 5000, "requests_per_minute": 100_000},
    "stripe": {"requests_per_second": 5000},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A system with 200 customers and more, and the settings to reach it at a URL."""

    name: str
    url: str
    app: ASGIApp
    settings: Callable[[str], dict[str, object]]

    def part(self, name: str) -> ModuleType:
        """Return a module of the API."""
        return importlib.import_module(f"system_apis.{self.name}.{name}")


def measure() -> dict[str, dict[str, Any]]:
    """Return the overhead of a call, the time of lists, and the growth of memory."""
    return asyncio.run(_measure())


async def _measure() -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with run_systems(Path(folder)) as systems:
            for system in systems:
                seconds = await _list(system)
                spent, grown = await _calls(system)
                results |= {
                    f"connector.overhead.{system.name}": {"cpu_us": round(spent, 1)},
                    f"connector.list_200.{system.name}": {"value": round(seconds, 2), "unit": "s"},
                    f"connector.growth_mib.{system.name}": {
                        "value": round(grown, 1),
                        "unit": "MiB",
                    },
                }
    return results


@contextlib.asynccontextmanager
async def run_systems(folder: Path, *, customers: int = CUSTOMERS) -> AsyncIterator[list[System]]:
    """Run every system with so many customers more, and its files in a folder."""
    tryton = Sandbox(TRYTON_DATA, state=folder / "tryton")
    endpoint = await tryton.start()
    try:
        async with run_sandboxes(KINDS, lambda _: SECRET) as running:
            systems = [_sandbox(name, entry, folder, customers) for name, entry in running.items()]
            key = tryton.secrets.key.read_text("utf-8")
            yield [*systems, await _tryton(endpoint, key, customers)]
    finally:
        await tryton.stop()


def _sandbox(name: str, entry: Running, folder: Path, customers: int) -> System:
    """Return one of our sandboxes, with customers added."""
    table_name, key, id_of = CUSTOMER_TABLES[name]
    table = entry.sandbox.state.table(table_name)
    template = next(iter(table.values()))
    for number in range(1000, 1000 + customers):
        table[id_of(number)] = {**template, key: id_of(number)}

    def settings(url: str) -> dict[str, object]:
        made = {
            setting: SECRET if str(value).startswith("generated:") else value
            for setting, value in entry.kind.settings(url).items()
        }
        made["references_url"] = f"sqlite:///{folder / 'references.sqlite'}"
        return made | {"tokens": folder} if name == "quickbooks" else made

    return System(name=name, url=entry.url, app=entry.faulty, settings=settings)


async def _tryton(endpoint: Endpoint, key: str, customers: int) -> System:
    """Return the real Tryton, with customers added."""
    url, _, database = endpoint.base_url.rpartition("/")

    def settings(url: str) -> dict[str, object]:
        return {"base_url": f"{url}/{database}", "key": key}

    system = System(name="tryton", url=url, app=_forwarding(url), settings=settings)
    app = system.part("app")
    async with app.resources(app.Settings.model_validate(settings(url))) as tryton:
        erp = await tryton.enter(Deadline.after(120), Trace.start())
        for number in range(customers):
            values = {"name": f"Customer {number}", "code": f"BENCH-{number}"}
            await erp.create("party.party", values, ["id"])
    return system


def _forwarding(url: str) -> ASGIApp:
    """Return an application that answers as the server at a URL does."""

    async def forward(scope: Scope, receive: Receive, send: Send) -> None:
        request = Incoming(scope, receive)
        async with httpx.AsyncClient(trust_env=False) as http:
            target = f"{url}{request.url.path}?{request.url.query}"
            answer = await http.get(target, headers=request.headers.raw)
        media_type = answer.headers["content-type"]
        await Response(answer.content, answer.status_code, media_type=media_type)(
            scope, receive, send
        )

    return forward


async def _list(system: System) -> float:
    """Return the seconds of listing 200 customers, with the limits the vendor has."""
    app, handlers = system.part("app"), system.part("handlers")
    settings = app.Settings.model_validate(system.settings(system.url))
    async with app.resources(settings) as resources:
        contract = CONTRACTS / f"{system.name}.v1.yaml"
        api = APIUnderTest(contract, handlers, resources=resources)
        began, listed, arguments = perf_counter(), 0, {"limit": PAGE}
        while listed < CUSTOMERS:
            page: Any = (await api.invoke("listCustomers", arguments)).body
            listed += len(page["items"])
            arguments = {"limit": PAGE, "cursor": page.get("nextCursor", "")}
        return perf_counter() - began


async def _calls(system: System) -> tuple[float, float]:
    """Return the CPU of a read above the same exchange on the same pool, and how memory grows."""
    async with connected(system) as (connection, requests):
        return (
            await overhead(connection, connection.base_url, requests[0], OVERHEAD_CALLS),
            await growth(connection, requests[0], warm=WARM_CALLS, calls=MANY_CALLS),
        )


@contextlib.asynccontextmanager
async def connected(system: System) -> AsyncIterator[tuple[Connection, list[Request]]]:
    """Connect to a system whose answers are replayed, without limits; yield reads to make."""
    app, doctor = system.part("app"), system.part("doctor")
    async with serve_on_loopback(_Replayed(system.app)) as url:
        settings = app.Settings.model_validate(system.settings(url))
        settings = settings.model_copy(update=FASTER.get(system.name, {}))
        async with app.resources(settings) as resources:
            yield resources.connection, [each.request for each in doctor.probes(resources)]


class _Replayed:
    """A server whose reads cost nothing: after the first of a path its answer is given again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[str, list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = scope["path"]
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
