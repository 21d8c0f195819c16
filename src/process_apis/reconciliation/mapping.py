"""Runs and findings in the words of the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from process_apis.reconciliation import models
from process_apis.reconciliation.findings import Found
from process_apis.reconciliation.runs import subjects_of
from process_apis.reconciliation.stage import Place

_TIMES = {"begunAt": "begun_at", "endedAt": "ended_at", "nextTryAt": "next_try_at"}
MAX_CAUSE = 10_000
MAX_DETAIL = 1000
MAX_VALUE = 400


def run(found: Mapping[str, str]) -> models.Run:
    """Return a run."""
    shown: dict[str, Any] = {
        "id": found["run_id"],
        "phase": found["phase"],
        "startedBy": found["started_by"],
        "subjects": subjects_of(found),
        "period": {"from": found["since"], "to": found["until"]},
        "requestedAt": found["requested_at"],
    }
    shown.update({name: found[column] for name, column in _TIMES.items() if found[column]})
    if found["cause"]:
        shown["cause"] = found["cause"][:MAX_CAUSE]
    return cast("models.Run", shown)


def detail(
    found: Mapping[str, str], places: Sequence[Place], counts: Mapping[str, int]
) -> dict[str, Any]:
    """Return a run and how far it came."""
    total = sum(counts.values())
    return {
        **run(found),
        "progress": [_progress(place) for place in places],
        "findings": {"total": total, "byKind": dict(counts)},
    }


def _progress(place: Place) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "work": place.work,
        "state": place.state,
        "pages": place.pages,
        "records": place.records,
    }
    if place.unmatched:
        shown["unmatched"] = place.unmatched
    return shown


def reported(found: Found) -> dict[str, Any]:
    """Return a difference as a run saw it."""
    records = orjson.loads(found["records"])
    shown: dict[str, Any] = {
        "id": found["finding_id"],
        "subject": found["subject"],
        "kind": found["kind"],
        "system": found["system"],
        "key": found["key"],
        "records": [{"system": system, "ids": ids} for system, ids in records.items()],
    }
    for name in ("expected", "found", "fix"):
        if found[name]:
            shown[name] = found[name][:MAX_VALUE]
    return shown


def finding(found: Found) -> dict[str, Any]:
    """Return a finding as it is now."""
    return {
        **reported(found),
        "state": found["state"],
        "firstSeenAt": found["first_seen_at"],
        "lastSeenAt": found["last_seen_at"],
        "lastRunId": found["last_run_id"],
    }


def with_history(found: Found, history: Sequence[Found]) -> dict[str, Any]:
    """Return a finding with what was done about it."""
    deeds = [
        {
            "at": deed["at"],
            "actor": deed["actor"],
            "action": deed["action"],
            "detail": deed["detail"][:MAX_DETAIL],
        }
        for deed in history
    ]
    return {**finding(found), "history": deeds}
