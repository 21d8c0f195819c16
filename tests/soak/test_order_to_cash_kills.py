"""order-to-cash on three sandboxes while its processes are killed: nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portico.sandbox.faults import Faults
from portico.sandbox.webhooks import Endpoint
from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from tests.portico.workflow.kills.crew import crew
from tests.process_apis.order_to_cash.conftest import APIS, SECRET, UNLIMITED, settings, systems
from tests.process_apis.order_to_cash.kills.proof import PARALLEL, WORKER, Proof
from tests.process_apis.order_to_cash.kills.stories import STORIES
from tests.soak.order_to_cash import (
    FATES,
    Subscribing,
    expected,
    in_the_end,
)
from tests.soak.processes import PROCESSES, Processes
from tests.soak.whole import whole
from tests.support.serving import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portico.sandbox.running import Running
    from tests.support.postgres import Postgres

SECONDS = float(os.environ.get("SOAK_SECONDS", "30"))
# A killed process is back after about three seconds, and the next one is killed soon after.
KILLS = max(3, int(SECONDS / 6))
OUTAGE_SECONDS = 5.0
ENDED_SECONDS = 240.0


@pytest.fixture
def running() -> Iterator[Mapping[str, Running]]:
    with systems() as found:
        yield found


@pytest.mark.parametrize(
    "database",
    [
        "sqlite",
        "postgresql",
        pytest.param("postgresql restarted", marks=whole),
    ],
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
    wanted = expected(KILLS)
    processes = Processes(tmp_path, config, APIS)
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
                    wanted["open"] += restart(server, subscribing)
                for fate in FATES:
                    subscribing.live(fate)
                time.sleep(chance.uniform(0.05, 0.6))
                processes.kill(chance.randrange(PROCESSES))
        there = eventually(lambda: in_the_end(books) == wanted, ENDED_SECONDS)
        assert there, in_the_end(books)
        time.sleep(5)  # whatever would be done twice has the time to
    finally:
        processes.close()

    numbers = [record["DocNumber"] for record in books.state.table("Invoice").values()]
    assert len(numbers) == len(set(numbers))
    assert in_the_end(books) == wanted


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


@pytest.mark.parametrize(
    "story",
    # The scenario itself in every run; the others take their time.
    [pytest.param(name, marks=[] if name == "billing" else whole) for name in STORIES],
)
@pytest.mark.timeout(3600)
@pytest.mark.anyio
async def test_a_kill_at_each_crash_point_leaves_what_an_undisturbed_run_leaves(
    story: str, tmp_path: Path
) -> None:
    async with crew(WORKER) as workers:
        findings = await Proof(workers, STORIES[story], tmp_path).each_crash_point()

    assert findings.wrong == []
    # How often a run looks at what it waits for differs: not each of those that ran side by side
    # had the last points.
    assert findings.points - PARALLEL < findings.killed
    assert findings.killed >= 28
