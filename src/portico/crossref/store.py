"""The store of cross-references: every method is one transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from portico.crossref.engine import Database, open_engine
from portico.crossref.records import (
    Claim,
    ClaimedError,
    ClaimLostError,
    DeletedError,
    Key,
    Link,
    State,
    TakenError,
    operation_id,
)
from portico.crossref.schema import ALIASES, LINKS, NewerSchemaError, migrate
from portico.statements import insert

# An alias of an alias of an alias: more is a circle.
MAX_ALIASES = 10


class ReferencesError(Exception):
    """The database of the cross-references cannot be used."""


class CrossReferences:
    """Which record of which system a canonical id stands for."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(engine)
        self._clock = clock

    async def claim(self, key: Key, external_key: str, lease_seconds: float) -> Claim | Link:
        """Return the right to create a record, or the link if there is one already.

        Raises ClaimedError while somebody else has it, DeletedError for a tombstone, TakenError if
        the external key belongs to another canonical record. A lease is longer than the attempt
        can last: when it is over, the next one takes the record for possibly created.
        """
        return await self._database.run(lambda c: self._claim(c, key, external_key, lease_seconds))

    def _claim(
        self, connection: sa.Connection, key: Key, external_key: str, lease_seconds: float
    ) -> Claim | Link:
        key = _resolve(connection, key)
        owner, now = token_hex(16), self._now()
        until = now + int(lease_seconds * 1000)
        values = {
            **_columns(key),
            "external_key": external_key,
            "state": "pending",
            "generation": 0,
            "owner": owner,
            "claimed_until_ms": until,
            "version": "",
            "written_hash": "",
            "updated_ms": now,
        }
        if connection.execute(_insert_unless_there(connection, values)).one_or_none():
            return _claim_of(key, external_key, 0, owner, resumed=False)
        row = connection.execute(sa.select(LINKS).where(_is(key)).with_for_update()).one_or_none()
        if row is None:
            raise TakenError(f"{external_key} is the key of another {key.entity}")
        if row.state == "tombstone":
            raise DeletedError(f"{key.entity} {key.canonical_id} was deleted in {key.system}")
        if row.state != "pending":
            return _link_of(row)
        if row.claimed_until_ms > now:
            raise ClaimedError(
                f"{key.entity} {key.canonical_id} is being created in {key.system}",
                system=key.system,
                retry_after_seconds=(row.claimed_until_ms - now) / 1000,
            )
        taken = {"owner": owner, "claimed_until_ms": until, "updated_ms": now}
        connection.execute(sa.update(LINKS).where(_is(key)).values(taken))
        return _claim_of(key, row.external_key, row.generation, owner, resumed=True)

    async def link(
        self, claim: Claim, external_id: str, *, version: str = "", written_hash: str = ""
    ) -> Link:
        """Note that the record exists; raises ClaimLostError, and TakenError for another's id."""
        values = {
            "external_id": external_id,
            "state": "linked",
            "version": version,
            "written_hash": written_hash,
        }
        try:
            await self._database.run(lambda c: self._change_claimed(c, claim, values))
        except IntegrityError as error:
            raise TakenError(f"{external_id} is linked to another canonical record") from error
        return Link(
            key=claim.key,
            external_id=external_id,
            external_key=claim.external_key,
            state="linked",
            version=version,
            written_hash=written_hash,
        )

    async def release(self, claim: Claim) -> None:
        """Note that the system refused the record, so that another attempt is another operation."""
        values = {"generation": LINKS.c.generation + 1, "owner": "", "claimed_until_ms": 0}
        await self._database.run(lambda c: self._change_claimed(c, claim, values))

    async def give_up(self, claim: Claim) -> None:
        """Let the next attempt begin at once, at looking up what this one may have created."""
        values = {"owner": "", "claimed_until_ms": 0}
        await self._database.run(lambda c: self._change_claimed(c, claim, values))

    def _change_claimed(
        self, connection: sa.Connection, claim: Claim, values: dict[str, Any]
    ) -> None:
        mine = _is(claim.key) & (LINKS.c.owner == claim.owner) & (LINKS.c.state == "pending")
        changed = sa.update(LINKS).where(mine).values(**values, updated_ms=self._now())
        if not connection.execute(changed).rowcount:
            raise ClaimLostError(
                f"the claim on {claim.key.entity} {claim.key.canonical_id} is lost"
            )

    async def adopt(self, key: Key, external_id: str, external_key: str) -> Link:
        """Link a record that was found in a system; raises TakenError if either is linked."""
        values = {
            **_columns(key),
            "external_id": external_id,
            "external_key": external_key,
            "state": "linked",
            "generation": 0,
            "owner": "",
            "claimed_until_ms": 0,
            "version": "",
            "written_hash": "",
        }
        insert = sa.insert(LINKS).values(**values, updated_ms=self._now())
        try:
            await self._database.run(lambda c: c.execute(insert))
        except IntegrityError as error:
            raise TakenError(f"{external_id} or {key.canonical_id} is linked already") from error
        found = await self.find(key)
        return cast("Link", found)

    async def find(self, key: Key) -> Link | None:
        """Return what a canonical record is in a system, that of the survivor after a merge."""

        def find(connection: sa.Connection) -> Link | None:
            row = connection.execute(
                sa.select(LINKS).where(_is(_resolve(connection, key)))
            ).one_or_none()
            return None if row is None else _link_of(row)

        return await self._database.run(find)

    async def find_external(
        self, entity: str, system: str, instance: str, external_id: str
    ) -> Link | None:
        """Return which canonical record a record of a system is."""
        wanted = sa.select(LINKS).where(
            LINKS.c.entity == entity,
            LINKS.c.system == system,
            LINKS.c.instance == instance,
            LINKS.c.external_id == external_id,
        )
        row = await self._database.run(lambda c: c.execute(wanted).one_or_none())
        return None if row is None else _link_of(row)

    async def keys_of(
        self, entity: str, system: str, instance: str, external_ids: Sequence[str]
    ) -> Mapping[str, str]:
        """Return the external keys of those records of a system that are linked, by their ids."""
        wanted = sa.select(LINKS.c.external_id, LINKS.c.external_key).where(
            LINKS.c.entity == entity,
            LINKS.c.system == system,
            LINKS.c.instance == instance,
            LINKS.c.external_id.in_(external_ids),
        )
        rows = await self._database.run(lambda c: c.execute(wanted).all())
        return {str(external_id): str(key) for external_id, key in rows}

    async def note_write(self, key: Key, *, version: str, written_hash: str) -> None:
        """Remember what we wrote, so that its echo is known when it comes back."""
        values = {"version": version, "written_hash": written_hash}
        await self._update(key, values)

    async def mark_conflict(self, key: Key) -> None:
        """Set a link aside for a person to decide."""
        await self._update(key, {"state": "conflict"})

    async def bury(self, key: Key) -> None:
        """Note that the record was deleted in the system: it is not created again."""
        await self._update(key, {"state": "tombstone"})

    async def merge(self, entity: str, canonical_id: str, survivor_id: str) -> None:
        """Let a canonical record stand for another one from now on; raises TakenError in a circle.

        Links of the merged record stay as they are: only its name leads elsewhere.
        """

        def merge(connection: sa.Connection) -> None:
            if _survivor(connection, entity, survivor_id) == canonical_id:
                raise TakenError(f"{survivor_id} was merged into {canonical_id}")
            row = {"entity": entity, "canonical_id": canonical_id, "survivor_id": survivor_id}
            connection.execute(
                sa.delete(ALIASES).where(
                    ALIASES.c.entity == entity, ALIASES.c.canonical_id == canonical_id
                )
            )
            connection.execute(sa.insert(ALIASES).values(row))

        await self._database.run(merge)

    async def survivor(self, entity: str, canonical_id: str) -> str:
        """Return what a canonical record is called after all its merges."""
        return await self._database.run(lambda c: _survivor(c, entity, canonical_id))

    async def take_over(self, entity: str, merged_id: str, survivor_id: str) -> None:
        """Give the survivor of a merge the links of the merged record that it lacks itself."""

        def take_over(connection: sa.Connection) -> None:
            own = sa.select(LINKS.c.system, LINKS.c.instance).where(
                LINKS.c.entity == entity, LINKS.c.canonical_id == survivor_id
            )
            held = {(row.system, row.instance) for row in connection.execute(own)}
            of_merged = (LINKS.c.entity == entity) & (LINKS.c.canonical_id == merged_id)
            for row in connection.execute(sa.select(LINKS).where(of_merged)).all():
                if (row.system, row.instance) not in held and row.state != "pending":
                    key = Key(
                        entity=entity,
                        canonical_id=merged_id,
                        system=row.system,
                        instance=row.instance,
                    )
                    moved = sa.update(LINKS).where(_is(key)).values(canonical_id=survivor_id)
                    connection.execute(moved)

        await self._database.run(take_over)

    async def _update(self, key: Key, values: dict[str, Any]) -> None:
        def update(connection: sa.Connection) -> None:
            changed = sa.update(LINKS).where(_is(_resolve(connection, key)))
            connection.execute(changed.values(**values, updated_ms=self._now()))

        await self._database.run(update)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def __repr__(self) -> str:
        return f"<CrossReferences {self._database}>"


