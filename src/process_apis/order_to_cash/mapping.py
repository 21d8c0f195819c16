"""A run in the words of the contract."""

from __future__ import annotations

import datetime as dt
from typing import Any

from portico.workflow.state import WorkflowState
from process_apis.order_to_cash import domain

_WORDS = {
    "system/stripe.v1 getSubscription": "read the subscription",
    "system/stripe.v1 getCustomer": "read the customer",
    "system/salesforce.v1 listCustomers": "find the account",
    "system/salesforce.v1 listOpportunities": "find the opportunity",
    f"system/salesforce.v1 moveOpportunity {domain.WON}": "close the opportunity",
    "system/quickbooks.v1 putCustomer": "enter the customer in the books",
    "system/quickbooks.v1 putInvoice": "create the invoice",
}
_PUT_BACK = "put the opportunity back"
_PHASES = {"waiting": "running", "running": "running", "cancelled": "cancelled", "dead": "dead"}


def run(state: WorkflowState) -> dict[str, Any]:
    """Return a run as its caller sees it."""
    shown: dict[str, Any] = {
        "id": state.workflow_id,
        "phase": _PHASES.get(state.phase, "done"),
        "attempts": state.attempts,
        "steps": _steps(state),
    }
    subscription_id = domain.subscription_of(state.payload)
    if subscription_id:
        shown["subscriptionId"] = subscription_id
    if state.next_wake_at is not None:
        shown["nextTryAt"] = _time(state.next_wake_at)
    if state.phase == "dead":
        shown["cause"] = state.error[:10_000]
    if isinstance(state.result, dict):
        shown.update(state.result)
    return shown


def _steps(state: WorkflowState) -> list[dict[str, Any]]:
    """Return the steps, the tries of one together."""
    found: dict[str, dict[str, Any]] = {}
    for step in state.steps:
        if not step.name.startswith("system/"):
            continue
        words = _WORDS.get(step.name, _PUT_BACK)
        entry = found.setdefault(words, {"step": words, "tries": 0, "failed": False})
        entry["tries"] += 1
        entry["failed"] = step.failed
    return list(found.values())


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
