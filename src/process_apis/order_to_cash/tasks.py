"""What a run is about, by what started it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["billing", "payment", "refund", "cancellation"]

# Stripe's events. A payment in part is told by the second kind of payment alone.
EVENTS: Mapping[str, Kind] = {
    "customer.subscription.created": "billing",
    "invoice.paid": "payment",
    "invoice_payment.paid": "payment",
    "refund.created": "refund",
    "refund.updated": "refund",
    "customer.subscription.deleted": "cancellation",
}
# The member of a payload that names the record, by the kind of run. A payload is what the API was
# asked, what a look at the events found, or a delivery of Stripe's as it came through a door.
_MEMBERS: Mapping[str, Kind] = {
    "subscriptionId": "billing",
    "invoiceId": "payment",
    "refundId": "refund",
    "cancelSubscriptionId": "cancellation",
    "endedSubscriptionId": "cancellation",
}
_OF_EVENT: Mapping[Kind, str] = {
    "billing": "subscriptionId",
    "payment": "invoiceId",
    "refund": "refundId",
    "cancellation": "endedSubscriptionId",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Which record of Stripe's a run is about; `ends` is whether it is to be ended there first."""

    kind: Kind
    record_id: str
    ends: bool = False

    @property
    def subscription_id(self) -> str:
        return self.record_id if self.kind in {"billing", "cancellation"} else ""


def task_of(payload: Mapping[str, Any]) -> Task | None:
    """Return what a run is about, None where its event is about something else."""
    if "body" in payload:
        found = _payload_of_delivery(payload)
        return None if found is None else task_of(found)
    for member, kind in _MEMBERS.items():
        if member in payload:
            ends = member == "cancelSubscriptionId"
            return Task(kind=kind, record_id=str(payload[member]), ends=ends)
    return None


def payload_of(event_type: str, record_id: str, invoice_id: str) -> dict[str, Any]:
    """Return what a run is started with for an event; `invoice_id` is that of the record."""
    kind = EVENTS[event_type]
    named = invoice_id if event_type == "invoice_payment.paid" else record_id
    return {_OF_EVENT[kind]: named}


def _payload_of_delivery(payload: Mapping[str, Any]) -> dict[str, Any] | None:
    event = json.loads(payload["body"])
    kind = event.get("type")
    if kind not in EVENTS:
        return None
    record = event["data"]["object"]
    return payload_of(kind, str(record["id"]), str(record.get("invoice") or ""))
