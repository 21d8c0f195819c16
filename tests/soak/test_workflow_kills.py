"""Every crash point of every kind of sale, and many kills at random, on both databases."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import TYPE_CHECKING

import pytest

from tests.portico.workflow.kills.crew import crew
from tests.portico.workflow.kills.proof import each_crash_point, random_kills
from tests.soak.whole import whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
SECONDS = float(os.environ.get("SOAK_SECONDS", "30"))
# One kill takes about as long, with the lease that has to end before others take over.
KILLS = max(5, int(SECONDS / 2))
SALES = 8 * KILLS
OUTAGE_SECONDS = 3.0


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        return server.new_database
    numbers = itertools.count()
    return lambda: f"sqlite:///{tmp_path / str(next(numbers))}.sqlite"


@pytest.mark.parametrize("kind", ["ok", "flaky", "unsure", "down", "bad"])
@whole
@pytest.mark.timeout(300)
async def test_each_crash_point_leaves_what_an_undisturbed_run_leaves(
    kind: str, new_database: Callable[[], str]
) -> None:
    async with crew() as workers:
        findings = await each_crash_point(workers, kind, new_database)

    assert findings.wrong == []
    assert findings.killed >= 10


@pytest.mark.timeout(SECONDS * 10 + 300)
async def test_random_kills_of_three_processes_lose_nothing(
    new_database: Callable[[], str],
) -> None:
    async with crew() as workers:
        findings = await random_kills(workers, new_database(), sales=SALES, kills=KILLS)

    assert findings.wrong == []


@pytest.mark.timeout(SECONDS * 10 + 300)
async def test_a_database_restarted_under_load_loses_nothing(postgres: Postgres) -> None:
    async def outage() -> None:
        await asyncio.sleep(1.0)
        postgres.stop()
        await asyncio.sleep(OUTAGE_SECONDS)
        await asyncio.to_thread(postgres.start)

    database = postgres.new_database()
    async with crew() as workers:
        interrupting = asyncio.create_task(outage())
        findings = await random_kills(workers, database, sales=SALES, kills=5)
        await interrupting

    assert findings.wrong == []
