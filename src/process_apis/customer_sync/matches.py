"""Finding out which customer a record is, and merging two that are one.

These runs go one after the other, so that two records of one customer never become two customers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dbos import DBOS

from portico.crossref.records import (
    Claim,
    ClaimedError,
    ClaimLostError,
    DeletedError,
    Key,
    Link,
    TakenError,
)
from portico.problems import Problem
from portico.server.call import combine
from process_apis.customer_sync.app import Parts
from process_apis.customer_sync.conflicts import Finding
from process_apis.customer_sync.matching import (
    Candidate,
    Identity,
    Likeness,
    Match,
    choose,
    likeness,
)
from process_apis.customer_sync.starting import start_sync
from process_apis.customer_sync.store import ENTITY, key_of, now, put_row
from process_apis.customer_sync.tables import NOTES

# 16 hexadecimal digits are 64 bits; the id has to fit where systems keep keys.
_ID_DIGITS = 16
_PLACE = ("system", "instance", "external_id")


class Matches:
    """The workflows of matching and merging."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def run(self, payload: Mapping[str, Any]) -> dict[str, int]:
        """Find out which customers some records are, and bring those into step."""
        outcomes: Counter[str] = Counter()
        for given in payload["places"]:
            place = {name: str(given[name]) for name in _PLACE}
            run_id = str(DBOS.workflow_id)
            outcomes[await DBOS.run_step_async({"name": "match"}, self._match, place, run_id)] += 1
        return dict(outcomes)

    async def merge(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Let one customer stand for another one from now on."""
        found = await DBOS.run_step_async({"name": "merge"}, self._merge, payload)
        return dict(found)

    async def _match(self, place: Mapping[str, str], run_id: str) -> str:
        parts = self._parts
        record = await parts.records.find(place)
        if record is None or record["state"] == "gone":
            return "gone"
        customer_id = await self._known(place)
        if not customer_id:
            match = await self._decided(place) or await self._judge(place, record["identity"])
            if match is None:
                return "later"
            if match.unclear:
                await self._ask(place, match, run_id)
                return "unclear"
            customer_id = match.customer_id or new_id(place)
            if not await self._link(place, customer_id):
                return "later"
        try:
            await start_sync(parts.durable, customer_id, run_id)
        except Problem:
            # The workflow database is away: the record is new until that is done.
            return "later"
        await parts.records.set_state(place, "matched")
        await self._settle(place)
        return "matched"

    async def _known(self, place: Mapping[str, str]) -> str:
        link = await self._parts.references.find_external(
            ENTITY, place["system"], place["instance"], place["external_id"]
        )
        if link is None:
            return ""
        return await self._parts.references.survivor(ENTITY, link.key.canonical_id)

    async def _judge(self, place: Mapping[str, str], identity: Identity) -> Match | None:
        """Return what a record is, by the records it is like; None while that is not clear yet."""
        alike: dict[str, Likeness] = {}
        for other in await self._parts.records.alike(identity):
            known = await self._known(_place(other))
            if known and _place(other) != dict(place) and alike.get(known) != "same":
                alike[known] = likeness(identity, other["identity"])
        for key in sorted(identity.keys):
            # What we created has the customer's own id as its key.
            owner = await self._parts.references.survivor(ENTITY, key.upper())
            if await self._parts.customers.find(owner) is not None:
                alike[owner] = "same"
        candidates = []
        for known in sorted(alike):
            link = await self._parts.references.find(_key(place, known))
            pending = link is not None and link.state == "pending"
            if pending and await self._claim(place, known) is None:
                # What is created there now may be this record: once that is linked, it is clear.
                return None
            taken = link is not None and not pending
            candidates.append(Candidate(customer_id=known, likeness=alike[known], taken=taken))
        return choose(candidates)

    async def _claim(self, place: Mapping[str, str], customer_id: str) -> Claim | Link | None:
        """Return the right to link a record, or the link; None while another has the right."""
        try:
            return await self._parts.references.claim(_key(place, customer_id), customer_id, 0.0)
        except (ClaimedError, DeletedError, TakenError):
            return None

    async def _link(self, place: Mapping[str, str], customer_id: str) -> bool:
        """Link a record; False if that is not possible now."""
        await self._parts.customers.begin(customer_id)
        claim = await self._claim(place, customer_id)
        if isinstance(claim, Claim):
            with suppress(ClaimLostError, TakenError):
                await self._parts.references.link(claim, place["external_id"])
        return await self._known(place) == customer_id

    async def _ask(self, place: Mapping[str, str], match: Match, run_id: str) -> None:
        finding = Finding(
            kind="match",
            customer_id="",
            subject=subject_of(place),
            detail={"candidates": list(match.unclear), "place": dict(place)},
        )
        await self._parts.conflicts.open(finding, run_id)
        await self._parts.records.set_state(place, "unclear")

    async def _decided(self, place: Mapping[str, str]) -> Match | None:
        """Return what somebody decided a record to be."""
        conflict = await self._parts.conflicts.about_record(subject_of(place))
        if conflict is None or conflict["state"] != "decided":
            return None
        chosen = str(conflict["resolution"].get("customerId", ""))
        return Match(customer_id=await self._parts.references.survivor(ENTITY, chosen))

    async def _settle(self, place: Mapping[str, str]) -> None:
        conflict = await self._parts.conflicts.about_record(subject_of(place))
        if conflict is not None:
            await self._parts.conflicts.carried_out([conflict["conflict_id"]])

    async def _merge(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        parts = self._parts
        merged_id, survivor_id = str(payload["mergedId"]), str(payload["survivorId"])
        try:
            if await parts.references.survivor(ENTITY, merged_id) != survivor_id:
                if place := payload.get("place"):
                    # Before the id leads to the survivor, whose record there lives on.
                    await parts.references.bury(_key(place, merged_id))
                await parts.references.merge(ENTITY, merged_id, survivor_id)
        except TakenError as error:
            return {"phase": "done", "cause": str(error), "customerId": survivor_id}
        await parts.references.take_over(ENTITY, merged_id, survivor_id)
        await parts.conflicts.pass_on(merged_id, survivor_id)
        await parts.customers.forget(merged_id)
        note = {
            "note_id": combine("merged", merged_id, survivor_id),
            "customer_id": survivor_id,
            "at": now(),
            "kind": "merged",
            "detail": {"customerId": merged_id, **payload.get("place", {})},
            "actor": str(payload.get("actor", "")),
        }
        await parts.database.run(lambda connection: put_row(connection, NOTES, note))
        await start_sync(parts.durable, survivor_id, f"merge {merged_id}")
        return {"phase": "done", "customerId": survivor_id}


def new_id(place: Mapping[str, str]) -> str:
    """Return the id of the customer that a record begins: the same whenever it is asked for."""
    digest = combine("customer", place["system"], place["instance"], place["external_id"])
    return f"CU-{digest[:_ID_DIGITS].upper()}"


def subject_of(place: Mapping[str, str]) -> str:
    """Return what a conflict about a record is called."""
    return f"{place['system']} {place['instance']} {place['external_id']}"


def _key(place: Mapping[str, str], customer_id: str) -> Key:
    return key_of(customer_id, place["system"], place["instance"])


def _place(record: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(record[name]) for name in _PLACE}
