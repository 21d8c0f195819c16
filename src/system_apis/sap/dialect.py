"""How an S/4HANA words its failures and its warnings.

V2 has `{"error": {"code", "message": {"value"}, "innererror": {"errordetails"}}}`, V4 the message
as plain text and `details`. A batch that failed is 202, with the failure in a part of it. CAP,
which serves SAP's own service definitions, confirms 403, 412 and 428; it has HTTP statuses for
codes, where SAP has message class and number. Unverified: that V1/042 is an order that somebody
else has open, and which numbers refuse what.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from portico.connectors.classification import Dialect, Reason, Rule
from portico.connectors.failures import (
    BrokenError,
    ConflictError,
    LockedError,
    MissingError,
    NotPermittedError,
    RefusedError,
    UnauthenticatedError,
)
from portico.connectors.messages import Answer
from portico.connectors.record import Record
from system_apis.sap import batch
from system_apis.sap.s4 import SYSTEM

MAX_MESSAGES = 20
_CSRF = "x-csrf-token: Required"
_LOCKED = "V1/042"
# What a part of a batch says with its status alone.
_BY_STATUS = {403: NotPermittedError, 404: MissingError, 412: ConflictError}


def read_reason(answer: Answer) -> Reason | None:
    """Return the failure that an answer reports, None where it reports none."""
    if answer.status == 202 and answer.headers.get("content-type", "").startswith("multipart/"):
        failed = (inner for inner in batch.answers(answer) if inner.status >= 400)
        return next((_of_part(inner) for inner in failed), None)
    if answer.status < 400:
        return None
    if answer.headers.get("x-csrf-token", "").lower() == "required":
        return Reason(message=f"{SYSTEM} wants a new CSRF token", code=_CSRF)
    return _from_body(answer)


def _of_part(inner: Answer) -> Reason:
    found = _from_body(inner) or Reason(message=f"{SYSTEM} answered {inner.status} in a batch")
    if inner.status in _BY_STATUS:
        return Reason(message=found.message, code=f"HTTP {inner.status}")
    return found


def _from_body(answer: Answer) -> Reason | None:
    try:
        error = Record(answer.json()).record("error")
    except BrokenError:
        return None  # a proxy before SAP, or its web dispatcher, answers in HTML
    if not error.values:
        return None
    said = list(dict.fromkeys(filter(None, [_message(error), *_details(error)])))
    return Reason(
        message=": ".join(said) or f"{SYSTEM} refused", code=str(error.values.get("code"))
    )


def _message(error: Record) -> str:
    message = error.values.get("message")
    return message if isinstance(message, str) else error.record("message").text("value")


def _details(error: Record) -> Iterator[str]:
    inner = error.values.get("innererror")
    found = Record(inner).records("errordetails") if isinstance(inner, dict) else []
    for detail in [*found, *error.records("details")][:MAX_MESSAGES]:
        if detail.values.get("severity", "error") == "error":
            yield _message(detail)


def messages(answer: Answer) -> list[dict[str, object]]:
    """Return what an answer warns of or tells besides, from its sap-message header."""
    text = answer.headers.get("sap-message", "")
    try:
        found = Record(json.loads(text)) if text else Record({})
        said = [found, *found.records("details")] if found.values else []
        return [
            {name: each.text(name) for name in ("code", "severity", "message")}
            for each in said[:MAX_MESSAGES]
        ]
    except (ValueError, BrokenError):
        return []  # what cannot be read is no reason to fail a write that succeeded


DIALECT = Dialect(
    system=SYSTEM,
    read_reason=read_reason,
    rules=(
        Rule(failure=UnauthenticatedError, code=_CSRF),
        Rule(failure=LockedError, code=_LOCKED),
        *(Rule(failure=failure, code=f"HTTP {status}") for status, failure in _BY_STATUS.items()),
        # A precondition was required, and our request had none.
        Rule(failure=BrokenError, status=428),
        # Of a batch: everything else is a rule of the system.
        Rule(failure=RefusedError, status=202),
    ),
)
