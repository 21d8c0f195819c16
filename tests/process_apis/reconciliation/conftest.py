"""The network of the comparisons: a gateway, three sandboxes on loopback, and a real Tryton."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from gateway.config import Config
from portico.sandbox.faults import Faults
from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from tests.process_apis.order_to_cash.conftest import SECRET, UNLIMITED, settings, systems
from tests.support.durable import quicken_lanes
from tests.support.serving import Served, eventually, serving
from tests.support.tryton import (  # noqa: F401  # fixtures, and the hook that allows for the set-up
    pytest_collection_modifyitems,
    tryton,
    tryton_data,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import httpx

    from portico.sandbox.running import Running
    from system_apis.tryton.sandbox.server import Sandbox

SYSTEMS = ("stripe", "quickbooks", "salesforce", "tryton")
APIS = [
    "process/reconciliation",
    "process/order-to-cash",
    *(f"system/{name}" for name in SYSTEMS),
]
SCOPES = [
    *(f"{name}:{verb}" for name in SYSTEMS for verb in ("read", "write")),
    *("reconciliation:read", "reconciliation:write", "order-to-cash:read", "order-to-cash:write"),
]
BASE = "/process/reconciliation/v1"
ALWAYS = {"from": "2000-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}
SECONDS = 30.0
# Who asks is served by the process that works: all the time would be half of its time.
POLL_SECONDS = 0.1
_numbers = itertools.count(1)


def configuration(
    folder: Path, running: Mapping[str, Running], endpoint: Any, **own: Any
) -> dict[str, Any]:
    """Return the configuration: nothing has to settle, and nothing is started by the clock."""
    found = settings(folder, running)
    apis = found["apis"]
    apis["process/order-to-cash.v1"]["settings"]["poll"] = ""
    apis["process/reconciliation.v1"] = {
        "settings": {"schedule": "", "settling_seconds": 0, "retry_seconds": 0.3, **own}
    }
    apis["system/tryton.v1"] = {
        "exposed": True,
        "settings": {"base_url": endpoint.base_url, "key": endpoint.key_reference},
    }
    # Nothing is killed here, and a busy machine is not to look like a database that is away.
    return {**found, "webhooks": {}, "workflows": {}}


@dataclass(slots=True)
class Network:
    """The running gateway and the systems behind it."""

    served: Served
    running: Mapping[str, Running]
    _accounts: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"idempotency-key": str(uuid4()), **options.pop("headers", {})}
        token = self.served.token(*SCOPES, subject="tests")
        return self.served.request(method, path, token=token, headers=headers, **options)

    def put(self, method: str, path: str, body: Any = None) -> Any:
        """Send what has to succeed and return the answer."""
        answer = self.ask(method, path, **({} if body is None else {"json": body}))
        assert answer.is_success, answer.text
        return answer.json()

    def items(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.put("GET", path)["items"]
        return found

    def start(self, *subjects: str, period: Mapping[str, str] | None = None) -> str:
        """Start a run and return its id."""
        body = {"subjects": list(subjects), "period": period or ALWAYS}
        return str(self.put("POST", f"{BASE}/runs", body)["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.put("GET", f"{BASE}/runs/{run_id}")
        return found

    def done(self, run_id: str, phase: str = "done", seconds: float = SECONDS) -> dict[str, Any]:
        """Return a run once it is done."""
        ends = {phase, "done", "failed"}
        assert eventually(lambda: self.run(run_id)["phase"] in ends, seconds, every=POLL_SECONDS), (
            self.run(run_id)
        )
        run = self.run(run_id)
        assert run["phase"] == phase, run
        return run

    def compared(self, *subjects: str) -> list[dict[str, Any]]:
        """Compare, and return what was found."""
        run_id = self.start(*subjects)
        self.done(run_id)
        return self.report(run_id)

    def report(self, run_id: str) -> list[dict[str, Any]]:
        return self.items(f"{BASE}/runs/{run_id}/report")

    def finding(self, finding_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.put("GET", f"{BASE}/findings/{finding_id}")
        return found

    def fix(self, finding_id: str) -> httpx.Response:
        return self.ask("POST", f"{BASE}/findings/{finding_id}/actions/fix")

    def acknowledge(self, finding_id: str, reason: str = "as agreed") -> httpx.Response:
        path = f"{BASE}/findings/{finding_id}/actions/acknowledge"
        return self.ask("POST", path, json={"reason": reason})

    def table(self, system: str, name: str) -> dict[str, Any]:
        """Return what a sandbox holds, to be changed behind everybody's back."""
        table: dict[str, Any] = self.running[system].sandbox.state.table(name)
        return table

    def books_invoice(self, number: str) -> dict[str, Any]:
        """Return the record of an invoice as the books' sandbox holds it."""
        found = self.table("quickbooks", "Invoice").values()
        return next(record for record in found if record["DocNumber"] == number)

    def stripe_customer(self, code: str = "C-1001") -> str:
        found = self.items("/system/stripe/v1/customers")
        return str(
            next(
                each["id"]
                for each in found
                if each.get("extensions", {}).get("stripe", {}).get("externalKey") == code
            )
        )

    def subscribe(self) -> str:
        """Subscribe a customer in Stripe and return the id of the first invoice."""
        body = {
            "customerId": self.stripe_customer(),
            "items": [{"sku": "BEANS-ETH-1KG", "quantity": 2}],
            "daysUntilDue": 30,
        }
        made = self.put("PUT", f"/system/stripe/v1/subscriptions/by-key/{uuid4().hex}", body)
        return str(made["latestInvoiceId"])

    def at_stripe(self, path: str, **values: str) -> None:
        """Do something in Stripe itself, as customers and their cards do."""
        bearer = {"authorization": f"Bearer {SECRET}"}
        url = f"{self.running['stripe'].url}/v1/{path}"
        assert self.served.client.post(url, data=values, headers=bearer).is_success

    def billed(self) -> tuple[str, str]:
        """Subscribe a customer and bring it to the books; return both numbers of the invoice."""
        invoice_id = self.subscribe()
        invoice = self.put("GET", f"/system/stripe/v1/invoices/{invoice_id}")
        subscription = invoice["extensions"]["stripe"]["subscriptionId"]
        runs = "/process/order-to-cash/v1/runs"
        run = self.put("POST", runs, {"subscriptionId": subscription})
        path = f"{runs}/{run['id']}"
        assert eventually(
            lambda: self.put("GET", path)["phase"] == "done", SECONDS, every=POLL_SECONDS
        )
        return invoice_id, self.put("GET", path)["invoice"]["number"]

    def account(self, code: str) -> str:
        """Return the account of a customer in Salesforce."""
        if code not in self._accounts:
            path = f"/system/salesforce/v1/customers?externalKey={code}"
            self._accounts[code] = self.items(path)[0]["id"]
        return self._accounts[code]

    def order(
        self,
        systems: Sequence[str],
        number: str = "",
        *,
        price: str = "149.00",
        code: str = "C-1001",
    ) -> str:
        """Place one confirmed order in some systems and return its number."""
        number = number or f"PO-{next(_numbers):05d}"
        line = {"sku": "GRINDER-M1", "quantity": {"value": "2"}}
        unit_price = {"amount": price, "currency": "EUR"}
        body = {"currency": "EUR", "poNumber": number, "lines": [{**line, "unitPrice": unit_price}]}
        if "tryton" in systems:
            sale = self.put("POST", "/system/tryton/v1/sales", {**body, "customerId": code})
            self.put("POST", f"/system/tryton/v1/sales/{sale['id']}/confirm")
        if "salesforce" in systems:
            orders = "/system/salesforce/v1/orders"
            made = self.put("POST", orders, {**body, "customerId": self.account(code)})
            self.put("POST", f"{orders}/{made['id']}/confirm")
        return number

    def begin(self) -> None:
        """Let everything work again."""
        for system in self.running.values():
            system.faulty.set(Faults())


@contextlib.contextmanager
def running_network(folder: Path, endpoint: Any, **own: Any) -> Iterator[Network]:
    """Run the network until the end of the block; `own` are settings of the API."""
    with systems() as running:
        books = running["quickbooks"].sandbox
        assert isinstance(books, QuickBooksSandbox)
        books.requests_per_second, books.requests_per_minute = UNLIMITED, 10 * UNLIMITED
        config = Config.model_validate(configuration(folder, running, endpoint, **own))
        with serving(config, only=APIS) as served:
            quicken_lanes()
            network = Network(served, running)
            price = {"amount": "27.40", "currency": "EUR"}
            beans = {"name": "Ethiopia washed", "unitPrice": price, "billedEvery": "month"}
            network.put("PUT", "/system/stripe/v1/products/BEANS-ETH-1KG", beans)
            yield network


@pytest.fixture(scope="module")
def whole_network(
    tryton: Sandbox,  # noqa: F811  # a fixture
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Network]:
    with running_network(tmp_path_factory.mktemp("network"), tryton.endpoint) as network:
        yield network


@pytest.fixture
def network(whole_network: Network) -> Network:
    whole_network.begin()
    return whole_network
