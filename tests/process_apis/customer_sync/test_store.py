"""What is kept of customers, records and conflicts, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from portico.crossref.engine import Database, open_engine
from portico.problems import Problem
from process_apis.customer_sync.conflicts import (
    FORGOTTEN_AT_ONCE,
    Conflicts,
    Finding,
    decided_value,
)
from process_apis.customer_sync.matching import identity_of
from process_apis.customer_sync.store import (
    Customers,
    LookStates,
    Records,
    place_of,
    put_row,
)
from process_apis.customer_sync.tables import CONFLICTS, CUSTOMERS, NOTES, create_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

RECORD = {
    "id": "7",
    "source": {"system": "tryton", "instance": "erp"},
    "name": "Quay Nine",
    "status": "active",
}
DISPUTE = Finding(
    kind="field",
    customer_id="CU-1",
    subject="phone",
    detail={"said": {"tryton": "1", "salesforce": "2"}},
)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path / 'references.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    engine = open_engine(url)
    for _ in range(2):
        create_tables(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def database(engine: sa.Engine) -> Database:
    return Database(engine)


async def test_a_record_is_found_by_what_it_was_last_called(database: Database) -> None:
    records = Records(database)
    await records.take_in(RECORD, "new")
    await records.take_in({**RECORD, "name": "Quay Ten"}, "new")
    await asyncio.gather(*(records.take_in({**RECORD, "id": "8"}, "new") for _ in range(8)))

    old = await records.alike(identity_of({**RECORD, "id": "9"}))
    new = await records.alike(identity_of({**RECORD, "id": "9", "name": "QUAY ten"}))

    assert [each["external_id"] for each in old] == ["8"]
    assert [each["external_id"] for each in new] == ["7"]
    assert await records.alike(identity_of({**RECORD, "id": "9"}), "quickbooks") == []
    assert await records.instance_of("tryton") == "erp"
    assert len(await records.new("tryton")) == 2


async def test_what_was_matched_stays_so_until_it_is_gone(database: Database) -> None:
    records = Records(database)
    await records.take_in(RECORD, "new")
    await records.set_state(place_of(RECORD), "matched")

    await records.take_in(RECORD, "new")
    assert await records.new("tryton") == []
    await records.take_in(RECORD, "gone")

    assert await records.alike(identity_of(RECORD)) == []


async def test_customers_come_in_pages_and_by_what_they_wait_for(database: Database) -> None:
    customers = Customers(database)
    for name in ("CU-1", "CU-2", "CU-3"):
        await customers.begin(name)
        await customers.begin(name)
    waiting = {"customer_id": "CU-2", "agreed": {"name": "A"}, "sides": {}, "synced_at": "then"}
    row = {**waiting, "waiting_for": "tryton", "cause": "it is down"}
    await database.run(lambda connection: put_row(connection, CUSTOMERS, row))

    page = await customers.page("CU-1", 1, waiting=False)

    assert [each["customer_id"] for each in page] == ["CU-2", "CU-3"]
    assert [each["customer_id"] for each in await customers.page("", 9, waiting=True)] == ["CU-2"]
    assert await customers.waiting_for("tryton") == [("CU-2", "then")]
    assert await customers.waiting_for("salesforce") == []
    await customers.begin("CU-2")
    assert (await customers.find("CU-2") or {})["agreed"] == {"name": "A"}


async def test_of_one_subject_one_conflict_is_open(database: Database) -> None:
    conflicts = Conflicts(database)
    first = await conflicts.open(DISPUTE, "run 1")
    again = await conflicts.open(DISPUTE, "run 1")
    other = await conflicts.open(
        Finding(
            kind="field", customer_id="CU-1", subject="phone", detail={"said": {"tryton": "3"}}
        ),
        "run 2",
    )

    assert first == again == other
    (pending,) = await conflicts.pending("CU-1")
    assert pending["detail"] == {"said": {"tryton": "3"}}


async def test_a_decision_is_kept_once_with_who_made_it(database: Database) -> None:
    conflicts, customers = Conflicts(database), Customers(database)
    conflict_id = await conflicts.open(DISPUTE, "run 1")

    decided = await conflicts.decide(conflict_id, {"system": "tryton"}, "ada")
    again = await conflicts.decide(conflict_id, {"system": "tryton"}, "bob")
    with pytest.raises(Problem) as refused:
        await conflicts.decide(conflict_id, {"system": "salesforce"}, "bob")

    assert refused.value.status == 409
    assert decided["resolved_by"] == again["resolved_by"] == "ada"
    assert decided_value(decided) == "1"
    (note,) = await customers.notes("CU-1")
    assert (note["kind"], note["actor"]) == ("resolved", "ada")
    await conflicts.carried_out([conflict_id])
    assert await conflicts.pending("CU-1") == []
    assert await conflicts.open(DISPUTE, "run 1") == conflict_id
    assert await conflicts.pending("CU-1") == []
    assert await conflicts.open(DISPUTE, "run 2") != conflict_id


async def test_conflicts_are_filtered_and_paged(database: Database) -> None:
    conflicts = Conflicts(database)
    for number in range(3):
        finding: Any = Finding(
            kind="refusal", customer_id=f"CU-{number}", subject="tryton", detail={"cause": "no"}
        )
        await conflicts.open(finding, "run")
    filters = {"state": "open", "kind": "refusal", "customer_id": None}

    page = await conflicts.page("", 2, filters)
    rest = await conflicts.page(page[1]["conflict_id"], 2, filters)

    assert (len(page), len(rest)) == (3, 1)
    assert await conflicts.page("", 2, {**filters, "kind": "field"}) == []
    await conflicts.pass_on("CU-1", "CU-2")
    assert await conflicts.pending("CU-1") == []


async def test_a_system_that_was_seen_once_stays_seen(database: Database) -> None:
    looks = LookStates(database)
    await looks.save("tryton", instance="erp", complete=True, last={"seen": 1})
    await looks.save("tryton", instance="erp", complete=False, last={"seen": 2})

    assert await looks.all() == {
        "tryton": {"system": "tryton", "instance": "erp", "complete": True, "last": {"seen": 2}}
    }


async def test_what_is_resolved_is_forgotten_when_it_is_old_and_what_is_open_never(
    database: Database,
) -> None:
    conflicts, customers = Conflicts(database), Customers(database)
    resolved = await conflicts.open(DISPUTE, "run 1")
    await conflicts.decide(resolved, {"system": "tryton"}, "ada")
    assert await conflicts.forget("2999-01-01T00:00:00Z") == 1, "the note"
    assert await conflicts.find(resolved), "it is decided, and not carried out yet"
    await conflicts.carried_out([resolved])
    still_open = await conflicts.open(DISPUTE, "run 2")

    assert await conflicts.forget("2000-01-01T00:00:00Z") == 0
    assert await conflicts.find(resolved)
    assert await conflicts.forget("2999-01-01T00:00:00Z") == 1

    with pytest.raises(Problem):
        await conflicts.find(resolved)
    assert await conflicts.find(still_open)
    assert await customers.notes("CU-1") == []


def old_rows(count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return as many resolved conflicts and as many notes, a second apart, the youngest first."""
    said = {"customer_id": "CU-1", "kind": "field", "detail": {}}
    times = [f"2020-01-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z" for n in range(count)]
    more = {"subject": "phone", "state": "resolved", "opened_at": "", "resolved_by": "ada"}
    return [
        {**said, **more, "conflict_id": f"{n}", "resolved_at": at, "resolution": {}}
        for n, at in enumerate(reversed(times))
    ], [{**said, "note_id": f"{n}", "at": at, "actor": "ada"} for n, at in enumerate(times)]


