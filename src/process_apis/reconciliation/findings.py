"""Findings: what becomes of a difference from run to run, and what people do about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.statements import upsert
from process_apis.reconciliation.comparing import Difference
from process_apis.reconciliation.database import Database
from process_apis.reconciliation.domain import Run
from process_apis.reconciliation.tables import DEEDS, FINDINGS, REPORTED

OPEN, FIXED, ACKNOWLEDGED, RESOLVED = "open", "fixed", "acknowledged", "resolved"
FIX, ACKNOWLEDGE = "fix", "acknowledge"
# As many as the contract says a finding shows.
MAX_DEEDS = 100
# Findings of a report that are read at a time.
_BATCH = 500

Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a difference: the state of its finding, and whether a run reports it."""

    state: str
    reported: bool


def fate(known: Found | None, difference: Difference, run: Run) -> Fate | None:
    """Return what becomes of a difference, None where it is too young to be one.

    1. What is known stays so while it settles; what is new waits for that.
    2. What was acknowledged is accepted as it is, and not as anything else.
    3. A fix has as long to take effect as records have to settle.
    """
    if known is None or known["state"] == RESOLVED:
        return Fate(state=OPEN, reported=True) if difference.settled else None
    same = known["fingerprint"] == difference.fingerprint or not difference.settled
    if known["state"] == ACKNOWLEDGED and same:
        return Fate(state=ACKNOWLEDGED, reported=False)
    if known["state"] == FIXED and known["fixed_at"] > run.settled_until:
        return Fate(state=FIXED, reported=True)
    return Fate(state=OPEN, reported=True)


async def report(
    connection: AsyncConnection, run: Run, differences: Sequence[Difference], now: str
) -> None:
    """Bring the findings up to date with what a run sees, in the transaction of its caller."""
    ids = [difference.finding_id for difference in differences]
    # Somebody may be fixing one of them at this moment.
    query = sa.select(FINDINGS).where(FINDINGS.c.finding_id.in_(ids)).with_for_update()
    known = {row["finding_id"]: dict(row) for row in (await connection.execute(query)).mappings()}
    findings, reported = [], []
    for difference in differences:
        before = known.get(difference.finding_id)
        becomes = fate(before, difference, run)
        if becomes is None:
            continue
        shown = _shown(difference)
        seen = {"last_seen_at": now, "last_run_id": run.run_id, "state": becomes.state}
        findings.append({**_begun(before, now), **shown, **_judged(difference, before), **seen})
        if becomes.reported:
            reported.append({**shown, "run_id": run.run_id})
    if findings:
        await connection.execute(upsert(connection.dialect.name, FINDINGS), findings)
    if reported:
        await connection.execute(upsert(connection.dialect.name, REPORTED), reported)


def _shown(difference: Difference) -> dict[str, object]:
    return {
        "finding_id": difference.finding_id,
        "subject": difference.subject,
        "kind": difference.kind,
        "system": difference.system,
        "key": difference.key,
        "records": orjson.dumps(difference.records).decode(),
        "expected": difference.expected,
        "found": difference.found,
        "fix": difference.fix,
    }


def _judged(difference: Difference, before: Found | None) -> dict[str, object]:
    """Return what a difference is known by; what still changes is not what it will be."""
    settled = difference.settled or before is None
    fingerprint = difference.fingerprint if settled else before["fingerprint"]  # type: ignore[index]  # or it is settled
    return {"fingerprint": fingerprint, "at": difference.at}


def _begun(before: Found | None, now: str) -> dict[str, object]:
    if before is None:
        return {"first_seen_at": now, "fixed_at": ""}
    return {name: before[name] for name in ("first_seen_at", "fixed_at")}


