"""How Salesforce words its failures, and what it tells of its limits.

Errors are a list of code, message and fields. A composite request that failed is 200, with the
failure in one of its parts; a tree that failed has it in its results. From the REST API Developer
Guide, confirmed by what simple-salesforce and aiosalesforce expect. Unverified: the wording of
the messages that tell a concurrency limit from the daily one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portico.connectors.classification import Allowance, Dialect, Reason, Rule
from portico.connectors.failures import (
    BrokenError,
    ConflictError,
    DuplicateError,
    LockedError,
    MissingError,
    NotPermittedError,
    QuotaError,
    RefusedError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)
from portico.connectors.messages import Answer
from system_apis.salesforce.org import SYSTEM

DAILY_CALLS = "api-usage"
HALTED = "PROCESSING_HALTED"
_SEVERAL = "MULTIPLE_CHOICES"
_LIMIT = "REQUEST_LIMIT_EXCEEDED"
_CONCURRENT_LIMIT = f"{_LIMIT} (concurrent)"
_USAGE = re.compile(r"api-usage=(\d+)/(\d+)")
_ID = re.compile(r"\b[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?\b")
# How answers begin that may hide a failure; others of 200 are not looked into.
_COMPOSITE = b'{"compositeResponse"'


def read_reason(answer: Answer) -> Reason | None:
    """Return the failure that an answer reports, None where it reports none."""
    if answer.status >= 400:
        return _from_body(_json(answer))
    if answer.body.lstrip().startswith(_COMPOSITE):
        return _from_parts(_json(answer))
    return None


def read_allowances(answer: Answer) -> Sequence[Allowance]:
    """Return what is left of the calls of the day, which every answer tells."""
    match = _USAGE.search(answer.headers.get("sforce-limit-info", ""))
    if match is None:
        return ()
    return (Allowance(name=DAILY_CALLS, used=int(match[1]), total=int(match[2])),)


def _from_body(body: object) -> Reason | None:
    match body:
        case [dict() as error, *_]:
            return _from_error(error, error.get("errorCode", ""))
        case {"results": [*results]}:
            errors = [each for result in results for each in _errors_of(result)]
            return _from_error(errors[0], errors[0].get("statusCode", "")) if errors else None
        case _:
            return None


def _errors_of(result: object) -> Iterator[Mapping[str, Any]]:
    errors = result.get("errors") if isinstance(result, dict) else None
    yield from (each for each in errors or () if isinstance(each, dict))


def _from_parts(body: object) -> Reason | None:
    """Return the failure of the part that failed by itself, not of those halted with it."""
    parts = body.get("compositeResponse") if isinstance(body, dict) else None
    for part in parts if isinstance(parts, list) else ():
        match part:
            case {"httpStatusCode": 300, "body": found}:
                return _several(found)
            case {"httpStatusCode": int(status), "body": found} if status >= 400:
                reason = _from_body(found) or Reason(message=f"{SYSTEM} answered {status}")
                if reason.code != HALTED:
                    return reason
    return None


def _from_error(error: Mapping[str, Any], code: object) -> Reason:
    message = str(error.get("message") or "salesforce refused without a reason")
    if code == _LIMIT and message.startswith("Concurrent"):
        code = _CONCURRENT_LIMIT
    return Reason(message=message, code=str(code), record_ids=_in_the_way(error, code, message))


def _in_the_way(error: Mapping[str, Any], code: object, message: str) -> list[str]:
    """Return the ids of the records that a duplicate is one of."""
    if code == "DUPLICATE_VALUE":
        return _ID.findall(message.rpartition("id:")[2])
    match error:
        case {"duplicateResult": {"matchResults": [*results]}}:
            records = [each for result in results for each in result.get("matchRecords", ())]
            return [str(each["record"]["Id"]) for each in records if "record" in each]
        case _:
            return []


def _several(body: object) -> Reason:
    urls = body if isinstance(body, list) else []
    return Reason(
        message="several records have this external key; salesforce changed none of them",
        code=_SEVERAL,
        record_ids=[str(url).rpartition("/")[2] for url in urls],
    )


def _json(answer: Answer) -> object:
    try:
        return answer.json()
    except BrokenError:
        return None  # a proxy in front of Salesforce answers in HTML


DIALECT = Dialect(
    system=SYSTEM,
    read_reason=read_reason,
    read_allowances=read_allowances,
    rules=(
        Rule(failure=LockedError, code="UNABLE_TO_LOCK_ROW"),
        Rule(failure=DuplicateError, code="DUPLICATES_DETECTED"),
        Rule(failure=DuplicateError, code="DUPLICATE_VALUE"),
        Rule(failure=DuplicateError, code=_SEVERAL),
        Rule(failure=QuotaError, code=_LIMIT),
        Rule(failure=ThrottledError, code=_CONCURRENT_LIMIT),
        Rule(failure=UnauthenticatedError, code="INVALID_SESSION_ID"),
        Rule(failure=MissingError, code="NOT_FOUND"),
        Rule(failure=MissingError, code="ENTITY_IS_DELETED"),
        # What the request names the org does not have, or not in a state that allows it.
        Rule(failure=ConflictError, code="INVALID_CROSS_REFERENCE_KEY"),
        Rule(failure=ConflictError, code="INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"),
        Rule(failure=ConflictError, code="INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        Rule(failure=ConflictError, code="FAILED_ACTIVATION"),
        Rule(failure=ConflictError, code="ENTITY_IS_LOCKED"),
        Rule(failure=NotPermittedError, code="INSUFFICIENT_ACCESS_OR_READONLY"),
        Rule(failure=NotPermittedError, code="INVALID_FIELD_FOR_INSERT_UPDATE"),
        Rule(failure=BrokenError, code="MALFORMED_QUERY"),
        Rule(failure=BrokenError, code="INVALID_FIELD"),
        Rule(failure=BrokenError, code="INVALID_TYPE"),
        Rule(failure=UnavailableError, code="SERVER_UNAVAILABLE", in_doubt=True),
        # Of a composite request: everything else is a rule of the org.
        Rule(failure=RefusedError, status=200),
    ),
)
