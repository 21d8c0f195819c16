"""Bringing one customer into step: read it everywhere, decide, write, and keep what is known then.

A run ends where it is ended, and is taken up again from its journal. What is written carries a
key of the run, and a new record is claimed before it is created, so that writing again does
nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dbos import DBOS

from portico.crossref.creating import LEASE_MARGIN_SECONDS
from portico.crossref.records import (
    Claim,
    ClaimedError,
    ClaimLostError,
    DeletedError,
    Link,
    TakenError,
)
from portico.problems import CONFLICT, NOT_FOUND, UNAVAILABLE
from portico.workflow.steps import STEP_SECONDS, Failure, Outcome, Steps
from process_apis.customer_sync.app import Parts
from process_apis.customer_sync.decision import (
    Decision,
    Side,
    decide,
    look_back,
    postpone,
    settle,
)
from process_apis.customer_sync.fields import body_of, is_gone, values_of
from process_apis.customer_sync.keeping import Keeping
from process_apis.customer_sync.looks import BOOKS, CRM, ERP, Looks
from process_apis.customer_sync.matching import identity_of, likeness
from process_apis.customer_sync.store import key_of

Json = dict[str, Any]
# An attempt ends with its step; what it sent may arrive a little later.
LEASE_SECONDS = STEP_SECONDS + LEASE_MARGIN_SECONDS


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What the systems say of the customer now."""

    sides: dict[str, Side] = field(default_factory=dict)
    records: list[Mapping[str, Any]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Writing:
    """What became of what was written."""

    sides: dict[str, Side] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)


class Syncs:
    """The workflow of one customer."""

    def __init__(self, steps: Steps, parts: Parts, looks: Looks) -> None:
        self._parts = parts
        self._looks = looks
        self._keeping = Keeping(parts)
        self._get = {
            "salesforce": steps.call(CRM, "getCustomer"),
            "tryton": steps.call(ERP, "getCustomer"),
            "quickbooks": steps.call(BOOKS, "getCustomer"),
        }
        self._change = {
            "salesforce": steps.call(CRM, "changeCustomer"),
            "tryton": steps.call(ERP, "putCustomer"),
            "quickbooks": steps.call(BOOKS, "changeCustomer"),
        }
        self._create = {
            "salesforce": (steps.call(CRM, "putCustomer"), "externalKey"),
            "tryton": (steps.call(ERP, "putCustomer"), "customerId"),
            "quickbooks": (steps.call(BOOKS, "putCustomer"), "externalKey"),
        }

    async def run(self, payload: Mapping[str, Any]) -> Json:
        """Bring a customer into step."""
        loaded = await DBOS.run_step_async(
            {"name": "load"}, self._keeping.load, str(payload["customerId"])
        )
        if not loaded:
            return {"phase": "done", "cause": "there is no such customer any more"}
        reading = await self._read(loaded)
        create_in = await self._creatable(loaded, reading)
        decision = decide(
            loaded["agreed"],
            list(reading.sides.values()),
            self._parts.settings.owner_by_field,
            loaded["disputed"],
            create_in,
        )
        writing = await self._write(loaded, reading, decision)
        outcome = _outcome(loaded, reading, decision, writing)
        await DBOS.run_step_async(
            {"name": "keep"}, self._keeping.keep, outcome, str(DBOS.workflow_id)
        )
        return _shown(outcome)

    async def _read(self, loaded: Json) -> _Reading:
        reading = _Reading()
        for system, known in loaded["sides"].items():
            outcome = await self._get[system]({"customerId": known["externalId"]})
            failure = outcome.failure
            side = Side(system=system, now=None, seen=known["seen"], sent=known["sent"])
            if failure is not None and failure.status != NOT_FOUND.status:
                reading.sides[system] = side
                reading.waiting.append((system, str(failure)))
            elif failure is not None or is_gone(outcome.body):
                reading.gone.append(system)
            else:
                now = values_of(outcome.body)
                reading.sides[system] = Side(system=system, now=now, seen=side.seen, sent=side.sent)
                reading.records.append(outcome.body)
        return reading

    async def _creatable(self, loaded: Json, reading: _Reading) -> list[str]:
        """Return the systems that the customer is to be created in now."""
        if all(record["status"] == "prospect" for record in reading.records):
            return []
        found = []
        for system in loaded["lacking"]:
            cause = await self._obstacle(system, loaded, reading.records)
            if cause:
                reading.waiting.append((system, cause))
            else:
                found.append(system)
        return found

    async def _obstacle(
        self, system: str, loaded: Json, records: Sequence[Mapping[str, Any]]
    ) -> str:
        """Return why a customer cannot be created in a system yet, empty if it can."""
        if not loaded["complete"].get(system):
            return f"{system} was not looked through yet"
        if not loaded["instances"].get(system):
            return f"the instance of {system} is not known: set it under instances"
        if loaded["claimed"].get(system) and system == "quickbooks":
            # It shows no key; its connector knows the record of ours, and creates none twice.
            return ""
        # Somebody may have made it there since the last look.
        looked = await self._looks.look(system)
        if looked["cause"]:
            return str(looked["cause"])
        return await DBOS.run_step_async(
            {"name": f"look for it in {system}"},
            self._resembling,
            system,
            str(loaded["customerId"]),
            records,
        )

    async def _resembling(
        self, system: str, customer_id: str, records: Sequence[Mapping[str, Any]]
    ) -> str:
        for record in records:
            identity = identity_of(record)
            for other in await self._parts.records.alike(identity, system):
                own = customer_id.lower() in other["identity"].keys
                unmatched = other["state"] != "matched" and not own
                if unmatched and likeness(identity, other["identity"]) != "other":
                    return f"{other['external_id']} may be it, and is to be matched first"
        return ""

    async def _write(self, loaded: Json, reading: _Reading, decision: Decision) -> _Writing:
        writing = _Writing()
        for system, side in reading.sides.items():
            writing.sides[system] = look_back(side, decision, loaded["disputed"])
        for system, values in decision.writes.items():
            if system in reading.sides:
                external_id = loaded["sides"][system]["externalId"]
                outcome = await self._change[system](
                    {"customerId": external_id}, body=body_of(values), item="change"
                )
            else:
                outcome = await self._create_in(system, loaded, values)
            self._note(writing, system, values, outcome)
        return writing

    async def _create_in(self, system: str, loaded: Json, values: Mapping[str, Any]) -> Outcome:
        """Create the customer under its own id: claimed first, linked when it is there."""
        customer_id = str(loaded["customerId"])
        key = {"system": system, "instance": loaded["instances"][system]}
        claim = await DBOS.run_step_async(
            {"name": f"claim {system}"}, self._claim, customer_id, key
        )
        if not claim:
            return Outcome(failure=_just_now(system))
        create, parameter = self._create[system]
        outcome = await create({parameter: customer_id}, body=body_of(values), item="create")
        await DBOS.run_step_async(
            {"name": f"link {system}"}, self._link, customer_id, claim, outcome
        )
        return outcome

    async def _claim(self, customer_id: str, key: Mapping[str, str]) -> dict[str, str]:
        """Claim the record; empty if it was matched meanwhile, or an attempt may be under way."""
        references = self._parts.references
        wanted = key_of(customer_id, key["system"], key["instance"])
        try:
            claim = await references.claim(wanted, customer_id, LEASE_SECONDS)
        except (ClaimedError, DeletedError):
            return {}
        return {} if isinstance(claim, Link) else {**key, "owner": claim.owner}

    async def _link(self, customer_id: str, claimed: Mapping[str, str], outcome: Outcome) -> None:
        """Link what was created, or give the claim back where nothing was."""
        references = self._parts.references
        key = key_of(customer_id, claimed["system"], claimed["instance"])
        owner = claimed["owner"]
        claim = Claim(
            key=key, external_key=customer_id, operation_id="", owner=owner, resumed=False
        )
        # The claim is lost if this was done before, or its time was up and the record was matched.
        with suppress(ClaimLostError, TakenError):
            if outcome.failure is None:
                await references.link(claim, str(outcome.body["id"]))
            elif outcome.failure.status == UNAVAILABLE.status:
                await references.give_up(claim)
            elif not outcome.failure.passing:
                await references.release(claim)

    def _note(
        self, writing: _Writing, system: str, values: Mapping[str, Any], outcome: Outcome
    ) -> None:
        side, failure = writing.sides.get(system, Side(system=system, now={})), outcome.failure
        if failure is None:
            writing.written.append(system)
            writing.sides[system] = settle(side, values, values_of(outcome.body))
        elif failure.passing:
            writing.waiting.append((system, str(failure)))
            if system in writing.sides:
                writing.sides[system] = postpone(side, values)
        else:
            writing.refused.append((system, str(failure)))
            if system in writing.sides:
                # It is not told again before somebody says so, or something else is agreed.
                writing.sides[system] = settle(side, values, side.now or {})


