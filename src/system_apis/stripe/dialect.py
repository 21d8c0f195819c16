"""What Stripe's errors mean (docs.stripe.com/api/errors, docs.stripe.com/error-low-level).

stripe-python confirms Stripe-Should-Retry, obeyed above the status, and that a 409 is one to try
again. Unverified: that 409 is what a key gets whose first request is not over.
"""

from __future__ import annotations

from collections.abc import Mapping

from portico.connectors.classification import Dialect, Reason, Rule
from portico.connectors.failures import (
    BrokenError,
    ConflictError,
    DuplicateError,
    LockedError,
    MissingError,
    RefusedError,
    UnavailableError,
)
from portico.connectors.messages import Answer

SYSTEM = "stripe"
# Stripe's own word on whether sending again can help; its libraries obey it above the status.
SHOULD_RETRY = "stripe-should-retry"
RETRY = "retry"

RULES = (
    Rule(code=RETRY, failure=UnavailableError, in_doubt=True),
    # The key was used with other parameters before: somebody else's write, or a changed one.
    Rule(code="idempotency_error", status=400, failure=ConflictError),
    # The first request with this key is not over yet.
    Rule(status=409, failure=LockedError),
    Rule(code="lock_timeout", failure=LockedError),
    Rule(code="resource_missing", failure=MissingError),
    Rule(code="resource_already_exists", failure=DuplicateError),
    # A declined card: the payment failed, the request did not.
    Rule(status=402, failure=RefusedError),
    Rule(status=424, failure=UnavailableError, in_doubt=True),
    # Without Stripe's word on it a 500 is not sent again: it would be replayed as it is.
    Rule(status=500, failure=BrokenError, in_doubt=True),
)


def read_reason(answer: Answer) -> Reason | None:
    """Return what the `error` object says; successful answers have none."""
    if answer.status < 400:
        return None
    error = _error(answer)
    message = str(error.get("message") or f"stripe answered {answer.status}")
    code = str(error.get("decline_code") or error.get("code") or error.get("type") or "")
    if error.get("type") == "idempotency_error":
        code = "idempotency_error"
    if answer.status >= 500 and answer.headers.get(SHOULD_RETRY) == "true":
        code = RETRY
    return Reason(message=message, code=code)


def _error(answer: Answer) -> Mapping[str, object]:
    try:
        error = answer.record().get("error")
    except BrokenError:
        # A proxy before Stripe answers something else.
        return {}
    return error if isinstance(error, dict) else {}


DIALECT = Dialect(system=SYSTEM, read_reason=read_reason, rules=RULES)
