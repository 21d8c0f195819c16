"""order-to-cash on three sandboxes while its processes are killed: nothing lost, nothing twice."""

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
from tests.portico.workflow.kills.crew import crew
from tests.process_apis.order_to_cash.conftest import APIS, SECRET, UNLIMITED, settings, systems
from tests.process_apis.order_to_cash.kills.proof import WORKER, Proof
from tests.process_apis.order_to_cash.kills.stories import STORIES, Stripe
from tests.soak.whole import whole
from tests.support.serving import eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from portico.sandbox.running import Running
    from tests.support.postgres import Postgres

SECONDS = float(os.environ.get("SOAK_SECONDS", "30"))
# A killed process is back after about three seconds, and the next one is killed soon after.
KILLS = max(3, int(SECONDS / 6))
# What becomes of subscriptions before each kill: one stays unpaid, one is paid, one gets money
# back, one ends unpaid, and one after it was paid.
FATES: tuple[list[Callable[[Stripe], None]], ...] = (
    [],
    [Stripe.pay],
    [Stripe.pay, Stripe.refund],
    [Stripe.cancel],
    [Stripe.pay, Stripe.cancel],
)
EXPECTED = {
    "open": KILLS,
    "paid": 3 * KILLS,
    "payments": 3 * KILLS,
    "unapplied": 0,
    "refunds": KILLS,
    "credits": KILLS,
}
PROCESSES = 3
OUTAGE_SECONDS = 5.0
ENDED_SECONDS = 240.0


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


@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=whole), "postgresql restarted"]
)
@pytest.mark.timeout(SECONDS * 10 + 400)
def test_processes_that_are_killed_do_everything_once(
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
    expected = dict(EXPECTED)
    processes = Processes(tmp_path, config)
    stripe, books = running["stripe"].sandbox, running["quickbooks"].sandbox
    assert stripe.webhooks is not None
    assert isinstance(books, QuickBooksSandbox)
    books.requests_per_second, books.requests_per_minute = UNLIMITED, 10 * UNLIMITED
    try:
        for port in processes.ports:
            url = f"http://127.0.0.1:{port}/webhooks/stripe"
            stripe.webhooks.endpoints.append(Endpoint(url=url, secret=SECRET))
        running["quickbooks"].faulty.set(Faults(lost_responses=5))
        stripe.webhooks.twice = stripe.webhooks.out_of_order = True
        with Subscribing(running) as subscribing:
            for number in range(KILLS):
                if server is not None and database.endswith("restarted") and number == KILLS // 2:
                    expected["open"] += restart(server, subscribing)
                for fate in FATES:
                    subscribing.live(fate)
                time.sleep(chance.uniform(0.05, 0.6))
                processes.kill(chance.randrange(PROCESSES))
        there = eventually(lambda: _in_the_end(books) == expected, ENDED_SECONDS)
        assert there, _in_the_end(books)
        time.sleep(5)  # whatever would be done twice has the time to
    finally:
        processes.close()

    numbers = [record["DocNumber"] for record in books.state.table("Invoice").values()]
    assert len(numbers) == len(set(numbers))
    assert _in_the_end(books) == expected


def restart(server: Postgres, subscribing: Subscribing) -> int:
    """Stop the database in the middle of the work, subscribe on, and start it again.

    Return how many subscribed meanwhile.
    """
    server.stop()
    subscribed, until = 0, time.monotonic() + OUTAGE_SECONDS
    while time.monotonic() < until:
        subscribing.live([])
        subscribed += 1
        time.sleep(1.0)
    server.start()
    return subscribed


def _in_the_end(books: QuickBooksSandbox) -> dict[str, int]:
    """Return how many documents there are; those that are void count for nothing."""
    invoices = [
        record
        for record in books.state.table("Invoice").values()
        if "Voided" not in record.get("PrivateNote", "")
    ]
    payments = books.state.table("Payment").values()
    return {
        "open": sum(record["Balance"] > 0 for record in invoices),
        "paid": sum(record["Balance"] == 0 for record in invoices),
        "payments": len(payments),
        "unapplied": sum(record["UnappliedAmt"] > 0 for record in payments),
        "refunds": len(books.state.table("RefundReceipt")),
        "credits": len(books.state.table("CreditMemo")),
    }


@pytest.mark.parametrize("story", STORIES)
@whole
@pytest.mark.timeout(3600)
@pytest.mark.anyio
async def test_a_kill_at_each_crash_point_leaves_what_an_undisturbed_run_leaves(
    story: str, tmp_path: Path
) -> None:
    async with crew(WORKER) as workers:
        findings = await Proof(workers, STORIES[story], tmp_path).each_crash_point()

    assert findings.wrong == []
    assert findings.killed == findings.points >= 20


class Subscribing:
    """A customer of Stripe's who subscribes again and again."""

    def __init__(self, running: Mapping[str, Running]) -> None:
        self._http = httpx.Client(
            base_url=running["stripe"].url, headers={"authorization": f"Bearer {SECRET}"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def live(self, fate: Sequence[Callable[[Stripe], None]]) -> None:
        """Subscribe, and have this become of the subscription."""
        stripe = Stripe(self._http)
        stripe.subscribe()
        for act in fate:
            act(stripe)