async def test_forgetting_is_as_many_short_transactions_as_there_are_rows(
    database: Database,
) -> None:
    conflicts, customers = Conflicts(database), Customers(database)
    resolved, notes = old_rows(FORGOTTEN_AT_ONCE + 2)
    await database.run(lambda c: c.execute(sa.insert(CONFLICTS), resolved))
    await database.run(lambda c: c.execute(sa.insert(NOTES), notes))
    before = resolved[0]["resolved_at"]  # nothing of that moment or later is old

    first = await conflicts.forget(before)
    left = await conflicts.page("", FORGOTTEN_AT_ONCE, {})
    rest = [await conflicts.forget(before), await conflicts.forget(before)]

    assert first == 2 * FORGOTTEN_AT_ONCE
    assert [row["conflict_id"] for row in left] == ["0", "1"], "the oldest go first"
    assert rest == [2, 0]
    assert [row["at"] for row in await customers.notes("CU-1")] == [before]


def test_an_index_is_made_in_a_database_that_an_earlier_version_left(engine: sa.Engine) -> None:
    wanted = {"customer_sync_conflict_resolved", "customer_sync_note_at"}

    def indexes() -> set[str | None]:
        tables = ("customer_sync_conflict", "customer_sync_note")
        return {each["name"] for name in tables for each in sa.inspect(engine).get_indexes(name)}

    with engine.begin() as connection:
        for name in wanted:
            connection.execute(sa.text(f"drop index {name}"))
    without = indexes()

    create_tables(engine)

    assert without
    assert not without & wanted
    assert indexes() == without | wanted
