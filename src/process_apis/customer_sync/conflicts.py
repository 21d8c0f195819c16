"""What people are to decide: disputed fields, records that may be several customers, refusals.

A conflict is `open`, then `decided`, and `resolved` once the decision is carried out. Of one
subject one is not resolved at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from portico.crossref.engine import Database
from portico.problems import CONFLICT, NOT_FOUND, UNPROCESSABLE, Problem
from portico.server.call import combine
from process_apis.customer_sync.store import now, put_row
from process_apis.customer_sync.tables import CONFLICTS, NOTES

Kind = Literal["field", "match", "refusal"]
# Field disputes of a customer and refusals of its systems are a handful.
MAX_PENDING = 50
# Rows of a table that one transaction deletes, so that no other writer waits for long.
FORGOTTEN_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something to be decided, before it is a conflict."""

    kind: Kind
    customer_id: str
    subject: str
    detail: Mapping[str, Any]


class Conflicts:
    """The queue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, finding: Finding, cause: str) -> str:
        """Open a conflict, or add to the open one of its subject; return its id.

        `cause` is the run that found it: the same one opens it once.
        """
        named = (finding.customer_id, finding.kind, finding.subject)
        conflict_id = combine("conflict", cause, *named)
        row = {
            "conflict_id": conflict_id,
            "customer_id": finding.customer_id,
            "kind": finding.kind,
            "subject": finding.subject,
            "detail": dict(finding.detail),
            "state": "open",
            "opened_at": now(),
            "resolved_at": "",
            "resolved_by": "",
            "resolution": {},
        }

        def add(connection: sa.Connection) -> str:
            same = (
                (CONFLICTS.c.customer_id == finding.customer_id)
                & (CONFLICTS.c.kind == finding.kind)
                & (CONFLICTS.c.subject == finding.subject)
                & (CONFLICTS.c.state != "resolved")
            )
            wanted = sa.select(CONFLICTS.c.conflict_id, CONFLICTS.c.state).where(
                same | (CONFLICTS.c.conflict_id == conflict_id)
            )
            known = connection.execute(wanted).first()
            if known is None:
                connection.execute(sa.insert(CONFLICTS).values(**row))
                return conflict_id
            if known.state == "open":
                changed = sa.update(CONFLICTS).where(CONFLICTS.c.conflict_id == known.conflict_id)
                connection.execute(changed.values(detail=dict(finding.detail)))
            return str(known.conflict_id)

        return await self._database.run(add)

    async def pending(self, customer_id: str) -> list[Mapping[str, Any]]:
        """Return the conflicts of a customer that are not resolved."""
        wanted = (
            sa.select(CONFLICTS)
            .where(CONFLICTS.c.customer_id == customer_id, CONFLICTS.c.state != "resolved")
            .limit(MAX_PENDING)
        )
        rows = await self._database.run(lambda c: c.execute(wanted).mappings().all())
        return [dict(row) for row in rows]

    async def about_record(self, subject: str) -> Mapping[str, Any] | None:
        """Return the conflict about what customer a record is, unless it is resolved."""
        wanted = sa.select(CONFLICTS).where(
            CONFLICTS.c.kind == "match",
            CONFLICTS.c.subject == subject,
            CONFLICTS.c.state != "resolved",
        )
        row = await self._database.run(lambda c: c.execute(wanted).mappings().first())
        return None if row is None else dict(row)

    async def find(self, conflict_id: str) -> Mapping[str, Any]:
        """Return a conflict; raises Problem where there is none."""
        wanted = sa.select(CONFLICTS).where(CONFLICTS.c.conflict_id == conflict_id)
        row = await self._database.run(lambda c: c.execute(wanted).mappings().one_or_none())
        if row is None:
            raise Problem(NOT_FOUND, f"there is no conflict {conflict_id}")
        return dict(row)

    async def page(
        self, after: str, limit: int, filters: Mapping[str, str | None]
    ) -> list[Mapping[str, Any]]:
        """Return conflicts in the order of their ids, one more than the limit if there is."""
        wanted = sa.select(CONFLICTS).where(CONFLICTS.c.conflict_id > after)
        for name, value in filters.items():
            if value is not None:
                wanted = wanted.where(CONFLICTS.c[name] == value)
        wanted = wanted.order_by(CONFLICTS.c.conflict_id).limit(limit + 1)
        rows = await self._database.run(lambda c: c.execute(wanted).mappings().all())
        return [dict(row) for row in rows]

    async def decide(
        self, conflict_id: str, resolution: Mapping[str, Any], actor: str
    ) -> Mapping[str, Any]:
        """Keep what somebody decided. The same again is no other decision; another is a Problem."""
        at = now()

        def keep(connection: sa.Connection) -> Mapping[str, Any]:
            wanted = sa.select(CONFLICTS).where(CONFLICTS.c.conflict_id == conflict_id)
            row = connection.execute(wanted.with_for_update()).mappings().one()
            if row["state"] != "open":
                if row["resolution"] == dict(resolution):
                    return dict(row)
                raise Problem(CONFLICT, f"{row['resolved_by']} has resolved it otherwise")
            values = {
                "state": "decided",
                "resolution": dict(resolution),
                "resolved_at": at,
                "resolved_by": actor,
            }
            changed = sa.update(CONFLICTS).where(CONFLICTS.c.conflict_id == conflict_id)
            connection.execute(changed.values(**values))
            detail = {"conflictId": conflict_id, "subject": row["subject"], "is": dict(resolution)}
            note = {"customer_id": row["customer_id"], "at": at, "kind": "resolved"}
            identity = combine("resolved", conflict_id)
            put_row(
                connection,
                NOTES,
                {**note, "note_id": identity, "detail": detail, "actor": actor},
            )
            return {**row, **values}

        return await self._database.run(keep)

    async def carried_out(self, conflict_ids: Sequence[str]) -> None:
        """Note that what was decided is done."""
        done = CONFLICTS.c.conflict_id.in_(list(conflict_ids)) & (CONFLICTS.c.state == "decided")
        changed = sa.update(CONFLICTS).where(done).values(state="resolved")
        await self._database.run(lambda c: c.execute(changed))

    async def pass_on(self, customer_id: str, survivor_id: str) -> None:
        """Close what is open of a customer that was merged: the survivor's sync finds it anew."""
        mine = (CONFLICTS.c.customer_id == customer_id) & (CONFLICTS.c.state != "resolved")
        closed = {"state": "resolved", "resolution": {"mergedInto": survivor_id}}
        changed = sa.update(CONFLICTS).where(mine).values(**closed, resolved_at=now())
        await self._database.run(lambda c: c.execute(changed))

    async def forget(self, before: str) -> int:
        """Forget some of what was resolved before a moment, and of the notes of that time.

        Returns how many that was; nothing is left when it is none.
        """
        resolved = (CONFLICTS.c.state == "resolved") & (CONFLICTS.c.resolved_at < before)

        def delete(connection: sa.Connection) -> int:
            conflicts = _some(CONFLICTS.c.conflict_id, resolved, CONFLICTS.c.resolved_at)
            notes = _some(NOTES.c.note_id, NOTES.c.at < before, NOTES.c.at)
            return sum(connection.execute(each).rowcount for each in (conflicts, notes))

        return await self._database.run(delete)


