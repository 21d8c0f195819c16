"""What is known of customers and of the records they are; every method is one transaction.

Doing any of it again does nothing more, so that a step may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from portico.connectors.moments import timestamp
from portico.crossref.engine import Database
from portico.crossref.records import Key
from portico.statements import insert, upsert
from process_apis.customer_sync.matching import Identity, identity_of
from process_apis.customer_sync.tables import CUSTOMERS, LOOKS, NOTES, RECORDS, TOKENS

ENTITY = "customer"
# More records than this with one name say nothing; none of them is taken for another.
MAX_ALIKE = 100
# What one look starts again of what waits; the rest waits for the next one.
MAX_RESTARTED = 100
MAX_NOTES = 50


def now() -> str:
    return timestamp(datetime.now(UTC))


def put_row(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Write a row, instead of the one of its key if there is one."""
    connection.execute(upsert(connection.dialect.name, table).values(**row))


class Customers:
    """Customers by their canonical id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, customer_id: str) -> Mapping[str, Any] | None:
        wanted = sa.select(CUSTOMERS).where(CUSTOMERS.c.customer_id == customer_id)
        row = await self._database.run(lambda c: c.execute(wanted).mappings().one_or_none())
        return None if row is None else dict(row)

    async def begin(self, customer_id: str) -> None:
        """Know a customer of whom nothing is agreed yet."""
        row = {
            "customer_id": customer_id,
            "agreed": {},
            "sides": {},
            "waiting_for": "",
            "cause": "",
            "synced_at": "",
        }

        def begin(connection: sa.Connection) -> None:
            begun = insert(connection.dialect.name, CUSTOMERS).values(**row)
            connection.execute(begun.on_conflict_do_nothing())

        await self._database.run(begin)

    async def forget(self, customer_id: str) -> None:
        """Forget a customer that was merged into another."""
        gone = sa.delete(CUSTOMERS).where(CUSTOMERS.c.customer_id == customer_id)
        await self._database.run(lambda c: c.execute(gone))

    async def page(self, after: str, limit: int, *, waiting: bool) -> list[Mapping[str, Any]]:
        """Return customers in the order of their ids, one more than the limit if there is."""
        wanted = sa.select(CUSTOMERS).where(CUSTOMERS.c.customer_id > after)
        if waiting:
            wanted = wanted.where(CUSTOMERS.c.waiting_for != "")
        wanted = wanted.order_by(CUSTOMERS.c.customer_id).limit(limit + 1)
        rows = await self._database.run(lambda c: c.execute(wanted).mappings().all())
        return [dict(row) for row in rows]

    async def waiting_for(self, system: str) -> list[tuple[str, str]]:
        """Return customers that something is to be done about in a system, and their last syncs."""
        wanted = (
            sa.select(CUSTOMERS.c.customer_id, CUSTOMERS.c.synced_at)
            .where(CUSTOMERS.c.waiting_for == system)
            .order_by(CUSTOMERS.c.synced_at)
            .limit(MAX_RESTARTED)
        )
        rows = await self._database.run(lambda c: c.execute(wanted).all())
        return [(str(row.customer_id), str(row.synced_at)) for row in rows]

    async def notes(self, customer_id: str) -> list[Mapping[str, Any]]:
        """Return what happened to a customer, the latest first."""
        wanted = (
            sa.select(NOTES)
            .where(NOTES.c.customer_id == customer_id)
            .order_by(NOTES.c.at.desc(), NOTES.c.note_id)
            .limit(MAX_NOTES)
        )
        rows = await self._database.run(lambda c: c.execute(wanted).mappings().all())
        return [dict(row) for row in rows]


class Records:
    """What is there in the systems, and what it is recognised by."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take_in(self, record: Mapping[str, Any], state: str) -> None:
        """Know a record; its state stays where it was matched or is unclear."""
        place = place_of(record)
        identity = identity_of(record)
        row = {**place, "identity": _packed(identity), "state": state}

        def take_in(connection: sa.Connection) -> None:
            known = connection.execute(sa.select(RECORDS.c.state).where(_at(place))).scalar()
            kept = known if state == "new" and known in {"matched", "unclear"} else state
            put_row(connection, RECORDS, {**row, "state": kept})
            connection.execute(sa.delete(TOKENS).where(_at(place, TOKENS)))
            tokens = [] if state == "gone" else identity.tokens
            if tokens:
                rows = [{**place, "token": token[:400]} for token in tokens]
                known_by = insert(connection.dialect.name, TOKENS).values(rows)
                connection.execute(known_by.on_conflict_do_nothing())

        await self._database.run(take_in)

    async def set_state(self, place: Mapping[str, str], state: str) -> None:
        changed = sa.update(RECORDS).where(_at(place)).values(state=state)
        await self._database.run(lambda c: c.execute(changed))

    async def find(self, place: Mapping[str, str]) -> Mapping[str, Any] | None:
        wanted = sa.select(RECORDS).where(_at(place))
        row = await self._database.run(lambda c: c.execute(wanted).mappings().one_or_none())
        return None if row is None else {**row, "identity": unpacked(row["identity"])}

    async def alike(self, identity: Identity, system: str = "") -> list[Mapping[str, Any]]:
        """Return records that may be the same customer, those of one system if it is given."""
        tokens = [token[:400] for token in identity.tokens]
        has_one = sa.exists().where(_same_place(), TOKENS.c.token.in_(tokens))
        wanted = sa.select(RECORDS).where(has_one, RECORDS.c.state != "gone").limit(MAX_ALIKE)
        if system:
            wanted = wanted.where(RECORDS.c.system == system)
        rows = await self._database.run(lambda c: c.execute(wanted).mappings().all())
        return [{**row, "identity": unpacked(row["identity"])} for row in rows]

    async def instance_of(self, system: str) -> str:
        """Return the instance of any record of a system, empty where it has none."""
        wanted = sa.select(RECORDS.c.instance).where(RECORDS.c.system == system).limit(1)
        return str(await self._database.run(lambda c: c.execute(wanted).scalar()) or "")

    async def new(self, system: str) -> list[dict[str, str]]:
        """Return records of a system that are not matched yet."""
        wanted = (
            sa.select(RECORDS.c.system, RECORDS.c.instance, RECORDS.c.external_id)
            .where(RECORDS.c.system == system, RECORDS.c.state == "new")
            .order_by(RECORDS.c.external_id)
            .limit(MAX_RESTARTED)
        )
        rows = await self._database.run(lambda c: c.execute(wanted).mappings().all())
        return [{name: str(value) for name, value in row.items()} for row in rows]


