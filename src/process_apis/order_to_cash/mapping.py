"""A run in the words of the contract."""

from __future__ import annotations

import datetime as dt
from typing import Any

from portico.workflow.state import WorkflowState
from process_apis.order_to_cash import domain
from process_apis.order_to_cash.tasks import task_of

_WORDS = {
    "system/stripe.v1 getSubscription": "read the subscription",
    "system/stripe.v1 cancelSubscription": "cancel the subscription",
    "system/stripe.v1 getCustomer": "read the customer",
    "system/stripe.v1 getInvoice": "read what is to be paid",
    "system/stripe.v1 listInvoicePayments": "read what was paid",
    "system/stripe.v1 getRefund": "read the refund",
    "system/stripe.v1 listRefunds": "read what was given back",
    "system/salesforce.v1 listCustomers": "find the account",
    "system/salesforce.v1 listOpportunities": "find the opportunity",
    "system/quickbooks.v1 putCustomer": "enter the customer in the books",
    "system/quickbooks.v1 listInvoices": "find the invoice",
    "system/quickbooks.v1 putInvoice": "create the invoice",
    "system/quickbooks.v1 voidInvoice": "void the invoice",
    "system/quickbooks.v1 putPayment": "record the payment",
    "system/quickbooks.v1 putRefund": "record the refund",
    "system/quickbooks.v1 putCredit": "credit what was paid",
}
_MOVE = "system/salesforce.v1 moveOpportunity"
_MOVES = {domain.WON: "close the opportunity", domain.LOST: "lose the opportunity"}
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
    task = task_of(state.payload)
    if task is not None:
        shown["kind"] = task.kind
        if task.subscription_id:
            shown["subscriptionId"] = task.subscription_id
    if state.next_wake_at is not None:
        shown["nextTryAt"] = _time(state.next_wake_at)
    if state.phase == "dead":
        shown["cause"] = state.error[:10_000]
    if isinstance(state.result, dict):
        shown.update(state.result)
    return shown


def _steps(state: WorkflowState) -> list[dict[str, Any]]:
    """Return what is done, the tries of one thing together."""
    found: dict[str, dict[str, Any]] = {}
    for step in state.steps:
        if not step.name.startswith("system/"):
            continue
        words = _words(step.name)
        entry = found.setdefault(words, {"step": words, "tries": 0, "failed": False})
        # What succeeded is not tried again: it is done another time, such as looking again.
        entry["tries"] = entry["tries"] + 1 if entry["failed"] else 1
        entry["failed"] = step.failed
    return list(found.values())


def _words(step_name: str) -> str:
    """Return what a step does; its name is the API, the operation, and what tells tries apart."""
    api, operation, *more = step_name.split(" ", 2)
    if f"{api} {operation}" != _MOVE:
        return _WORDS[f"{api} {operation}"]
    stage = more[0] if more else ""
    return next((words for name, words in _MOVES.items() if stage.startswith(name)), _PUT_BACK)


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