def _some(key: sa.Column[str], old: sa.ColumnElement[bool], moment: sa.Column[str]) -> sa.Delete:
    """Return what deletes the oldest rows, found by their index and as many as are bearable."""
    oldest = sa.select(key).where(old).order_by(moment).limit(FORGOTTEN_AT_ONCE)
    return sa.delete(key.table).where(key.in_(oldest))


def check_resolution(conflict: Mapping[str, Any], resolution: Mapping[str, Any]) -> None:
    """Raise Problem for a resolution that does not answer what is asked."""
    detail: Mapping[str, Any] = conflict["detail"]
    kind = conflict["kind"]
    allowed = {"field": {"system", "value"}, "match": {"customerId", "action"}}
    if not resolution.keys() <= allowed.get(kind, {"action"}):
        raise Problem(UNPROCESSABLE, f"a conflict of kind {kind} is not resolved like that")
    if "system" in resolution and resolution["system"] not in detail["said"]:
        raise Problem(UNPROCESSABLE, f"{resolution['system']} says nothing of it")
    if "customerId" in resolution and resolution["customerId"] not in detail["candidates"]:
        raise Problem(UNPROCESSABLE, f"{resolution['customerId']} is not one of the candidates")
    if "value" in resolution:
        is_address = isinstance(resolution["value"], dict)
        if is_address != (conflict["subject"] == "billingAddress"):
            raise Problem(UNPROCESSABLE, f"{conflict['subject']} is not of that form")
    actions = {"match": {"new"}, "refusal": {"retry", "leave"}}
    if "action" in resolution and resolution["action"] not in actions[kind]:
        raise Problem(UNPROCESSABLE, f"the action is not one for a conflict of kind {kind}")


def decided_value(conflict: Mapping[str, Any]) -> Any:
    """Return what a field is to be, as somebody decided."""
    resolution = conflict["resolution"]
    if "system" in resolution:
        return conflict["detail"]["said"][resolution["system"]]
    return resolution["value"]
