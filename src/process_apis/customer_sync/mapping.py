"""Customers, conflicts and looks in the words of the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portico.crossref.records import Link
from portico.workflow.state import WorkflowState
from process_apis.customer_sync.fields import SYSTEMS
from process_apis.customer_sync.starting import MERGE, SYNC

Json = dict[str, Any]
_MAX_CAUSE = 10_000
_PHASES = {"waiting": "running", "running": "running", "succeeded": "done"}


def summary(row: Mapping[str, Any]) -> Json:
    """Return a customer as a list has it."""
    shown: Json = {"id": row["customer_id"], "syncedAt": row["synced_at"]}
    if "name" in row["agreed"]:
        shown["name"] = row["agreed"]["name"]
    return {**shown, **_waiting(row)}


def customer(
    row: Mapping[str, Any],
    links: Sequence[Link],
    conflicts: Sequence[Mapping[str, Any]],
    notes: Sequence[Mapping[str, Any]],
) -> Json:
    """Return a customer across the systems."""
    return {
        "id": row["customer_id"],
        "syncedAt": row["synced_at"],
        **_waiting(row),
        "agreed": row["agreed"],
        "links": [_link(link) for link in links],
        "openConflicts": [conflict["conflict_id"] for conflict in conflicts],
        "history": [_note(note) for note in notes],
    }


def _waiting(row: Mapping[str, Any]) -> Json:
    if not row["waiting_for"]:
        return {}
    return {"waitingFor": row["waiting_for"], "cause": row["cause"]}


def _link(link: Link) -> Json:
    return {
        "system": link.key.system,
        "instance": link.key.instance,
        "id": link.external_id,
        "state": link.state,
    }


def _note(note: Mapping[str, Any]) -> Json:
    shown = {"at": note["at"], "kind": note["kind"], "detail": note["detail"]}
    return {**shown, "by": note["actor"]} if note["actor"] else shown


def conflict(row: Mapping[str, Any]) -> Json:
    """Return a conflict."""
    shown: Json = {
        "id": row["conflict_id"],
        "kind": row["kind"],
        "subject": row["subject"],
        "state": row["state"],
        "openedAt": row["opened_at"],
    }
    if row["customer_id"]:
        shown["customerId"] = row["customer_id"]
    for name in ("said", "candidates", "cause"):
        if name in row["detail"]:
            shown[name] = row["detail"][name]
    if row["state"] != "open":
        shown["resolvedAt"] = row["resolved_at"]
        shown["resolution"] = row["resolution"]
        if row["resolved_by"]:
            shown["resolvedBy"] = row["resolved_by"]
    return shown


def systems(looks: Mapping[str, Mapping[str, Any]]) -> Json:
    """Return the last look at each system."""
    return {"items": [_system(name, looks.get(name)) for name in SYSTEMS]}


def _system(name: str, look: Mapping[str, Any] | None) -> Json:
    shown: Json = {"system": name, "complete": False}
    if look is None:
        return shown
    shown["complete"] = look["complete"]
    if look["instance"]:
        shown["instance"] = look["instance"]
    for member in ("lookedAt", "watermark", "seen", "echoes", "started"):
        if member in look["last"]:
            shown[member] = look["last"][member]
    if look["last"].get("cause"):
        shown["cause"] = look["last"]["cause"][:1000]
    return shown


def sync(state: WorkflowState) -> Json | None:
    """Return a sync or a merge, None for a run of another kind."""
    if state.name not in {SYNC, MERGE}:
        return None
    shown: Json = {"id": state.workflow_id, "phase": _PHASES.get(state.phase, "dead")}
    named = state.payload.get("customerId") or state.payload.get("survivorId")
    shown["customerId"] = named
    if shown["phase"] == "dead":
        shown["cause"] = state.error[:_MAX_CAUSE]
    if isinstance(state.result, dict):
        shown.update(state.result)
    return shown
