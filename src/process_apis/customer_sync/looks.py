"""Looking at the changes of a system: from a while before the last one, each once, some at a time.

The ERP's list is in the order of its ids and the CRM's in that of changes. Either is gone through
to its end, over several looks if it is long, before the watermark moves on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from dbos import DBOS

from portico.connectors.moments import from_text, timestamp
from portico.connectors.watermarks import Change, Watermark, fresh_changes
from portico.problems import Problem
from portico.server.call import combine
from portico.workflow.steps import Outcome, Steps
from process_apis.customer_sync.app import Parts
from process_apis.customer_sync.fields import hash_of, is_gone, merged_into, values_of
from process_apis.customer_sync.starting import start_match, start_merge, start_sync
from process_apis.customer_sync.store import ENTITY, place_of

CRM, ERP, BOOKS = "system/salesforce.v1", "system/tryton.v1", "system/quickbooks.v1"
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
PAGE = 100
# One look takes in at most so much: 2,000 records are a minute's work, and the journal keeps it.
MAX_PAGES = 20
# QuickBooks tells of the changes of 30 days, and of at most 1,000; beyond, all is listed again.
BOOKS_DAYS = timedelta(days=29)
BOOKS_CHANGES = 1000


# What a change calls for.
Taken = Literal["nothing", "match", "sync", "merge"]


class LookError(Exception):
    """A system did not answer, or does not what it was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the records that were changed, and where the next ones are."""

    records: Sequence[Mapping[str, Any]]
    cursor: str = ""


class Looks:
    """The workflow that the clock starts for each system, and what a sync looks with itself."""

    def __init__(self, steps: Steps, parts: Parts) -> None:
        self._parts = parts
        self._lists = {
            "salesforce": steps.call(CRM, "listCustomers"),
            "tryton": steps.call(ERP, "listCustomers"),
            "quickbooks": steps.call(BOOKS, "listCustomers"),
        }
        self._list_changes = steps.call(BOOKS, "listChanges")
        self._get_from_books = steps.call(BOOKS, "getCustomer")

    async def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Take up again what waits for a system, and look at it."""
        system, run_id = str(payload["system"]), str(DBOS.workflow_id)
        await DBOS.run_step_async({"name": "start what waits"}, self._start_waiting, system, run_id)
        return await self.look(system)

    async def look(self, system: str) -> dict[str, Any]:
        """Take in what was changed in a system. A look that fails is made again by the next one."""
        begun = await DBOS.run_step_async({"name": f"begin {system}"}, self._begin, system)
        counts = {"seen": 0, "echoes": 0, "started": 0}
        cursor, pages, cause = begun["cursor"], 0, ""
        mark = _mark(begun["mark"])
        try:
            async for page in self._pages(system, begun):
                fresh, after = await fresh_changes(mark, _changes(page.records))
                taken = await DBOS.run_step_async(
                    {"name": f"take in {system}"}, self._take_in, system, fresh
                )
                _check(taken)
                counts = {name: counts[name] + taken[name] for name in counts}
                mark, cursor, pages = after, page.cursor, pages + 1
                if pages == MAX_PAGES:
                    break
        except LookError as error:
            cause = str(error)
        ended = {**begun, "cursor": cursor, "mark": _packed(mark), "cause": cause, **counts}
        await DBOS.run_step_async({"name": f"end {system}"}, self._end, system, ended)
        return {**counts, "cause": cause}

    async def _begin(self, system: str) -> dict[str, Any]:
        """Return where to go on, or begin at the watermark."""
        known = (await self._parts.looks.all()).get(system)
        last = known["last"] if known else {}
        instance = known["instance"] if known else ""
        if last.get("cursor"):
            return {name: last[name] for name in ("cursor", "since", "mark")} | {
                "instance": instance
            }
        mark = await self._parts.marks.read(system, instance, ENTITY) if instance else None
        mark = mark or Watermark(at=BEGINNING)
        since = mark.since() if mark.at > BEGINNING else BEGINNING
        if system == "quickbooks" and since < datetime.now(UTC) - BOOKS_DAYS:
            since = BEGINNING
        return {
            "cursor": "",
            "since": timestamp(since),
            "mark": _packed(mark),
            "instance": instance,
        }

    async def _pages(self, system: str, begun: Mapping[str, Any]) -> AsyncIterator[Page]:
        since, cursor = str(begun["since"]), str(begun["cursor"])
        in_books = system == "quickbooks"
        if in_books and not cursor and from_text(since) > BEGINNING:
            changes = _answer(await self._list_changes({"since": since, "entities": [ENTITY]}))
            if len(changes["items"]) < BOOKS_CHANGES:
                yield Page(records=await self._from_books(changes["items"], begun))
                return
        while True:
            arguments: dict[str, object] = {"limit": PAGE, "cursor": cursor or None}
            if not in_books:
                arguments["changedSince"] = since
            found = _answer(await self._lists[system](arguments, item=cursor))
            cursor = found.get("nextCursor", "")
            yield Page(records=found["items"], cursor=cursor)
            if not cursor:
                return

    async def _from_books(
        self, changes: Sequence[Mapping[str, Any]], begun: Mapping[str, Any]
    ) -> list[Mapping[str, Any]]:
        """Return the records that QuickBooks only names."""
        mark = _mark(begun["mark"])
        found: list[Mapping[str, Any]] = []
        for change in changes:
            record_id = str(change["recordId"])
            if change.get("deleted"):
                found.append(_tombstone(change, str(begun["instance"])))
                continue
            seen = mark.seen.get(record_id)
            if seen is not None and seen[0].startswith(f"{change['version']}-"):
                continue
            outcome = await self._get_from_books({"customerId": record_id}, item=record_id)
            if outcome.failure is not None and outcome.failure.status == 404:
                found.append(_tombstone(change, str(begun["instance"])))
                continue
            found.append(_answer(outcome))
        return found

    async def _take_in(self, system: str, fresh: Sequence[Change[Any]]) -> dict[str, Any]:
        """Know what was changed, and start what is to be done about it."""
        known = (await self._parts.looks.all()).get(system)
        instance = known["instance"] if known else ""
        found = {str(change.record["source"]["instance"]) for change in fresh}
        if instance and found - {instance}:
            # A sandbox has the same ids for other customers: nothing is to be mixed.
            return {"cause": f"{system} is now {', '.join(sorted(found))}, and was {instance}"}
        try:
            taken = [await self._take_in_one(change) for change in fresh]
            new = [change for change, what in zip(fresh, taken, strict=True) if what == "match"]
            if new:
                versions = combine(*(change.version for change in new))
                await start_match(self._parts.durable, [place_of(c.record) for c in new], versions)
        except Problem as problem:
            # The workflow database is away; the next look takes the same in.
            return {"cause": str(problem)}
        echoes = taken.count("nothing")
        return {
            "seen": len(fresh),
            "echoes": echoes,
            "started": len(fresh) - echoes,
            "cause": "",
        }

    async def _take_in_one(self, change: Change[Any]) -> Taken:
        """Know a record, and say what it calls for."""
        parts, place = self._parts, place_of(change.record)
        gone = is_gone(change.record)
        link = await parts.references.find_external(
            ENTITY, place["system"], place["instance"], place["external_id"]
        )
        if link is None:
            await parts.records.take_in(change.record, "gone" if gone else "new")
            return "nothing" if gone else "match"
        await parts.records.take_in(change.record, "gone" if gone else "matched")
        read_hash = hash_of(values_of(change.record))
        if not gone and link.is_echo(version="", read_hash=read_hash):
            return "nothing"
        customer_id = await parts.references.survivor(ENTITY, link.key.canonical_id)
        other = await self._master(change.record) if gone else ""
        if other and other != customer_id:
            await start_merge(parts.durable, customer_id, other, place=place)
            return "merge"
        await start_sync(parts.durable, customer_id, f"{place['system']} {change.version}")
        return "sync"

    async def _master(self, record: Mapping[str, Any]) -> str:
        """Return the customer whose record a record was merged into, empty if that is unknown."""
        references, place = self._parts.references, place_of(record)
        link = await references.find_external(
            ENTITY, place["system"], place["instance"], merged_into(record)
        )
        return "" if link is None else await references.survivor(ENTITY, link.key.canonical_id)

    async def _end(self, system: str, ended: Mapping[str, Any]) -> None:
        """Keep how far the look came; the watermark moves when a list was gone through."""
        parts, mark = self._parts, _mark(ended["mark"])
        instance = ended["instance"] or await self._instance(system)
        if not ended["cursor"] and not ended["cause"] and instance:
            await parts.marks.save(system, instance, ENTITY, mark)
        done = not ended["cursor"] and not ended["cause"]
        last = {**ended, "lookedAt": timestamp(datetime.now(UTC).replace(microsecond=0))}
        if mark.at > BEGINNING:
            last["watermark"] = timestamp(mark.at)
        await parts.looks.save(system, instance=instance, complete=done, last=last)

    async def _instance(self, system: str) -> str:
        """Return the instance of a system: that of any of its records, or as it is set."""
        found = await self._parts.records.instance_of(system)
        return found or self._parts.settings.instances.get(system, "")

    async def _start_waiting(self, system: str, run_id: str) -> None:
        """Start what waits for a system, if the last look got an answer from it."""
        parts = self._parts
        known = (await parts.looks.all()).get(system)
        if known is None or known["last"]["cause"]:
            return
        # What cannot be started now still waits for the next look.
        with suppress(Problem):
            for customer_id, synced_at in await parts.customers.waiting_for(system):
                # One that was not synced since is not started a second time.
                await start_sync(parts.durable, customer_id, f"waits since {synced_at}")
            if places := await parts.records.new(system):
                await start_match(parts.durable, places, run_id)


