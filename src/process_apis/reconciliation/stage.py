"""Where a run came to, and what it read: pages and the way to the next one are kept as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.statements import upsert
from process_apis.reconciliation.comparing import MAX_IDS, Group
from process_apis.reconciliation.database import Database
from process_apis.reconciliation.domain import SUBJECTS, Listing, SubjectName, System
from process_apis.reconciliation.rows import Row, order_key
from process_apis.reconciliation.tables import PLACES, ROWS

# Keys that are compared in one transaction: some hundred kilobytes.
BATCH = 500
# Rows that one transaction deletes, so that no other writer waits for long.
_DELETED_AT_ONCE = 5_000
_STORED = [column.name for column in ROWS.columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a part of a run came."""

    run_id: str
    work: str
    state: str
    pages: int
    records: int
    unmatched: int
    cursor: str

    @property
    def done(self) -> bool:
        return self.state == "done"


@dataclass(frozen=True, slots=True)
class Stage:
    """The places of runs and the rows they read."""

    database: Database

    async def place(self, run_id: str, work: str) -> Place:
        """Return how far a part of a run came; raises LookupError for one that is not there."""
        async with self.database.reading() as connection:
            query = sa.select(PLACES).where(PLACES.c.run_id == run_id, PLACES.c.work == work)
            found = (await connection.execute(query)).mappings().one_or_none()
        if found is None:
            raise LookupError(f"{run_id} has nothing to {work}")
        return _place(dict(found))

    async def places(self, run_id: str) -> list[Place]:
        """Return all parts of a run, in their order."""
        query = sa.select(PLACES).where(PLACES.c.run_id == run_id).order_by(PLACES.c.position)
        async with self.database.reading() as connection:
            return [_place(dict(found)) for found in (await connection.execute(query)).mappings()]

    async def keep(
        self, place: Place, listing: Listing, rows: Sequence[Row], read: int, cursor: str
    ) -> None:
        """Keep the rows of a page and where the next one is; without a cursor it was the last.

        Of two processes that read one page the first one counts.
        """
        async with self.database.writing() as connection:
            matched = await _matched(connection, place.run_id, listing, rows)
            unmatched = sum(not row.key for row in matched)
            if not await move(connection, place, read, cursor, unmatched):
                return
            values = [_values(place.run_id, listing, row) for row in matched]
            if values:
                await connection.execute(upsert(connection.dialect.name, ROWS), values)

    async def begin_again(self, place: Place) -> None:
        """Go back to the first page of a list; what is read again replaces itself."""
        async with self.database.writing() as connection:
            begun = {"cursor": "", "pages": 0, "records": 0, "unmatched": 0}
            await connection.execute(sa.update(PLACES).where(_is(place)).values(**begun))

    async def clear(self, run_id: str) -> int:
        """Delete some of what a run read and return how much that was."""
        ids = sa.select(ROWS.c.subject, ROWS.c.system, ROWS.c.record_id)
        some = ids.where(ROWS.c.run_id == run_id).limit(_DELETED_AT_ONCE)
        columns = sa.tuple_(ROWS.c.subject, ROWS.c.system, ROWS.c.record_id)
        async with self.database.writing() as connection:
            chosen = sa.delete(ROWS).where(ROWS.c.run_id == run_id, columns.in_(some))
            return (await connection.execute(chosen)).rowcount


async def move(
    connection: AsyncConnection, place: Place, records: int, cursor: str, unmatched: int = 0
) -> bool:
    """Move on from a place, unless somebody else did; without a cursor to the end."""
    moved = {
        "state": "running" if cursor else "done",
        "pages": place.pages + 1,
        "records": place.records + records,
        "unmatched": place.unmatched + unmatched,
        "cursor": cursor,
    }
    result = await connection.execute(sa.update(PLACES).where(_is(place)).values(**moved))
    return result.rowcount == 1


