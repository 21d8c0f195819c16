"""The network that is kept in step: a gateway, Salesforce and QuickBooks on loopback, a Tryton."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from gateway.config import Config
from gateway.sandboxes import SANDBOXES
from portico.sandbox.running import Running, run_sandboxes
from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from system_apis.salesforce.sandbox.objects import OBJECTS
from system_apis.salesforce.sandbox.store import Saving
from tests.support import serving as serving_support
from tests.support import tryton as real_tryton
from tests.support.durable import quicken_lanes
from tests.support.serving import PUBLIC_URL, Served, serving
from tests.support.tryton import pytest_collection_modifyitems, tryton_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

    from system_apis.tryton.sandbox.server import Sandbox

__all__ = ["pytest_collection_modifyitems", "tryton_data"]

SYSTEMS = ("salesforce", "tryton", "quickbooks")
APIS = ["process/customer-sync", *(f"system/{name}" for name in SYSTEMS)]
SCOPES = [f"{name}:{verb}" for name in ("customer-sync", *SYSTEMS) for verb in ("read", "write")]
SECRET = "a-secret-of-the-tests"
SYNC = "/process/customer-sync/v1"
UNLIMITED = 1000
PATIENCE_SECONDS = 60.0
SEEDED = 5
# As many customers as the tests of a module want: they come into step together.
AT_ONCE = 11


def eventually(condition: Any, seconds: float = PATIENCE_SECONDS) -> bool:
    """Wait until something is true. What is asked is answered by this process: not all the time."""
    return serving_support.eventually(condition, seconds, every=0.1)


@contextlib.contextmanager
def sandboxes() -> Iterator[Mapping[str, Running]]:
    """Serve CRM and accounting on a thread of their own."""
    started: Future[Mapping[str, Running]] = Future()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        kinds = {name: SANDBOXES[name] for name in ("salesforce", "quickbooks")}
        async with run_sandboxes(kinds, lambda _name: SECRET) as running:
            started.set_result(running)
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        running = started.result(15)
        books = running["quickbooks"].sandbox
        assert isinstance(books, QuickBooksSandbox)
        books.requests_per_second, books.requests_per_minute = UNLIMITED, 10 * UNLIMITED
        yield running
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(15)
        loop.close()


def settings(folder: Path, running: Mapping[str, Running], erp: Sandbox) -> dict[str, Any]:
    """Return the configuration, with a look every second: more often the clock cannot."""
    (folder / "secret").write_text(SECRET)
    reference = f"file:{folder / 'secret'}"
    endpoint = erp.endpoint
    apis: dict[str, Any] = {
        "process/customer-sync.v1": {"settings": {"poll": "* * * * * *"}},
        "system/tryton.v1": {
            "exposed": True,
            "settings": {"base_url": endpoint.base_url, "key": endpoint.key_reference},
        },
    }
    for name, found in running.items():
        made = found.kind.settings(found.url)
        resolved = {
            key: reference if str(value).startswith("generated:") else value
            for key, value in made.items()
        }
        apis[f"system/{name}.v1"] = {"exposed": True, "settings": resolved}
    unlimited = {"requests_per_second": UNLIMITED, "requests_per_minute": 10 * UNLIMITED}
    apis["system/quickbooks.v1"]["settings"].update(unlimited)
    return {
        "data": folder / "data",
        "access_log": "off",
        "public_url": PUBLIC_URL,
        "embedded": {"tryton": False, "redis": False, "sandboxes": False},
        "apis": apis,
        "workflows": {"lease_seconds": 1.0},
    }


@dataclass(slots=True)
class Network:
    """The running gateway and the systems behind it, the same for all tests."""

    served: Served
    running: Mapping[str, Running]
    unused: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"idempotency-key": str(uuid4()), **options.pop("headers", {})}
        token = self.served.token(*options.pop("scopes", SCOPES))
        return self.served.request(method, path, token=token, headers=headers, **options)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def items(self, path: str) -> list[Any]:
        """Return all items of a list."""
        found: list[Any] = []
        sign, cursor = "&" if "?" in path else "?", ""
        while True:
            page = self.get(f"{path}{sign}limit=100{cursor}")
            found += page["items"]
            if "nextCursor" not in page:
                return found
            cursor = f"&cursor={page['nextCursor']}"

    def records(self, system: str) -> dict[str, Any]:
        """Return the customers of a system by their ids there."""
        return {each["id"]: each for each in self.items(f"/system/{system}/v1/customers")}

    def named(self, system: str, name: str) -> list[Any]:
        return [each for each in self.records(system).values() if each["name"] == name]

    def make_account(self, name: str, **more: Any) -> str:
        """Let somebody make an account in the CRM; return its id."""
        path = f"/system/salesforce/v1/customers/by-key/X-{uuid4().hex[:10]}"
        answer = self.ask("PUT", path, json={"name": name, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def change(self, system: str, record_id: str, **values: Any) -> None:
        """Let somebody change a customer in a system."""
        method = "PUT" if system == "tryton" else "PATCH"
        path = f"/system/{system}/v1/customers/{record_id}"
        answer = self.ask(method, path, json=values)
        assert answer.is_success, answer.text

    def move_at_once(self, records: Mapping[str, str], *, in_crm: str, in_books: str) -> None:
        """Let two people change the address of a customer between two looks."""
        crm: Any = self.running["salesforce"].sandbox
        books: Any = self.running["quickbooks"].sandbox
        token = books.state.table("Customer")[records["quickbooks"]]["SyncToken"]
        there = {"Id": records["quickbooks"], "SyncToken": token, "sparse": True}
        saving = Saving(version="v68.0", allow_duplicates=True)
        account, store = OBJECTS["account"], crm.org.data.store
        store.update(account, records["salesforce"], {"BillingCity": in_crm}, saving)
        books.books.post("Customer", {**there, "BillAddr": {"City": in_books}}, "")

    def customer(self, name: str) -> Any:
        """Return a customer that is in all systems, by its name; None until it is."""
        for each in self.items(f"{SYNC}/customers"):
            if each.get("name") == name and "waitingFor" not in each:
                found = self.get(f"{SYNC}/customers/{each['id']}")
                linked = [link for link in found["links"] if link["state"] == "linked"]
                return found if len(linked) == len(SYSTEMS) else None
        return None

    def in_step(self, name: str) -> tuple[str, dict[str, str]]:
        """Wait for a customer to be in all systems; return its id and its records."""
        assert eventually(lambda: self.customer(name), PATIENCE_SECONDS), self.state()
        found = self.customer(name)
        return found["id"], {link["system"]: link["id"] for link in found["links"]}

    def new_customer(self) -> tuple[str, dict[str, str]]:
        """Return a customer that was made in the CRM, is in all systems, and no test had yet."""
        if not self.unused:
            names = [f"Quay {uuid4().hex[:8]}" for _ in range(AT_ONCE)]
            for name in names:
                self.make_account(name, phone="+31 10 555 0909")
            self.unused += [self.in_step(name) for name in names]
        return self.unused.pop()

    def state(self) -> Any:
        return {
            "customers": self.items(f"{SYNC}/customers"),
            "conflicts": self.items(f"{SYNC}/conflicts"),
            "systems": self.get(f"{SYNC}/systems"),
        }

    def conflicts(self, customer_id: str, state: str = "open") -> list[Any]:
        return self.items(f"{SYNC}/conflicts?customerId={customer_id}&state={state}")

    def looks(self) -> dict[str, str]:
        systems = self.get(f"{SYNC}/systems")["items"]
        return {each["system"]: each.get("lookedAt", "") for each in systems}

    def wait_for_looks(self, count: int) -> None:
        """Wait until each system was looked at so often again."""
        for _ in range(count):
            before = self.looks()
            assert eventually(
                lambda before=before: all(
                    at > before[system] for system, at in self.looks().items()
                ),
                PATIENCE_SECONDS,
            )
            time.sleep(0.2)


@contextlib.contextmanager
def open_network(folder: Path, data: Path) -> Iterator[Network]:
    with real_tryton.running(data, folder / "erp") as erp, sandboxes() as running:
        config = Config.model_validate(settings(folder, running, erp))
        with serving(config, only=APIS) as served:
            quicken_lanes()
            network = Network(served, running)
            complete = lambda: all(  # noqa: E731  # it is said once
                each["complete"] for each in network.get(f"{SYNC}/systems")["items"]
            )
            assert eventually(complete, PATIENCE_SECONDS), network.state()
            yield network


@pytest.fixture(scope="module")
def network(tryton_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with open_network(tmp_path_factory.mktemp("network"), tryton_data) as found:
        yield found
