"""What was read and how far that was, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from portico.durable import Durable, DurableParts
from portico.workflow.engine import open_workflows
from process_apis.reconciliation.database import Database
from process_apis.reconciliation.domain import listings
from process_apis.reconciliation.rows import Row
from process_apis.reconciliation.runs import Runs
from process_apis.reconciliation.stage import Stage, next_groups
from process_apis.reconciliation.starting import Order
from tests.portico.workflow.conftest import database  # noqa: F401  # a fixture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portico.workflow.database import WorkflowDatabase

pytestmark = pytest.mark.anyio
STRIPE, BOOKS = listings(["invoices"])
ORDER = Order(
    run_id="run-1",
    started_by="tests",
    subjects=["invoices"],
    since="2026-11-01T00:00:00Z",
    until="2026-12-01T00:00:00Z",
    requested_at="2026-12-01T00:00:00Z",
)
ROW = Row(
    record_id="in_1",
    key="A-1",
    status="issued",
    currency="EUR",
    amount="10.00",
    created_at="2026-11-10T09:00:00Z",
    changed_at="2026-11-10T09:00:00Z",
)


@pytest.fixture
async def stage(database: WorkflowDatabase) -> AsyncIterator[Stage]:  # noqa: F811  # a fixture
    durable = Durable()
    async with open_workflows(database, []) as workflows:
        # A stage has to do with nothing but the database.
        parts: dict[str, Any] = dict.fromkeys(DurableParts.__slots__)
        durable.opened(DurableParts(**{**parts, "workflows": workflows}))
        found = Stage(Database(durable))
        await Runs(found.database).enter(ORDER)
        yield found


async def test_of_two_processes_that_read_one_page_the_first_counts(stage: Stage) -> None:
    place = await stage.place("run-1", STRIPE.work)
    late = replace(ROW, amount="99.00")

    await stage.keep(place, STRIPE, [ROW], 1, "next")
    await stage.keep(place, STRIPE, [late], 1, "elsewhere")
    after = await stage.place("run-1", STRIPE.work)
    async with stage.database.reading() as connection:
        groups = await next_groups(connection, "run-1", "invoices", "")

    assert (after.pages, after.records, after.cursor, after.state) == (1, 1, "next", "running")
    assert groups["A-1"]["stripe"].first.amount == "10.00"


async def test_a_record_that_is_listed_twice_is_one(stage: Stage) -> None:
    """As when another one is deleted between two pages."""
    await stage.keep(await stage.place("run-1", STRIPE.work), STRIPE, [ROW], 1, "next")
    await stage.keep(await stage.place("run-1", STRIPE.work), STRIPE, [ROW], 1, "")

    async with stage.database.reading() as connection:
        groups = await next_groups(connection, "run-1", "invoices", "")
    assert groups["A-1"]["stripe"].live == 1
    assert (await stage.place("run-1", STRIPE.work)).done


async def test_what_is_in_force_comes_before_what_is_not(stage: Stage) -> None:
    void, live = replace(ROW, status="void"), replace(ROW, record_id="in_2")
    many = [replace(ROW, record_id=f"in_{number}") for number in range(3, 30)]
    place = await stage.place("run-1", BOOKS.work)
    await stage.keep(place, BOOKS, [void, live, *many, replace(ROW, record_id="x", key="")], 30, "")

    async with stage.database.reading() as connection:
        groups = await next_groups(connection, "run-1", "invoices", "")
        following = await next_groups(connection, "run-1", "invoices", "A-1")
    books = groups["A-1"]["quickbooks"]

    assert (books.live, len(books.rows)) == (28, 10)
    assert all(not row.quiet for row in books.rows)
    assert following == {}
    assert list(groups) == ["A-1"], "what has no key is only counted"
    assert (await stage.place("run-1", BOOKS.work)).unmatched == 1


async def test_what_was_read_is_cleared(stage: Stage) -> None:
    await stage.keep(await stage.place("run-1", STRIPE.work), STRIPE, [ROW], 1, "")

    assert await stage.clear("run-1") == 1
    assert await stage.clear("run-1") == 0


async def test_a_run_is_forgotten_when_it_is_old(stage: Stage) -> None:
    runs = Runs(stage.database)

    assert await runs.forget("2026-12-01T00:00:00Z") == 0
    assert await runs.find("run-1") is not None
    assert await runs.forget("2026-12-01T00:00:01Z") == 1
    assert await runs.find("run-1") is None
    assert await stage.places("run-1") == []
