"""What the errors of QuickBooks Online mean.

See developer.intuit.com, "Handling common errors": a Fault has errors with codes, and most come
with 400 whatever they are. That 3001 is a throttle and 3200 a refused token is not in that list;
their statuses, 429 and 401, say it as well.
"""

from __future__ import annotations

from portico.connectors.classification import Dialect, Reason, Rule
from portico.connectors.failures import (
    BrokenError,
    DuplicateError,
    MissingError,
    NotPermittedError,
    OvertakenError,
    RefusedError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)
from portico.connectors.messages import Answer
from portico.connectors.record import Record

SYSTEM = "quickbooks"
# Intuit says to wait a minute after a 429, and no header does.
THROTTLED_SECONDS = 60.0

RULES = (
    Rule(status=429, failure=ThrottledError, retry_after_seconds=THROTTLED_SECONDS),
    Rule(code="3001", failure=ThrottledError, retry_after_seconds=THROTTLED_SECONDS),
    Rule(code="3200", failure=UnauthenticatedError),
    Rule(code="5010", failure=OvertakenError),  # the SyncToken is not the newest
    Rule(code="6240", failure=DuplicateError),  # a name that is taken
    Rule(code="6140", failure=DuplicateError),  # a document number that is taken
    Rule(code="610", failure=MissingError),
    Rule(code="2500", failure=RefusedError),  # a reference to what is not there
    Rule(code="120", failure=NotPermittedError),
    Rule(code="6190", failure=NotPermittedError),  # the subscription of the company ended
    # With a request id a second try is answered with the first one's record.
    Rule(status=500, failure=UnavailableError, in_doubt=True),
)


def read_reason(answer: Answer) -> Reason | None:
    """Return what the Fault of an answer says, also of one that came with 200."""
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        document = Record(answer.json())
    except BrokenError:
        return None
    # Refused tokens are told in lower case.
    fault = document.optional_record("Fault") or document.optional_record("fault")
    if fault is None:
        return None
    errors = fault.records("Error") or fault.records("error")
    first = errors[0] if errors else Record({})
    message = first.text("Message") or first.text("message")
    detail = first.text("Detail") or first.text("detail")
    return Reason(message=": ".join(filter(None, (message, detail))), code=first.text("code"))


DIALECT = Dialect(system=SYSTEM, read_reason=read_reason, rules=RULES)