@asynccontextmanager
async def open_cross_references(url: str) -> AsyncIterator[CrossReferences]:
    """Open the store and bring its schema up to date.

    Raises ValueError for a URL that is none, ReferencesError for a database that cannot be used.
    """
    engine = open_engine(url)
    try:
        try:
            await asyncio.to_thread(migrate, engine)
        except (DBAPIError, NewerSchemaError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise ReferencesError(str(cause)) from error
        yield CrossReferences(engine)
    finally:
        await asyncio.to_thread(engine.dispose)


def _insert_unless_there(connection: sa.Connection, values: dict[str, Any]) -> Any:
    statement = insert(connection.dialect.name, LINKS).values(values).on_conflict_do_nothing()
    # A row comes back only if it was inserted; drivers do not agree on how to count.
    return statement.returning(LINKS.c.owner)


def _columns(key: Key) -> dict[str, str]:
    return {
        "entity": key.entity,
        "canonical_id": key.canonical_id,
        "system": key.system,
        "instance": key.instance,
    }


def _is(key: Key) -> sa.ColumnElement[bool]:
    return sa.and_(*(LINKS.c[name] == value for name, value in _columns(key).items()))


def _resolve(connection: sa.Connection, key: Key) -> Key:
    """Return the key of the survivor."""
    survivor = _survivor(connection, key.entity, key.canonical_id)
    return Key(entity=key.entity, canonical_id=survivor, system=key.system, instance=key.instance)


def _survivor(connection: sa.Connection, entity: str, canonical_id: str) -> str:
    for _ in range(MAX_ALIASES):
        wanted = sa.select(ALIASES.c.survivor_id).where(
            ALIASES.c.entity == entity, ALIASES.c.canonical_id == canonical_id
        )
        found = connection.execute(wanted).scalar()
        if found is None:
            return canonical_id
        canonical_id = str(found)
    return canonical_id


def _claim_of(key: Key, external_key: str, generation: int, owner: str, *, resumed: bool) -> Claim:
    return Claim(
        key=key,
        external_key=external_key,
        operation_id=operation_id(key, generation),
        owner=owner,
        resumed=resumed,
    )


def _link_of(row: sa.Row[Any]) -> Link:
    key = Key(
        entity=row.entity,
        canonical_id=row.canonical_id,
        system=row.system,
        instance=row.instance,
    )
    return Link(
        key=key,
        external_id=row.external_id or "",
        external_key=row.external_key,
        state=cast("State", row.state),
        version=row.version,
        written_hash=row.written_hash,
    )
