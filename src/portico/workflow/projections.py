"""What events have made known, kept to be read: the latest word on each thing.

Events come late, twice and in any order. Each has a position, such as the time at its source; one
that is behind what is kept changes nothing, so that all orders of the same events end the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portico.workflow.database import WorkflowDatabase
from portico.workflow.tables import PROJECTIONS
from portico.workflow.transactions import in_step

# Databases have limits of their own on what one query may name.
_SUBJECTS_PER_QUERY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What is known of one thing: of a subject, there may be several."""

    subject: str
    key: str
    position: str
    value: Any


class Projections:
    """Things known by the name of what they are part of, such as the levels of a stock."""

    def __init__(self, database: WorkflowDatabase, engine: AsyncEngine) -> None:
        self._database = database
        self._engine = engine

    async def put(self, name: str, words: Sequence[Word]) -> None:
        """Keep words, except those that are behind what is kept. Within a workflow it is a step.

        Positions are ordered as text: times are written in one form.
        """
        if not words:
            return
        insert = self._database.insert(PROJECTIONS)
        columns = PROJECTIONS.c
        kept = insert.on_conflict_do_update(
            index_elements=["name", "subject", "key"],
            set_={"position": insert.excluded.position, "value": insert.excluded.value},
            where=columns.position < insert.excluded.position,
        )
        rows = [
            {
                "name": name,
                "subject": word.subject,
                "key": word.key,
                "position": word.position,
                "value": json.dumps(word.value),
            }
            for word in words
        ]

        async def query(connection: AsyncConnection) -> None:
            await connection.execute(kept, rows)

        await in_step(self._engine, f"note {name}", query)

    async def of(self, name: str, subjects: Sequence[str]) -> list[Word]:
        """Return what is known of some subjects."""
        found: list[Word] = []
        columns = PROJECTIONS.c
        chosen = (columns.subject, columns.key, columns.position, columns.value)
        async with self._engine.connect() as connection:
            for group in _groups(subjects):
                query = sa.select(*chosen).where(columns.name == name, columns.subject.in_(group))
                rows = await connection.execute(query.order_by(columns.subject, columns.key))
                found += [
                    Word(subject=row[0], key=row[1], position=row[2], value=json.loads(row[3]))
                    for row in rows
                ]
        return found


def _groups(subjects: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(subjects), _SUBJECTS_PER_QUERY):
        yield subjects[start : start + _SUBJECTS_PER_QUERY]
