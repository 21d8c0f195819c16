"""The operations of order-to-cash.v1."""

from __future__ import annotations

from typing import Any

from portico.durable import Durable
from portico.problems import NOT_FOUND, Problem
from portico.server.call import Call, Reply, combine
from process_apis.order_to_cash import mapping, models
from process_apis.order_to_cash.missed import NAME


async def start_order_to_cash(
    call: Call[Durable], *, body: models.NewRun, idempotency_key: str
) -> Reply:
    """Start a run; the same key of the same caller is the same run."""
    caller = call.caller
    run_id = f"o2c-{combine(caller.client_id, caller.subject, idempotency_key)}"
    workflows = call.resources.parts.workflows
    await workflows.start(run_id, NAME, dict(body))
    state = await workflows.status(run_id)
    shown = {"id": run_id, "phase": "running", "attempts": 1, "steps": []}
    if state is not None:
        shown = mapping.run(state)
    return Reply(status=202, body=shown, headers=[("Location", f"runs/{run_id}")])


async def get_order_to_cash(call: Call[Durable], *, run_id: str) -> dict[str, Any]:
    """Return how far a run came."""
    state = await call.resources.parts.workflows.status(run_id)
    if state is None or state.name != NAME:
        raise Problem(NOT_FOUND, f"there is no run {run_id}")
    return mapping.run(state)