async def resolve(connection: AsyncConnection, run: Run) -> None:
    """Note what a run would have seen, had it still been there."""
    columns = FINDINGS.c
    in_period = (columns.at >= run.period.since) & (columns.at < run.period.until)
    gone = sa.and_(
        columns.subject.in_(run.subjects),
        columns.state != RESOLVED,
        columns.last_run_id != run.run_id,
        (columns.subject == "customers") | in_period,
    )
    await connection.execute(sa.update(FINDINGS).where(gone).values(state=RESOLVED))


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of all runs."""

    database: Database

    async def find(self, finding_id: str) -> Found | None:
        """Return a finding, None if there is none of this id."""
        query = sa.select(FINDINGS).where(FINDINGS.c.finding_id == finding_id)
        async with self.database.reading() as connection:
            found = (await connection.execute(query)).mappings().one_or_none()
            return None if found is None else dict(found)

    async def history(self, finding_id: str) -> Sequence[Found]:
        """Return what was done about a finding, in order; of many deeds the last ones."""
        query = sa.select(DEEDS).where(DEEDS.c.finding_id == finding_id)
        last = query.order_by(DEEDS.c.number.desc()).limit(MAX_DEEDS)
        async with self.database.reading() as connection:
            found = [dict(deed) for deed in (await connection.execute(last)).mappings()]
        return found[::-1]

    async def page(
        self, limit: int, after: str, run_id: str | None, filters: Mapping[str, str | None]
    ) -> list[Found]:
        """Return findings in the order of their ids."""
        query = sa.select(FINDINGS).where(FINDINGS.c.finding_id > after)
        for name, value in filters.items():
            if value is not None:
                query = query.where(FINDINGS.c[name] == value)
        if run_id is not None:
            ids = sa.select(REPORTED.c.finding_id).where(REPORTED.c.run_id == run_id)
            query = query.where(FINDINGS.c.finding_id.in_(ids))
        ordered = query.order_by(FINDINGS.c.finding_id).limit(limit)
        async with self.database.reading() as connection:
            return [dict(found) for found in (await connection.execute(ordered)).mappings()]

    async def reported(self, run_id: str) -> AsyncIterator[Found]:
        """Yield what a run reported, read some at a time."""
        after = ""
        while True:
            query = sa.select(REPORTED).where(
                REPORTED.c.run_id == run_id, REPORTED.c.finding_id > after
            )
            some = query.order_by(REPORTED.c.finding_id).limit(_BATCH)
            async with self.database.reading() as connection:
                found = (await connection.execute(some)).mappings().all()
            for row in found:
                yield dict(row)
            if len(found) < _BATCH:
                return
            after = found[-1]["finding_id"]

    async def begin_fix(self, finding: Found, actor: str, now: str) -> int:
        """Note who fixes a finding before that is done, and return the number of the note."""
        deed = _deed(finding, actor, now, FIX, "begun")
        async with self.database.writing() as connection:
            insert = sa.insert(DEEDS).values(**deed).returning(DEEDS.c.number)
            return int((await connection.execute(insert)).scalar_one())

    async def end_fix(self, finding: Found, deed: int, now: str, detail: str) -> None:
        """Note what came of a fix."""
        async with self.database.writing() as connection:
            fixed = {"state": FIXED, "fixed_at": now}
            await connection.execute(sa.update(FINDINGS).where(_same(finding)).values(**fixed))
            await connection.execute(_with_detail(deed, detail))

    async def refuse_fix(self, deed: int, detail: str) -> None:
        """Note why a fix could not be made."""
        async with self.database.writing() as connection:
            await connection.execute(_with_detail(deed, detail))

    async def acknowledge(self, finding: Found, actor: str, now: str, reason: str) -> None:
        """Note that a difference is accepted, and by whom."""
        accepted = sa.update(FINDINGS).where(_same(finding)).values(state=ACKNOWLEDGED)
        deed = _deed(finding, actor, now, ACKNOWLEDGE, reason)
        async with self.database.writing() as connection:
            if (await connection.execute(accepted)).rowcount:
                await connection.execute(sa.insert(DEEDS).values(**deed))


def _same(finding: Found) -> sa.ColumnElement[bool]:
    """Return that a finding is still in the state in which it was read."""
    return sa.and_(
        FINDINGS.c.finding_id == finding["finding_id"], FINDINGS.c.state == finding["state"]
    )


def _with_detail(deed: int, detail: str) -> sa.Update:
    return sa.update(DEEDS).where(DEEDS.c.number == deed).values(detail=detail)


def _deed(finding: Found, actor: str, now: str, action: str, detail: str) -> Found:
    return {
        "finding_id": finding["finding_id"],
        "at": now,
        "actor": actor,
        "action": action,
        "detail": detail,
    }
