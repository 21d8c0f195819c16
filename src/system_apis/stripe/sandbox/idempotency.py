"""Idempotency keys as Stripe keeps them (docs.stripe.com/api/idempotent_requests).

Requests are carried out one after the other here, so none meets another with its key in progress.
"""

from __future__ import annotations

import hashlib

from portico.sandbox.state import Record, State
from system_apis.stripe.sandbox.errors import StripeError, invalid

MAX_KEY_LENGTH = 255
# Stripe forgets a key after a day at the earliest.
KEPT_SECONDS = 86_400


class Keys:
    """What was answered under each key."""

    def __init__(self, state: State) -> None:
        self._state = state

    def find(self, key: str, method: str, path: str, body: bytes, now: int) -> Record | None:
        """Return what was answered before; raises StripeError if that was to another request."""
        if len(key) > MAX_KEY_LENGTH:
            raise invalid("Idempotency keys are at most 255 characters", code="idempotency_key")
        kept = self._state.table("idempotency").get(key)
        if kept is None or now - kept["at"] > KEPT_SECONDS:
            return None
        if kept["request"] != _fingerprint(method, path, body):
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were "
                f"first used with. Try using a key other than '{key}' if you meant to execute a "
                "different request."
            )
            raise StripeError(400, "idempotency_error", message)
        return kept

    def keep(  # a request and its answer
        self, key: str, method: str, path: str, body: bytes, now: int, status: int, text: str
    ) -> None:
        """Keep an answer; one to a request that was not carried out is not kept."""
        if 400 <= status < 500 and status != 402:
            return
        kept = {"at": now, "status": status, "body": text}
        kept["request"] = _fingerprint(method, path, body)
        self._state.table("idempotency")[key] = kept


def _fingerprint(method: str, path: str, body: bytes) -> str:
    return hashlib.sha256(f"{method} {path}\n".encode() + body).hexdigest()