async def next_groups(
    connection: AsyncConnection, run_id: str, subject: SubjectName, after: str
) -> Mapping[str, Mapping[System, Group]]:
    """Return what is there under the keys that follow, by key and system."""
    mine = (ROWS.c.run_id == run_id) & (ROWS.c.subject == subject)
    keys = sa.select(ROWS.c.key).where(mine, ROWS.c.key > after).group_by(ROWS.c.key)
    found = (await connection.execute(keys.order_by(ROWS.c.key).limit(BATCH))).scalars().all()
    if not found:
        return {}
    same = (ROWS.c.key, ROWS.c.system)
    first = (ROWS.c.quiet, ROWS.c.record_id)
    rank = sa.func.row_number().over(partition_by=same, order_by=first)
    live = sa.func.sum(1 - ROWS.c.quiet).over(partition_by=same)
    ranked = (
        sa.select(ROWS, rank.label("rank"), live.label("live"))
        .where(mine, ROWS.c.key.in_(found))
        .subquery()
    )
    rows = sa.select(ranked).where(ranked.c.rank <= MAX_IDS)
    ordered = rows.order_by(ranked.c.key, ranked.c.system, ranked.c.rank)
    groups: dict[str, dict[System, Group]] = {key: {} for key in found}
    for values in (await connection.execute(ordered)).mappings():
        of_key, system = groups[values["key"]], values["system"]
        before = of_key[system].rows if system in of_key else ()
        of_key[system] = Group(rows=(*before, _row(dict(values))), live=int(values["live"]))
    return groups


async def _matched(
    connection: AsyncConnection, run_id: str, listing: Listing, rows: Sequence[Row]
) -> list[Row]:
    """Return rows with their keys, as far as what was read before tells them."""
    known = ROWS.c.run_id == run_id
    if listing.subject == "customers" and listing.system != SUBJECTS["customers"].reference:
        return await _customers(connection, known, listing, rows)
    if listing.subject == "orders" and listing.system == "salesforce":
        return await _orders(connection, known, rows)
    return list(rows)


async def _customers(
    connection: AsyncConnection,
    known: sa.ColumnElement[bool],
    listing: Listing,
    rows: Sequence[Row],
) -> list[Row]:
    """Match customers: by the key the system has, else by a name that only one has in the ERP."""
    mine = (ROWS.c.subject == "customers") & (ROWS.c.system == SUBJECTS["customers"].reference)
    by_key = sa.select(ROWS.c.key).where(known, mine, ROWS.c.key.in_({row.key for row in rows}))
    keys = set((await connection.execute(by_key)).scalars())
    names = {row.alias for row in rows if row.alias and row.key not in keys}
    by_name = (
        sa.select(ROWS.c.alias, sa.func.min(ROWS.c.key))
        .where(known, mine, ROWS.c.alias.in_(names))
        .group_by(ROWS.c.alias)
        .having(sa.func.count() == 1)
    )
    named = dict((await connection.execute(by_name)).all())
    # Without any, order-to-cash calls a customer of Stripe what Stripe does.
    own = listing.system == "stripe"
    return [
        row
        if row.key in keys
        else _keyed(row, named.get(row.alias) or row.key or (row.record_id if own else ""))
        for row in rows
    ]


async def _orders(
    connection: AsyncConnection, known: sa.ColumnElement[bool], rows: Sequence[Row]
) -> list[Row]:
    """Match orders of Salesforce, which name an account and not the key of the customer."""
    accounts = {row.customer for row in rows}
    mine = (ROWS.c.subject == "customers") & (ROWS.c.system == "salesforce")
    query = sa.select(ROWS.c.record_id, ROWS.c.key).where(
        known, mine, ROWS.c.record_id.in_(accounts), ROWS.c.key != ""
    )
    keys = dict((await connection.execute(query)).all())
    return [
        _keyed(row, order_key(keys[row.customer], row.number))
        if row.number and row.customer in keys
        else row
        for row in rows
    ]


def _keyed(row: Row, key: str) -> Row:
    return Row(**{**asdict(row), "key": key})


def _values(run_id: str, listing: Listing, row: Row) -> dict[str, object]:
    values = {name: value for name, value in asdict(row).items() if name in _STORED}
    where = {"run_id": run_id, "subject": listing.subject, "system": listing.system}
    return {**values, **where, "quiet": int(row.quiet)}


def _row(values: Mapping[str, str]) -> Row:
    names = [name for name in Row.__slots__ if name in _STORED]
    return Row(**{name: values[name] for name in names})


def _place(found: Mapping[str, object]) -> Place:
    return Place(**{name: found[name] for name in Place.__slots__})  # type: ignore[arg-type]  # columns of these types


def _is(place: Place) -> sa.ColumnElement[bool]:
    """Return that a place is still where it was seen."""
    return sa.and_(
        PLACES.c.run_id == place.run_id,
        PLACES.c.work == place.work,
        PLACES.c.pages == place.pages,
        PLACES.c.cursor == place.cursor,
        PLACES.c.state != "done",
    )
