"""The operations of customer-sync.v1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from portico.connectors.failures import as_problems
from portico.connectors.pages import from_cursor, no_such_page, page_reply
from portico.crossref.records import Key, Link
from portico.problems import CONFLICT, NOT_FOUND, Problem
from portico.server.call import Call, Reply, combine
from process_apis.customer_sync import mapping, models, starting
from process_apis.customer_sync.app import Parts
from process_apis.customer_sync.conflicts import check_resolution
from process_apis.customer_sync.store import ENTITY

_IDS = re.compile(r"CU-[0-9A-F]{16}|[0-9a-f]{40}")


async def list_synced_customers(
    call: Call[Parts], *, waiting: bool, limit: int, cursor: str | None = None
) -> Reply:
    """Return one page of customers."""
    after = _position(cursor)
    with as_problems():
        found = await call.resources.customers.page(after, limit, waiting=waiting)
    last = found[limit - 1]["customer_id"] if len(found) > limit else None
    filters = {"waiting": "true" if waiting else None, "limit": limit}
    return page_reply([mapping.summary(row) for row in found[:limit]], last, filters)


async def get_synced_customer(call: Call[Parts], *, customer_id: str) -> dict[str, Any]:
    """Return a customer across the systems."""
    parts = call.resources
    with as_problems():
        row = await _customer(parts, customer_id)
        customer_id = str(row["customer_id"])
        conflicts = await parts.conflicts.pending(customer_id)
        notes = await parts.customers.notes(customer_id)
        return mapping.customer(row, await _links(parts, customer_id), conflicts, notes)


async def start_sync(call: Call[Parts], *, customer_id: str, idempotency_key: str) -> Reply:
    """Start a sync; the same key of the same caller is the same one."""
    parts, caller = call.resources, call.caller
    with as_problems():
        row = await _customer(parts, customer_id)
    cause = combine(caller.client_id, caller.subject, idempotency_key)
    run_id = await starting.start_sync(parts.durable, str(row["customer_id"]), cause)
    return await _accepted(parts, run_id)


async def merge_customer(
    call: Call[Parts], *, customer_id: str, body: models.Merge, idempotency_key: str
) -> Reply:
    """Merge a customer into another; the ids name the merge, so the key is not needed."""
    del idempotency_key
    parts, into = call.resources, body["into"]
    with as_problems():
        survivor = await parts.references.survivor(ENTITY, into)
        merged = await parts.references.survivor(ENTITY, customer_id)
        if merged == survivor == into and customer_id == into:
            raise Problem(CONFLICT, "a customer is not merged into itself")
        if customer_id == survivor:
            raise Problem(CONFLICT, f"{into} was merged into {customer_id}")
        await _customer(parts, survivor)
        await _customer(parts, customer_id)
    run_id = await starting.start_merge(parts.durable, customer_id, survivor, actor=_actor(call))
    return await _accepted(parts, run_id)


async def get_sync(call: Call[Parts], *, sync_id: str) -> dict[str, Any]:
    """Return how far a sync came."""
    return await _sync(call.resources, sync_id)


async def list_conflicts(
    call: Call[Parts],
    *,
    limit: int,
    state: str | None = None,
    kind: str | None = None,
    customer_id: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of conflicts."""
    filters = {"state": state, "kind": kind, "customer_id": customer_id}
    after = _position(cursor)
    with as_problems():
        found = await call.resources.conflicts.page(after, limit, filters)
    last = found[limit - 1]["conflict_id"] if len(found) > limit else None
    shown = {"state": state, "kind": kind, "customerId": customer_id, "limit": limit}
    return page_reply([mapping.conflict(row) for row in found[:limit]], last, shown)


async def get_conflict(call: Call[Parts], *, conflict_id: str) -> dict[str, Any]:
    """Return a conflict."""
    with as_problems():
        return mapping.conflict(await call.resources.conflicts.find(conflict_id))


async def resolve_conflict(
    call: Call[Parts], *, conflict_id: str, body: models.Resolution
) -> dict[str, Any]:
    """Keep a decision and carry it out."""
    parts, resolution = call.resources, dict(body)
    with as_problems():
        conflict = await parts.conflicts.find(conflict_id)
        check_resolution(conflict, resolution)
        if "customerId" in resolution:
            await _check_free(parts, conflict["detail"]["place"], str(resolution["customerId"]))
        conflict = await parts.conflicts.decide(conflict_id, resolution, _actor(call))
    if conflict["kind"] == "match":
        await starting.start_match(parts.durable, [conflict["detail"]["place"]], conflict_id)
    else:
        await starting.start_sync(parts.durable, str(conflict["customer_id"]), conflict_id)
    return mapping.conflict(conflict)


async def list_synced_systems(call: Call[Parts]) -> dict[str, Any]:
    """Return the last look at each system."""
    with as_problems():
        return mapping.systems(await call.resources.looks.all())


def _position(cursor: str | None) -> str:
    """Return the id that a page begins after; raises Problem for a cursor never given out."""
    if cursor is None:
        return ""
    position = from_cursor(cursor)
    if _IDS.fullmatch(position) is None:
        raise no_such_page()
    return position


async def _customer(parts: Parts, customer_id: str) -> Mapping[str, Any]:
    survivor = await parts.references.survivor(ENTITY, customer_id)
    row = await parts.customers.find(survivor)
    if row is None:
        raise Problem(NOT_FOUND, f"there is no customer {customer_id}")
    return row


async def _links(parts: Parts, customer_id: str) -> list[Link]:
    found = []
    for system, look in (await parts.looks.all()).items():
        key = Key(entity=ENTITY, canonical_id=customer_id, system=system, instance=look["instance"])
        link = await parts.references.find(key)
        if link is not None:
            found.append(link)
    return found


async def _check_free(parts: Parts, place: Mapping[str, str], customer_id: str) -> None:
    """Raise Problem for a customer that has another record in the system of this one."""
    key = Key(
        entity=ENTITY,
        canonical_id=customer_id,
        system=place["system"],
        instance=place["instance"],
    )
    link = await parts.references.find(key)
    if link is not None and link.external_id != place["external_id"]:
        detail = f"{customer_id} is {link.external_id} in {place['system']} already"
        raise Problem(CONFLICT, f"{detail}; merge the two there, or let the record be a new one")


async def _accepted(parts: Parts, run_id: str) -> Reply:
    return Reply(
        status=202, body=await _sync(parts, run_id), headers=[("Location", f"syncs/{run_id}")]
    )


async def _sync(parts: Parts, sync_id: str) -> dict[str, Any]:
    state = await parts.durable.parts.workflows.status(sync_id)
    shown = mapping.sync(state) if state is not None else None
    if shown is None:
        raise Problem(NOT_FOUND, f"there is no sync {sync_id}")
    return shown


def _actor(call: Call[Parts]) -> str:
    """Return who asks: the person, or the client that acts for itself."""
    return call.caller.subject or call.caller.client_id