def _just_now(system: str) -> Failure:
    detail = f"it was just matched in {system}, or is being created there"
    return Failure(status=CONFLICT.status, title="", detail=detail, system=system, passing=True)


def _outcome(loaded: Json, reading: _Reading, decision: Decision, writing: _Writing) -> Json:
    """Return what is to be kept, as JSON."""
    waiting = [*reading.waiting, *writing.waiting]
    return {
        "customerId": loaded["customerId"],
        "instances": loaded["instances"],
        "agreed": dict(decision.agreed),
        "sides": {
            system: {"seen": dict(side.seen), "sent": dict(side.sent)}
            for system, side in writing.sides.items()
        },
        "disputes": [{"field": each.field, "said": dict(each.said)} for each in decision.disputes],
        "putBack": [
            {"system": each.system, "field": each.field, "value": each.value}
            for each in decision.put_back
        ],
        "refused": writing.refused,
        "gone": {system: loaded["sides"][system]["externalId"] for system in reading.gone},
        "written": writing.written,
        "decided": loaded["decided"],
        "leftOut": loaded["leftOut"],
        "waitingFor": waiting[0][0] if waiting else "",
        "cause": waiting[0][1] if waiting else "",
    }


def _shown(outcome: Json) -> Json:
    """Return what a run came to, for those who follow it; values of fields are not in it."""
    shown = {
        "phase": "waiting" if outcome["waitingFor"] else "done",
        "customerId": outcome["customerId"],
        "written": sorted(outcome["written"]),
        "conflicts": len(outcome["disputes"]) + len(outcome["refused"]),
    }
    return {**shown, "cause": outcome["cause"]} if outcome["cause"] else shown
