"""The operations of reconciliation.v1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.connectors.pages import from_cursor, no_such_page, page_reply
from portico.problems import CONFLICT, Problem
from portico.server.call import Call, Caller, Reply, combine
from process_apis.reconciliation import findings, fixes, mapping, models, report
from process_apis.reconciliation.desk import Desk
from process_apis.reconciliation.domain import Kind, SubjectName, System
from process_apis.reconciliation.working import now

_FINDING_ID_LENGTH = 40


async def start_reconciliation(
    call: Call[Desk], *, body: models.NewRun, idempotency_key: str
) -> Reply:
    """Start a run; the same key of the same caller is the same run."""
    caller = call.caller
    run_id = f"rec-{combine(caller.client_id, caller.subject, idempotency_key)}"
    period: Any = body.get("period")
    found = await call.resources.start(run_id, caller.client_id, body.get("subjects", []), period)
    return Reply(status=202, body=mapping.run(found), headers=[("Location", f"runs/{run_id}")])


async def list_runs(call: Call[Desk], *, limit: int, cursor: str | None = None) -> Reply:
    """Return one page of runs."""
    after = None
    if cursor is not None:
        requested_at, blank, run_id = from_cursor(cursor).partition(" ")
        if not blank:
            raise no_such_page()
        after = (requested_at, run_id)
    found = await call.resources.runs.page(limit + 1, after)
    last = found[limit - 1] if len(found) > limit else None
    position = None if last is None else f"{last['requested_at']} {last['run_id']}"
    return page_reply([mapping.run(each) for each in found[:limit]], position, {"limit": limit})


async def get_run(call: Call[Desk], *, run_id: str) -> dict[str, Any]:
    """Return a run and how far it came."""
    desk = call.resources
    found = await desk.under_way(run_id)
    return mapping.detail(found, await desk.stage.places(run_id), await desk.runs.counts(run_id))


async def get_report(call: Call[Desk], *, run_id: str) -> Reply:
    """Return what a run found, as the caller prefers it."""
    desk = call.resources
    found = await desk.run(run_id)
    if call.media_type == report.CSV:
        name = f'attachment; filename="{run_id.replace(":", "")}.csv"'
        headers = [("Content-Disposition", name)]
        content = report.as_csv(desk.findings, found)
        return Reply(body=content, media_type=report.CSV, headers=headers)
    return Reply(body=report.as_json(desk.findings, found), media_type=report.JSON)


async def list_findings(
    call: Call[Desk],
    *,
    limit: int,
    run_id: str | None = None,
    subject: SubjectName | None = None,
    kind: Kind | None = None,
    system: System | None = None,
    state: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of findings."""
    after = "" if cursor is None else from_cursor(cursor)
    if cursor is not None and len(after) != _FINDING_ID_LENGTH:
        raise no_such_page()
    chosen: Mapping[str, str | None] = {
        "subject": subject,
        "kind": kind,
        "system": system,
        "state": state,
    }
    found = await call.resources.findings.page(limit + 1, after, run_id, chosen)
    position = found[limit - 1]["finding_id"] if len(found) > limit else None
    filters = {**chosen, "runId": run_id, "limit": limit}
    return page_reply([mapping.finding(each) for each in found[:limit]], position, filters)


async def get_finding(call: Call[Desk], *, finding_id: str) -> dict[str, Any]:
    """Return a finding with its history."""
    found = await call.resources.finding(finding_id)
    return mapping.with_history(found, await call.resources.findings.history(finding_id))


async def fix_finding(call: Call[Desk], *, finding_id: str) -> dict[str, Any]:
    """Fix what is open; what was fixed is not fixed again."""
    found = await call.resources.finding(finding_id)
    if found["state"] in {findings.ACKNOWLEDGED, findings.RESOLVED}:
        raise _conflict(found)
    if found["state"] == findings.OPEN:
        await _fix(call, found)
    return await get_finding(call, finding_id=finding_id)


async def acknowledge_finding(
    call: Call[Desk], *, finding_id: str, body: models.Acknowledgement
) -> dict[str, Any]:
    """Accept a difference as it is."""
    found = await call.resources.finding(finding_id)
    if found["state"] == findings.RESOLVED:
        raise _conflict(found)
    if found["state"] != findings.ACKNOWLEDGED:
        actor, reason = _actor(call.caller), body["reason"]
        await call.resources.findings.acknowledge(found, actor, now(), reason)
    return await get_finding(call, finding_id=finding_id)


async def _fix(call: Call[Desk], finding: findings.Found) -> None:
    """Fix a finding, with a note of who did that before anything is done."""
    act, kept = fixes.fix_of(finding), call.resources.findings
    deed = await kept.begin_fix(finding, _actor(call.caller), now())
    try:
        detail = await act(call, finding)
    except Problem as problem:
        await kept.refuse_fix(deed, f"not made: {problem}")
        raise
    await kept.end_fix(finding, deed, now(), detail)


def _actor(caller: Caller) -> str:
    """Return who is on record: whom the token is for, and the client if that is another."""
    if caller.subject in {"", caller.client_id}:
        return caller.client_id
    return f"{caller.subject} by {caller.client_id}"


def _conflict(finding: findings.Found) -> Problem:
    return Problem(CONFLICT, f"the finding is {finding['state']}")