async def _changes(records: Sequence[Mapping[str, Any]]) -> AsyncIterator[Change[Any]]:
    """Yield records as changes; systems stamp to the second, so that the fields count as well."""
    for record in records:
        read = hash_of({**values_of(record), "gone": is_gone(record)})[:16]
        yield Change(
            id=str(record["id"]),
            version=f"{record.get('version', 0)}-{read}",
            changed_at=from_text(record["updatedAt"]),
            record=record,
        )


def _tombstone(change: Mapping[str, Any], instance: str) -> dict[str, Any]:
    """Return what is left of a customer of QuickBooks that is no more."""
    return {
        "id": change["recordId"],
        "updatedAt": change["changedAt"],
        "source": {"system": "quickbooks", "instance": instance},
        "name": "",
        "status": "inactive",
        "deleted": True,
    }


def _answer(outcome: Outcome) -> Any:
    if outcome.failure is not None:
        raise LookError(str(outcome.failure))
    return outcome.body


def _check(taken: Mapping[str, Any]) -> None:
    if taken["cause"]:
        raise LookError(taken["cause"])


def _mark(packed: Mapping[str, Any]) -> Watermark:
    seen = {name: (version, from_text(at)) for name, (version, at) in packed["seen"].items()}
    return Watermark(at=from_text(packed["at"]), seen=seen)


def _packed(mark: Watermark) -> dict[str, Any]:
    seen = {name: [version, timestamp(at)] for name, (version, at) in mark.seen.items()}
    return {"at": timestamp(mark.at), "seen": seen}
