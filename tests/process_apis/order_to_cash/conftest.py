"""The network of the scenario: a gateway, and Stripe, QuickBooks and Salesforce on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from gateway.config import Config
from gateway.sandboxes import SANDBOXES
from portico.sandbox.faults import Faults
from portico.sandbox.running import Running, run_sandboxes
from portico.sandbox.webhooks import Endpoint
from process_apis.order_to_cash.tasks import EVENTS
from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from tests.support.serving import PUBLIC_URL, Served, eventually, free_port, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

SYSTEMS = ("stripe", "quickbooks", "salesforce")
APIS = ["process/order-to-cash", "experience/operations", *(f"system/{name}" for name in SYSTEMS)]
SCOPES = [
    "order-to-cash:read",
    "order-to-cash:write",
    "operations:read",
    "operations:write",
    *(f"{name}:{verb}" for name in SYSTEMS for verb in ("read", "write")),
]
SECRET = "a-secret-of-the-tests"
RUNS = "/process/order-to-cash/v1/runs"
BOOKS = "/system/quickbooks/v1/invoices"
GRINDERS, OPEN = "Grinders for the second counter", "Qualification"
RETRY_SECONDS = 0.2
UNLIMITED = 1000
SECONDS = 30.0
DOCUMENTS = ("Invoice", "Payment", "RefundReceipt", "CreditMemo")


@contextlib.contextmanager
def systems() -> Iterator[Mapping[str, Running]]:
    """Serve the three systems on a thread of their own."""
    started: Future[Mapping[str, Running]] = Future()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        kinds = {name: SANDBOXES[name] for name in SYSTEMS}
        async with run_sandboxes(kinds, lambda _name: SECRET) as running:
            started.set_result(running)
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        yield started.result(15)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(15)
        loop.close()


def settings(folder: Path, running: Mapping[str, Running]) -> dict[str, Any]:
    """Return the configuration, with retries in fractions of a second."""
    (folder / "secret").write_text(SECRET)
    reference = f"file:{folder / 'secret'}"
    apis: dict[str, Any] = {
        "process/order-to-cash.v1": {
            "settings": {"retry_seconds": RETRY_SECONDS, "poll": "*/2 * * * * *"}
        }
    }
    for name in SYSTEMS:
        made = running[name].kind.settings(running[name].url)
        resolved = {
            key: reference if str(value).startswith("generated:") else value
            for key, value in made.items()
        }
        apis[f"system/{name}.v1"] = {"exposed": True, "settings": resolved}
    # Limits are tested where they are; here a minute's requests are sent in seconds.
    unlimited = {"requests_per_second": UNLIMITED, "requests_per_minute": 10 * UNLIMITED}
    apis["system/quickbooks.v1"]["settings"].update(unlimited)
    return {
        "data": folder / "data",
        "access_log": "off",
        "public_url": PUBLIC_URL,
        "embedded": {"tryton": False, "redis": False, "sandboxes": False},
        "apis": apis,
        "webhooks": {
            "doors": {
                "stripe": {
                    "vendor": "stripe",
                    "secrets": [reference],
                    "workflow": "order-to-cash.v1",
                }
            }
        },
        "workflows": {"lease_seconds": 1.0},
        "alerts": {"look_seconds": 0.2},
    }


@dataclass(slots=True)
class Network:
    """The running gateway and the systems behind it, the same for all tests."""

    served: Served
    running: Mapping[str, Running]
    known: frozenset[str] = frozenset()
    before: dict[str, set[str]] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Let everything work, the opportunity be open, and what there is be known."""
        for system in self.running.values():
            system.faulty.set(Faults())
        # One event is a run, and one thing done in Stripe is several: a test waits for some only.
        assert eventually(self.is_at_rest, SECONDS), "runs of the test before do not end"
        found = self.ask("GET", "/system/salesforce/v1/opportunities").json()["items"]
        (opportunity,) = [each for each in found if each["name"] == GRINDERS]
        path = f"/system/salesforce/v1/opportunities/{opportunity['id']}"
        assert self.ask("PATCH", path, json={"stage": OPEN}).is_success
        self.known = frozenset()
        self.known = frozenset(invoice["id"] for invoice in self.invoices())
        state = self.running["quickbooks"].sandbox.state
        self.before = {name: set(state.table(name)) for name in DOCUMENTS}

    def is_at_rest(self) -> bool:
        """Return whether what happened in Stripe has had its run, and no run goes on."""
        events = list(self.running["stripe"].sandbox.state.table("event").values())
        for event in events:
            if event["type"] in EVENTS and event["id"] not in self.over:
                answer = self.ask("GET", f"{RUNS}/webhook:stripe:{event['id']}")
                if not answer.is_success or answer.json()["phase"] == "running":
                    return False
                self.over.add(event["id"])
        return True

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"idempotency-key": str(uuid4()), **options.pop("headers", {})}
        token = self.served.token(*SCOPES)
        return self.served.request(method, path, token=token, headers=headers, **options)

    def subscribe(self, customer: int = 0) -> str:
        """Subscribe a customer in Stripe to a bag of beans each month; return the subscription."""
        price = {"amount": "27.40", "currency": "EUR"}
        product = {"name": "Ethiopia washed", "unitPrice": price, "billedEvery": "month"}
        answer = self.ask("PUT", "/system/stripe/v1/products/BEANS-ETH-1KG", json=product)
        assert answer.is_success, answer.text
        customers = self.ask("GET", "/system/stripe/v1/customers").json()["items"]
        by_key = {found["extensions"]["stripe"]["externalKey"]: found["id"] for found in customers}
        body = {
            "customerId": by_key[f"C-{1001 + customer}"],
            "items": [{"sku": "BEANS-ETH-1KG", "quantity": 2}],
            "daysUntilDue": 30,
        }
        path = f"/system/stripe/v1/subscriptions/by-key/{uuid4().hex}"
        answer = self.ask("PUT", path, json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def at_stripe(self, method: str, path: str, **values: str) -> dict[str, Any]:
        """Do something in Stripe itself, as its customers and their cards do."""
        headers = {"authorization": f"Bearer {SECRET}"}
        sent: dict[str, Any] = {"data": values} if method == "POST" else {"params": values}
        url = f"{self.running['stripe'].url}/v1/{path}"
        answer = self.served.client.request(method, url, headers=headers, **sent)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def invoice_of(self, subscription_id: str) -> str:
        """Return the invoice of a subscription in Stripe."""
        return str(self.at_stripe("GET", f"subscriptions/{subscription_id}")["latest_invoice"])

    def run(self, record_id: str, kind: str = "customer.subscription.created") -> dict[str, Any]:
        """Return the run that an event of a record started, nothing while there is none."""
        asked = {"types": kind, "limit": 100}
        events = self.ask("GET", "/system/stripe/v1/events", params=asked).json()["items"]
        names = [event["id"] for event in events if event["recordId"] == record_id]
        answers = [self.ask("GET", f"{RUNS}/webhook:stripe:{name}") for name in names]
        found = [answer.json() for answer in answers if answer.is_success]
        return found[0] if found else {}

    def in_books(self, entity: str) -> list[dict[str, Any]]:
        """Return the records of the books that were made since the test began."""
        table = self.running["quickbooks"].sandbox.state.table(entity)
        return [record for name, record in table.items() if name not in self.before[entity]]

    def invoices(self) -> list[dict[str, Any]]:
        """Return the invoices that were made since the test began."""
        found = self.ask("GET", BOOKS).json()["items"]
        return [invoice for invoice in found if invoice["id"] not in self.known]

    def stage(self) -> str:
        """Return the stage of the opportunity of the first customer."""
        found = self.ask("GET", "/system/salesforce/v1/opportunities").json()["items"]
        (stage,) = [each["stage"] for each in found if each["name"] == GRINDERS]
        return str(stage)


@pytest.fixture(scope="module")
def running_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    tmp_path = tmp_path_factory.mktemp("network")
    port = free_port()
    with systems() as running:
        stripe = running["stripe"].sandbox
        assert stripe.webhooks is not None
        books = running["quickbooks"].sandbox
        assert isinstance(books, QuickBooksSandbox)
        books.requests_per_second, books.requests_per_minute = UNLIMITED, 10 * UNLIMITED
        config = Config.model_validate(settings(tmp_path, running))
        with serving(config, only=APIS, port=port) as served:
            stripe.webhooks.endpoints.append(
                Endpoint(url=f"{served.url}/webhooks/stripe", secret=SECRET)
            )
            yield Network(served, running)


@pytest.fixture
def network(running_network: Network) -> Network:
    running_network.begin()
    return running_network
