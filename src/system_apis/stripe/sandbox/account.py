"""The objects of the account: their ids, what happens to them, and the events that tell of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson

from portico.sandbox.state import Record, State
from portico.sandbox.webhooks import Webhooks
from system_apis.stripe.sandbox.errors import missing

API_VERSION = "2026-10-28.endive"
# In the middle of the ids, so that they look like ids.
_ID_BODY = "1QSandbox"

# The objects of each kind, and what their ids begin with.
PREFIXES = {
    "customer": "cus",
    "product": "prod",
    "price": "price",
    "payment_method": "pm",
    "payment_intent": "pi",
    "charge": "ch",
    "refund": "re",
    "invoice": "in",
    "invoiceitem": "ii",
    "invoice_payment": "inpay",
    "line_item": "il",
    "subscription": "sub",
    "subscription_item": "si",
    "event": "evt",
}


class Account:
    """Creates, finds and changes objects, each change with its event."""

    def __init__(
        self, state: State, webhooks: Webhooks, clock: Callable[[], float] = time.time
    ) -> None:
        self.state = state
        self._webhooks = webhooks
        self._clock = clock

    def now(self) -> int:
        return int(self._clock())

    def new(self, kind: str, record_id: str = "", **values: Any) -> Record:
        """Return a new object, which `put` keeps."""
        if not record_id:
            number = self.state.next_number(kind)
            record_id = f"{PREFIXES[kind]}_{_ID_BODY}{number:06d}"
        return {
            "id": record_id,
            "object": kind,
            "created": self.now(),
            "livemode": False,
            "metadata": {},
            **values,
        }

    def table(self, kind: str) -> dict[str, Record]:
        return self.state.table(kind)

    def find(self, kind: str, record_id: str, param: str = "id", status: int = 404) -> Record:
        """Return an object; raises StripeError."""
        found = self.table(kind).get(record_id)
        if found is None or (found.get("deleted") and param != "id"):
            raise missing(kind, record_id, param, status)
        return found

    def put(self, record: Record, *events: str) -> Record:
        """Keep an object and tell of what happened to it."""
        self.table(record["object"])[record["id"]] = record
        for kind in events:
            self._tell(kind, record)
        return record

    def _tell(self, kind: str, record: Record) -> None:
        event = self.new("event", api_version=API_VERSION, type=kind, pending_webhooks=0)
        del event["metadata"]
        event["request"] = {"id": None, "idempotency_key": None}
        # As the object is now: what becomes of it later is another event.
        event["data"] = {"object": orjson.loads(orjson.dumps(record))}
        self.table("event")[event["id"]] = event
        self._webhooks.publish(orjson.dumps(event))
