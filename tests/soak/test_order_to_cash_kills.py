"""order-to-cash on three sandboxes while its processes are killed: one invoice a subscription."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest
import yaml

from portico.sandbox.faults import Faults
from portico.sandbox.webhooks import Endpoint
from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from tests.process_apis.order_to_cash.conftest import APIS, SECRET, UNLIMITED, settings, systems
from tests.support.serving import eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portico.sandbox.running import Running
    from tests.support.postgres import Postgres

SECONDS = float(os.environ.get("SOAK_SECONDS", "30"))
# A killed process is back after about three seconds, and the next one is killed soon after.
KILLS = max(3, int(SECONDS / 6))
SUBSCRIPTIONS = 4 * KILLS
PROCESSES = 3
OUTAGE_SECONDS = 5.0
ENDED_SECONDS = 60.0


class Processes:
    """Gateways that share a workflow database, on ports of their own."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._file = folder / "portico.yaml"
        self._file.write_text(yaml.safe_dump(_plain(config)))
        self.ports = [free_port() for _ in range(PROCESSES)]
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        for port in self.ports:
            self._start(port)

    def _start(self, port: int) -> None:
        words = ["serve", "--config", str(self._file), "--port", str(port)]
        only = [word for name in APIS for word in ("--only", name)]
        with (self._file.parent / f"log-{port}").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", *words, *only],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self._file.parent,
            )
        self._running[port] = process
        assert eventually(lambda: self._is_ready(port, process), 60.0), "it does not start"

    def _is_ready(self, port: int, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, (self._file.parent / f"log-{port}").read_text()[-2000:]
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        return False

    def kill(self, index: int) -> None:
        """Kill one, and start it again."""
        port = self.ports[index]
        self._running[port].send_signal(signal.SIGKILL)
        self._running[port].wait()
        self._start(port)

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


@pytest.fixture
def running() -> Iterator[Mapping[str, Running]]:
    with systems() as found:
        yield found


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "postgresql restarted"])
@pytest.mark.timeout(SECONDS * 10 + 400)
def test_processes_that_are_killed_bill_each_subscription_once(
    running: Mapping[str, Running],
    tmp_path: Path,
    database: str,
    request: pytest.FixtureRequest,
) -> None:
    config = settings(tmp_path, running)
    config["alerts"] = {}
    # As patient as it takes for a killed process to be back.
    config["apis"]["process/order-to-cash.v1"]["settings"]["retry_seconds"] = 2.0
    # Three processes that start over and over are late with renewals that are due each third.
    config["workflows"]["lease_seconds"] = 3.0
    server: Postgres | None = None
    if database != "sqlite":
        server = request.getfixturevalue("postgres")
        config["workflows"]["database"] = server.new_database()
    chance = random.Random(11)
    processes = Processes(tmp_path, config)
    stripe, books = running["stripe"].sandbox, running["quickbooks"].sandbox
    assert stripe.webhooks is not None
    assert isinstance(books, QuickBooksSandbox)
    books.requests_per_second = UNLIMITED
    try:
        for port in processes.ports:
            url = f"http://127.0.0.1:{port}/webhooks/stripe"
            stripe.webhooks.endpoints.append(Endpoint(url=url, secret=SECRET))
        running["quickbooks"].faulty.set(Faults(lost_responses=5))
        with Subscribing(running) as subscribing:
            for number in range(KILLS):
                if server is not None and database.endswith("restarted") and number == KILLS // 2:
                    restart(server, subscribing)
                for _ in range(SUBSCRIPTIONS // KILLS):
                    subscribing.subscribe()
                time.sleep(chance.uniform(0.05, 0.6))
                processes.kill(chance.randrange(PROCESSES))
        table = books.state.table("Invoice")
        made = subscribing.count
        assert eventually(lambda: len(table) >= made, ENDED_SECONDS), len(table)
        time.sleep(5)  # whatever would bill twice has the time to
    finally:
        processes.close()

    numbers = [record["DocNumber"] for record in table.values()]
    assert len(numbers) == len(set(numbers)) == made >= SUBSCRIPTIONS


def restart(server: Postgres, subscribing: Subscribing) -> None:
    """Stop the database in the middle of the work, subscribe on, and start it again."""
    subscribing.subscribe()
    server.stop()
    until = time.monotonic() + OUTAGE_SECONDS
    while time.monotonic() < until:
        subscribing.subscribe()
        time.sleep(1.0)
    server.start()


class Subscribing:
    """A customer of Stripe's who subscribes again and again, with Stripe's own requests."""

    count = 0

    def __init__(self, running: Mapping[str, Running]) -> None:
        self._http = httpx.Client(
            base_url=running["stripe"].url, headers={"authorization": f"Bearer {SECRET}"}
        )

    def __enter__(self) -> Self:
        customers = self._http.get("/v1/customers").json()["data"]
        self._customer = customers[-1]["id"]
        made = self._http.post(
            "/v1/prices",
            data={
                "product": self._product(),
                "currency": "eur",
                "unit_amount": "2740",
                "recurring[interval]": "month",
                "lookup_key": "BEANS-ETH-1KG",
                "transfer_lookup_key": "true",
            },
        )
        assert made.is_success, made.text
        self._price = made.json()["id"]
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _product(self) -> str:
        products = self._http.get("/v1/products", params={"limit": 100}).json()["data"]
        return str(
            next(each["id"] for each in products if each["metadata"]["sku"] == "BEANS-ETH-1KG")
        )

    def subscribe(self) -> None:
        made = self._http.post(
            "/v1/subscriptions",
            data={
                "customer": self._customer,
                "items[0][price]": self._price,
                "items[0][quantity]": "1",
                "collection_method": "send_invoice",
                "days_until_due": "30",
            },
        )
        assert made.is_success, made.text
        self.count += 1
