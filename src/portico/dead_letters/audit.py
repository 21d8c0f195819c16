"""Who did what to dead letters: written before it is done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from portico.workflow.tables import AUDIT

REPLAY, DISCARD = "replay", "discard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One deed."""

    at: str
    actor: str
    action: str
    letter_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Audit:
    """The record of deeds; nothing here changes or deletes one."""

    engine: AsyncEngine

    async def write(self, actor: str, action: str, letter_id: str, detail: str) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        values = {"at": now, "actor": actor, "action": action, "letter_id": letter_id}
        async with self.engine.begin() as connection:
            await connection.execute(sa.insert(AUDIT).values(**values, detail=detail))

    async def of(self, letter_id: str) -> Sequence[Entry]:
        """Return what was done to a letter, in order."""
        columns = AUDIT.c
        chosen = (columns.at, columns.actor, columns.action, columns.letter_id, columns.detail)
        query = sa.select(*chosen).where(columns.letter_id == letter_id).order_by(columns.number)
        async with self.engine.connect() as connection:
            rows = await connection.execute(query)
            return [Entry(**row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy documents it

    async def was_replayed(self, letter_id: str) -> bool:
        """Tell whether somebody had a letter replayed."""
        return any(entry.action == REPLAY for entry in await self.of(letter_id))
