"""Processes killed anywhere lose nothing and bill nobody twice. tests/soak has the long form."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from tests.portico.workflow.kills.crew import crew
from tests.portico.workflow.kills.proof import each_crash_point, random_kills

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.postgres import Postgres

# What waits here is a lease to end or another process to start, on machines that do more than this.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
# Every second crash point; tests/soak has them all, of all kinds, on both databases.
STRIDE = 2


@pytest.fixture
def new_sqlite(tmp_path: Path) -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: f"sqlite:///{tmp_path / str(next(numbers))}.sqlite"


async def test_a_kill_at_any_journal_write_or_call_leaves_one_invoice(
    new_sqlite: Callable[[], str],
) -> None:
    async with crew() as workers:
        findings = await each_crash_point(workers, "unsure", new_sqlite, stride=STRIDE)

    assert findings.wrong == []
    assert findings.killed >= 8, "the flow has fewer places to end than it should"


async def test_DUR_09_kills_of_three_processes_on_one_sqlite_lose_nothing(  # noqa: N802
    new_sqlite: Callable[[], str],
) -> None:
    async with crew() as workers:
        findings = await random_kills(workers, new_sqlite(), sales=14, kills=4)

    assert findings.wrong == []
    assert findings.killed >= 2


async def test_a_database_restarted_under_load_loses_nothing(postgres: Postgres) -> None:
    async def outage() -> None:
        await asyncio.sleep(0.5)
        postgres.stop()
        await asyncio.sleep(1.0)
        await asyncio.to_thread(postgres.start)

    database = postgres.new_database()
    async with crew() as workers:
        interrupting = asyncio.create_task(outage())
        findings = await random_kills(workers, database, sales=14, kills=2)
        await interrupting

    assert findings.wrong == []


async def test_kills_of_three_processes_on_postgresql_lose_nothing(postgres: Postgres) -> None:
    async with crew() as workers:
        findings = await random_kills(workers, postgres.new_database(), sales=14, kills=4)

    assert findings.wrong == []
    assert findings.killed >= 2
