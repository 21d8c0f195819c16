"""Runs: what was asked for, and how they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from portico.statements import insert
from process_apis.reconciliation.database import Database
from process_apis.reconciliation.domain import SubjectName, comparison, listings, ordered
from process_apis.reconciliation.starting import Order
from process_apis.reconciliation.tables import DEEDS, FINDINGS, PLACES, REPORTED, ROWS, RUNS

WAITING, READING, COMPARING, DONE, FAILED = "waiting", "reading", "comparing", "done", "failed"


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs that are known."""

    database: Database

    async def enter(self, order: Order) -> None:
        """Note a run and what it has to do, unless it is noted."""
        values = {
            **order.payload(),
            "run_id": order.run_id,
            "subjects": ",".join(order.subjects),
            "begun_at": "",
            "ended_at": "",
            "phase": WAITING,
            "next_try_at": "",
            "cause": "",
        }
        parts = [listing.work for listing in listings(order.subjects)]
        parts += [comparison(subject) for subject in ordered(order.subjects)]
        zero = {"state": "waiting", "pages": 0, "records": 0, "unmatched": 0, "cursor": ""}
        places = [
            {**zero, "run_id": order.run_id, "work": work, "position": position}
            for position, work in enumerate(parts)
        ]
        async with self.database.writing() as connection:
            for table, rows in ((RUNS, [values]), (PLACES, places)):
                unless_there = insert(connection.dialect.name, table).on_conflict_do_nothing()
                await connection.execute(unless_there, rows)

    async def begin(self, run_id: str, now: str) -> None:
        """Note that a run begins; when it did first stays."""
        first = sa.case((RUNS.c.begun_at == "", now), else_=RUNS.c.begun_at)
        await self._set(run_id, {"phase": READING, "begun_at": first})

    async def wait(self, run_id: str, next_try_at: str, cause: str) -> None:
        await self._set(run_id, {"next_try_at": next_try_at, "cause": cause})

    async def go_on(self, run_id: str, phase: str) -> None:
        """Note that nothing is waited for any more."""
        values = {"phase": phase, "next_try_at": "", "cause": "", "ended_at": ""}
        await self._set(run_id, values)

    async def end(self, run_id: str, phase: str, now: str, cause: str = "") -> None:
        values = {"phase": phase, "ended_at": now, "next_try_at": "", "cause": cause}
        await self._set(run_id, values)

    async def _set(self, run_id: str, values: Mapping[str, object]) -> None:
        async with self.database.writing() as connection:
            await connection.execute(
                sa.update(RUNS).where(RUNS.c.run_id == run_id).values(**values)
            )

    async def find(self, run_id: str) -> Mapping[str, str] | None:
        """Return a run, None if there is none of this id."""
        async with self.database.reading() as connection:
            query = sa.select(RUNS).where(RUNS.c.run_id == run_id)
            found = (await connection.execute(query)).mappings().one_or_none()
            return None if found is None else dict(found)

    async def page(self, limit: int, after: tuple[str, str] | None) -> list[Mapping[str, str]]:
        """Return runs, the newest first; `after` has the time and id of the last one seen."""
        query = sa.select(RUNS).order_by(RUNS.c.requested_at.desc(), RUNS.c.run_id.desc())
        if after is not None:
            query = query.where(sa.tuple_(RUNS.c.requested_at, RUNS.c.run_id) < sa.tuple_(*after))
        async with self.database.reading() as connection:
            return [dict(run) for run in (await connection.execute(query.limit(limit))).mappings()]

    async def counts(self, run_id: str) -> Mapping[str, int]:
        """Return how many findings of each kind a run reported so far."""
        query = sa.select(REPORTED.c.kind, sa.func.count()).where(REPORTED.c.run_id == run_id)
        async with self.database.reading() as connection:
            found = await connection.execute(query.group_by(REPORTED.c.kind))
            return dict(found.all())

    async def forget(self, before: str) -> int:
        """Forget the oldest run from before a moment; return how many that was."""
        oldest = sa.select(RUNS.c.run_id).where(RUNS.c.requested_at < before)
        chosen = oldest.order_by(RUNS.c.requested_at).limit(1)
        async with self.database.writing() as connection:
            ids = (await connection.execute(chosen)).scalars().all()
            for table in (RUNS, PLACES, ROWS, REPORTED):
                await connection.execute(sa.delete(table).where(table.c.run_id.in_(ids)))
            return len(ids)

    async def forget_findings(self, before: str) -> None:
        """Forget what is resolved, and was seen last before a moment."""
        old = (FINDINGS.c.state == "resolved") & (FINDINGS.c.last_seen_at < before)
        ids = sa.select(FINDINGS.c.finding_id).where(old)
        async with self.database.writing() as connection:
            await connection.execute(sa.delete(DEEDS).where(DEEDS.c.finding_id.in_(ids)))
            await connection.execute(sa.delete(FINDINGS).where(old))


def subjects_of(found: Mapping[str, str]) -> list[SubjectName]:
    return found["subjects"].split(",")  # type: ignore[return-value]  # as they were written