class LookStates:
    """The last look at each system."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[str, dict[str, Any]]:
        rows = await self._database.run(lambda c: c.execute(sa.select(LOOKS)).mappings().all())
        return {str(row["system"]): dict(row) for row in rows}

    async def save(
        self, system: str, *, instance: str, complete: bool, last: Mapping[str, Any]
    ) -> None:
        """Keep how a look went; what was complete once stays so."""

        def save(connection: sa.Connection) -> None:
            wanted = sa.select(LOOKS.c.complete).where(LOOKS.c.system == system)
            was = bool(connection.execute(wanted).scalar())
            row = {"system": system, "instance": instance, "complete": complete or was}
            put_row(connection, LOOKS, {**row, "last": dict(last)})

        await self._database.run(save)


def key_of(customer_id: str, system: str, instance: str) -> Key:
    """Return what a customer is called among the cross-references of a system."""
    return Key(entity=ENTITY, canonical_id=customer_id, system=system, instance=instance)


def place_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Return where a canonical customer of a system is."""
    source = record["source"]
    return {
        "system": str(source["system"]),
        "instance": str(source["instance"]),
        "external_id": str(record["id"]),
    }


def _at(place: Mapping[str, str], table: sa.Table = RECORDS) -> sa.ColumnElement[bool]:
    names = ("system", "instance", "external_id")
    return sa.and_(*(table.c[name] == place[name] for name in names))


def _same_place() -> sa.ColumnElement[bool]:
    names = ("system", "instance", "external_id")
    return sa.and_(*(RECORDS.c[name] == TOKENS.c[name] for name in names))


def _packed(identity: Identity) -> dict[str, Any]:
    return {
        "keys": sorted(identity.keys),
        "tax_ids": sorted(identity.tax_ids),
        "name": identity.name,
        "emails": sorted(identity.emails),
    }


def unpacked(stored: Mapping[str, Any]) -> Identity:
    """Return an identity as it was stored."""
    sets: Sequence[str] = ("keys", "tax_ids", "emails")
    return Identity(name=stored["name"], **{name: frozenset(stored[name]) for name in sets})
