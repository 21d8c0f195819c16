"""Claims, links, aliases and tombstones, on SQLite and on PostgreSQL where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from portico.connectors.failures import UnavailableError, problem_of
from portico.connectors.watermarks import Watermark
from portico.crossref.engine import open_engine
from portico.crossref.records import (
    Claim,
    ClaimedError,
    ClaimLostError,
    DeletedError,
    Key,
    Link,
    TakenError,
)
from portico.crossref.schema import MIGRATIONS, NewerSchemaError, migrate
from portico.crossref.store import CrossReferences, ReferencesError, open_cross_references
from portico.crossref.watermarks import Watermarks

pytestmark = pytest.mark.anyio

KEY = Key(entity="customer", canonical_id="C-1", system="stripe", instance="acct_1")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'references.sqlite'}"
    else:
        url = request.getfixturevalue("postgresql").new_database()
    engine = open_engine(url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def references(engine: sa.Engine, clock: Clock, anyio_backend: str) -> CrossReferences:
    del anyio_backend
    return CrossReferences(engine, clock)


async def claimed(references: CrossReferences, key: Key = KEY, external_key: str = "C-1") -> Claim:
    claim = await references.claim(key, external_key, 60)
    assert isinstance(claim, Claim)
    return claim


async def test_a_claim_becomes_a_link(references: CrossReferences) -> None:
    claim = await claimed(references)
    await references.link(claim, "cus_1", version="3", written_hash="h")
    link = await references.find(KEY)

    assert not claim.resumed
    assert link == Link(
        key=KEY,
        external_id="cus_1",
        external_key="C-1",
        state="linked",
        version="3",
        written_hash="h",
    )
    assert await references.claim(KEY, "C-1", 60) == link
    assert await references.find_external("customer", "stripe", "acct_1", "cus_1") == link
    assert await references.find_external("customer", "stripe", "acct_2", "cus_1") is None
    ids = ["cus_1", "cus_2"]
    assert await references.keys_of("customer", "stripe", "acct_1", ids) == {"cus_1": "C-1"}


async def test_one_attempt_at_a_time(references: CrossReferences, clock: Clock) -> None:
    first = await claimed(references)
    with pytest.raises(ClaimedError) as raised:
        await references.claim(KEY, "C-1", 60)
    problem = problem_of(raised.value)
    assert (problem.status, dict(problem.headers)["Retry-After"]) == (409, "60")

    clock.now += 61
    second = await claimed(references)
    assert second.resumed
    assert second.operation_id == first.operation_id
    with pytest.raises(ClaimLostError):
        await references.link(first, "cus_1")
    await references.link(second, "cus_1")


async def test_a_refusal_begins_another_operation(references: CrossReferences) -> None:
    first = await claimed(references)
    await references.release(first)
    second = await claimed(references)
    await references.give_up(second)
    third = await claimed(references)

    assert second.operation_id != first.operation_id
    assert third.operation_id == second.operation_id


async def test_an_external_key_and_id_belong_to_one_record(references: CrossReferences) -> None:
    await references.link(await claimed(references), "cus_1")
    other = replace(KEY, canonical_id="C-2")

    with pytest.raises(TakenError):
        await references.claim(other, "C-1", 60)
    with pytest.raises(TakenError):
        await references.link(await claimed(references, other, "C-2"), "cus_1")
    with pytest.raises(TakenError):
        await references.adopt(replace(KEY, canonical_id="C-3"), "cus_1", "C-3")


async def test_instances_do_not_meet(references: CrossReferences) -> None:
    await references.link(await claimed(references), "cus_1")
    elsewhere = replace(KEY, instance="acct_2")

    assert await references.find(elsewhere) is None
    await references.link(await claimed(references, elsewhere), "cus_1")


async def test_a_merged_record_leads_to_its_survivor(references: CrossReferences) -> None:
    await references.link(await claimed(references), "cus_1")
    await references.merge("customer", "C-0", "C-1")
    await references.merge("customer", "C-00", "C-0")

    link = await references.find(replace(KEY, canonical_id="C-00"))
    assert link is not None
    assert link.external_id == "cus_1"
    with pytest.raises(TakenError):
        await references.merge("customer", "C-1", "C-00")


async def test_what_was_deleted_is_not_created_again(references: CrossReferences) -> None:
    await references.link(await claimed(references), "cus_1")
    await references.bury(KEY)

    with pytest.raises(DeletedError) as raised:
        await references.claim(KEY, "C-1", 60)
    assert problem_of(raised.value).status == 409


async def test_a_conflict_is_kept_for_a_person(references: CrossReferences) -> None:
    await references.adopt(KEY, "cus_1", "C-1")
    await references.mark_conflict(KEY)

    link = await references.claim(KEY, "C-1", 60)
    assert isinstance(link, Link)
    assert link.state == "conflict"


async def test_an_echo_of_our_own_write_is_known(references: CrossReferences) -> None:
    await references.link(await claimed(references), "cus_1")
    await references.note_write(KEY, version="7", written_hash="ours")
    link = await references.find(KEY)

    assert link is not None
    assert link.is_echo(version="7", read_hash="other")
    assert link.is_echo(version="8", read_hash="ours")
    assert not link.is_echo(version="8", read_hash="other")
    assert not link.is_echo(version="", read_hash="")


async def test_watermarks_are_kept(engine: sa.Engine, anyio_backend: str) -> None:
    del anyio_backend
    marks = Watermarks(engine)
    at = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    mark = Watermark(at=at, seen={"evt_1": ("1", at)})

    assert await marks.read("stripe", "acct_1", "event") is None
    await marks.save("stripe", "acct_1", "event", Watermark(at=at))
    await marks.save("stripe", "acct_1", "event", mark)
    assert await marks.read("stripe", "acct_1", "event") == mark
    assert await marks.read("stripe", "acct_2", "event") is None


async def test_watermarks_are_kept_by_several_at_once(
    engine: sa.Engine, anyio_backend: str
) -> None:
    """As when a sync looks at a system that the clock has looked at: for one mark, or the first."""
    del anyio_backend
    marks, start = Watermarks(engine), datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    wanted = [Watermark(at=start + timedelta(seconds=number)) for number in range(24)]

    await asyncio.gather(*(marks.save("stripe", "acct_1", "event", mark) for mark in wanted))

    assert await marks.read("stripe", "acct_1", "event") in wanted


def test_migrating_twice_changes_nothing(engine: sa.Engine) -> None:
    migrate(engine)


def test_a_newer_schema_is_refused(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        newer = len(MIGRATIONS) + 1
        connection.execute(sa.text(f"INSERT INTO crossref_schema VALUES ({newer})"))

    with pytest.raises(NewerSchemaError, match=f"version {newer}"):
        migrate(engine)


@pytest.mark.parametrize("url", ["", "mysql://x/y", "sqlite://", "nonsense"])
async def test_a_url_that_is_none_is_refused(url: str, anyio_backend: str) -> None:
    del anyio_backend
    with pytest.raises(ValueError, match="database URL|are known"):
        async with open_cross_references(url):
            pass


async def test_a_database_that_cannot_be_used_is_told_once_and_as_503_later(
    tmp_path: Path, anyio_backend: str
) -> None:
    del anyio_backend
    (tmp_path / "references.sqlite").write_text("not a database, and longer than its header is" * 9)
    with pytest.raises(ReferencesError, match="not a database"):
        async with open_cross_references(f"sqlite:///{tmp_path / 'references.sqlite'}"):
            pass

    url = f"sqlite:///{tmp_path / 'other.sqlite'}"
    async with open_cross_references(url) as references:
        engine = open_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE crossref_link"))
        engine.dispose()
        with pytest.raises(UnavailableError) as raised:
            await references.find(KEY)
    assert problem_of(raised.value).status == 503


async def test_a_survivor_takes_over_what_it_lacks_itself(references: CrossReferences) -> None:
    elsewhere = replace(KEY, system="tryton")
    survivor, merged = replace(KEY, canonical_id="C-2"), KEY
    await references.adopt(survivor, "cus_2", "C-2")
    await references.adopt(merged, "cus_1", "C-1")
    await references.adopt(replace(elsewhere, canonical_id="C-1"), "7", "C-1")
    await references.merge("customer", "C-1", "C-2")

    for _ in range(2):
        await references.take_over("customer", "C-1", "C-2")

    taken = await references.find(replace(elsewhere, canonical_id="C-2"))
    own = await references.find(survivor)
    assert taken is not None
    assert own is not None
    assert (taken.external_id, own.external_id) == ("7", "cus_2")
    assert await references.survivor("customer", "C-1") == "C-2"
    assert await references.survivor("customer", "C-3") == "C-3"
    merged_link = await references.find_external("customer", "stripe", "acct_1", "cus_1")
    assert merged_link is not None
    assert merged_link.key.canonical_id == "C-1"
