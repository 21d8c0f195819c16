"""How far each poll of changes has come, by system, instance and entity."""

from __future__ import annotations

import asyncio

import orjson
import sqlalchemy as sa

from portico.connectors.moments import from_text, timestamp
from portico.connectors.watermarks import Watermark
from portico.crossref.schema import WATERMARKS
from portico.statements import upsert


class Watermarks:
    """Keeps watermarks in the database of the cross-references."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    async def read(self, system: str, instance: str, entity: str) -> Watermark | None:
        """Return the watermark of a poll, None before its first."""
        wanted = sa.select(WATERMARKS).where(_is(system, instance, entity))

        def read() -> sa.Row[tuple[object, ...]] | None:
            with self._engine.begin() as connection:
                return connection.execute(wanted).one_or_none()

        row = await asyncio.to_thread(read)
        if row is None:
            return None
        seen = {
            name: (version, from_text(moment))
            for name, (version, moment) in orjson.loads(row.seen).items()
        }
        return Watermark(at=from_text(row.at), seen=seen)

    async def save(self, system: str, instance: str, entity: str, mark: Watermark) -> None:
        """Keep a watermark, after the changes before it were worked off.

        Several may do so at once: the last one counts, and what it is behind is only read again.
        """
        seen = {name: (version, timestamp(at)) for name, (version, at) in mark.seen.items()}
        row = {
            "system": system,
            "instance": instance,
            "entity": entity,
            "at": timestamp(mark.at),
            "seen": orjson.dumps(seen).decode(),
        }

        def save() -> None:
            with self._engine.begin() as connection:
                # Deleted and inserted, it would be there twice for whoever waited for the other.
                connection.execute(upsert(connection.dialect.name, WATERMARKS).values(**row))

        await asyncio.to_thread(save)


def _is(system: str, instance: str, entity: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        WATERMARKS.c.system == system,
        WATERMARKS.c.instance == instance,
        WATERMARKS.c.entity == entity,
    )
