"""What a sync begins with, and what is kept of it. Keeping it again does nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from portico.server.call import combine
from process_apis.customer_sync.app import Parts
from process_apis.customer_sync.conflicts import Finding, decided_value
from process_apis.customer_sync.fields import SYSTEMS, hash_of
from process_apis.customer_sync.store import ENTITY, key_of, now, put_row
from process_apis.customer_sync.tables import CUSTOMERS, NOTES

Json = dict[str, Any]
# What a system says of its refusal is for people; they do not read more.
MAX_CAUSE = 1000


class Keeping:
    """Loads and keeps customers, their links and their conflicts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def load(self, customer_id: str) -> Json:
        """Return what is known of a customer, what was decided about it applied; empty if none."""
        parts = self._parts
        customer_id = await parts.references.survivor(ENTITY, customer_id)
        row = await parts.customers.find(customer_id)
        if row is None:
            return {}
        looks = await parts.looks.all()
        loaded: Json = {
            "customerId": customer_id,
            "agreed": dict(row["agreed"]),
            "sides": {},
            "disputed": {},
            "decided": [],
            "leftOut": [s for s in SYSTEMS if row["sides"].get(s, {}).get("leftOut")],
            "instances": {system: look["instance"] for system, look in looks.items()},
            "complete": {system: look["complete"] for system, look in looks.items()},
            "claimed": {},
        }
        await self._add_links(loaded, row["sides"])
        for conflict in await parts.conflicts.pending(customer_id):
            _apply(loaded, conflict)
        wanted, held = parts.settings.create_in, loaded.pop("held")
        loaded["lacking"] = [
            system for system in wanted if system not in {*held, *loaded["leftOut"]}
        ]
        return loaded

    async def _add_links(self, loaded: Json, sides: Mapping[str, Any]) -> None:
        """Add what the customer is in each system; `held` are those where it is or was."""
        loaded["held"] = []
        for system, instance in loaded["instances"].items():
            key = key_of(loaded["customerId"], system, instance)
            link = await self._parts.references.find(key)
            if link is None or link.state == "pending":
                loaded["claimed"][system] = link is not None
                continue
            loaded["held"].append(system)
            if link.state == "linked":
                known = sides.get(system, {})
                loaded["sides"][system] = {
                    "externalId": link.external_id,
                    "seen": known.get("seen", {}),
                    "sent": known.get("sent", {}),
                }

    async def keep(self, outcome: Json, run_id: str) -> None:
        """Keep what a sync came to, unless the customer was merged meanwhile."""
        customer_id = outcome["customerId"]
        if await self._parts.references.survivor(ENTITY, customer_id) != customer_id:
            return
        for number, finding in enumerate(_findings(outcome)):
            await self._parts.conflicts.open(finding, f"{run_id} {number}")
        await self._note_links(outcome)
        notes = _notes(outcome, run_id)
        row = _row(outcome)

        def keep(connection: sa.Connection) -> None:
            put_row(connection, CUSTOMERS, row)
            for note in notes:
                put_row(connection, NOTES, note)

        await self._parts.database.run(keep)
        await self._parts.conflicts.carried_out(outcome["decided"])

    async def _note_links(self, outcome: Json) -> None:
        references, instances = self._parts.references, outcome["instances"]
        for system, side in outcome["sides"].items():
            key = key_of(outcome["customerId"], system, instances[system])
            await references.note_write(key, version="", written_hash=hash_of(side["seen"]))
        for system, external_id in outcome["gone"].items():
            key = key_of(outcome["customerId"], system, instances[system])
            link = await references.find(key)
            if link is not None and link.external_id == external_id:
                await references.bury(key)


def _apply(loaded: Json, conflict: Mapping[str, Any]) -> None:
    """Take an open conflict into account, or what somebody decided."""
    subject, kind = str(conflict["subject"]), conflict["kind"]
    if conflict["state"] == "open":
        if kind == "field":
            loaded["disputed"][subject] = conflict["detail"]["said"]
        elif kind == "refusal" and subject not in loaded["sides"]:
            loaded["held"].append(subject)
        return
    loaded["decided"].append(conflict["conflict_id"])
    if kind == "field":
        loaded["agreed"][subject] = decided_value(conflict)
    elif conflict["resolution"]["action"] == "leave":
        loaded["leftOut"] += [] if subject in loaded["sides"] else [subject]
    elif subject in loaded["sides"]:
        # Nothing that it says otherwise was told to it, then: it is told again.
        side = loaded["sides"][subject]
        side["sent"] = {n: v for n, v in side["sent"].items() if side["seen"].get(n) == v}


def _findings(outcome: Json) -> list[Finding]:
    customer_id = outcome["customerId"]
    disputes = [
        Finding(
            kind="field",
            customer_id=customer_id,
            subject=each["field"],
            detail={"said": each["said"]},
        )
        for each in outcome["disputes"]
    ]
    refusals = [
        Finding(
            kind="refusal",
            customer_id=customer_id,
            subject=system,
            detail={"cause": cause[:MAX_CAUSE]},
        )
        for system, cause in outcome["refused"]
    ]
    return [*disputes, *refusals]


def _notes(outcome: Json, run_id: str) -> list[Json]:
    events = [("put-back", each) for each in outcome["putBack"]]
    events += [("deleted", {"system": system}) for system in outcome["gone"]]
    return [
        {
            "note_id": combine("note", run_id, str(number)),
            "customer_id": outcome["customerId"],
            "at": now(),
            "kind": kind,
            "detail": detail,
            "actor": "",
        }
        for number, (kind, detail) in enumerate(events)
    ]


def _row(outcome: Json) -> Json:
    sides = {**outcome["sides"], **{system: {"leftOut": True} for system in outcome["leftOut"]}}
    return {
        "customer_id": outcome["customerId"],
        "agreed": outcome["agreed"],
        "sides": sides,
        "waiting_for": outcome["waitingFor"],
        "cause": outcome["cause"][:MAX_CAUSE],
        "synced_at": now(),
    }
