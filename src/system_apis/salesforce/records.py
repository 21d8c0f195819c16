"""Records as Salesforce answers them: times in its own form, children as answers of their own.

A deleted record says so in `IsDeleted`; what a query finds is under `records`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from portico.connectors.failures import BrokenError
from portico.connectors.moments import from_text
from portico.connectors.record import Record
from system_apis.salesforce.org import SYSTEM


def id_of(record: Record) -> str:
    """Return the id of a record; raises BrokenError if it has none."""
    found = record.text("Id")
    if not found:
        raise _broken("a record without an id")
    return found


def modified(record: Record) -> datetime:
    """Return when a record was last changed, by whomever, or what it is computed of."""
    return moment_of(record, "SystemModstamp") or datetime.fromtimestamp(0, UTC)


def moment_of(record: Record, name: str) -> datetime | None:
    """Return a time, None where there is none."""
    text = record.text(name)
    try:
        return from_text(text) if text else None
    except ValueError as error:
        raise _broken(f"{name} as something that is not a time") from error


def day_of(record: Record, name: str) -> date | None:
    """Return a date, None where there is none."""
    text = record.text(name)
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise _broken(f"{name} as something that is not a date") from error


def number_of(record: Record, name: str) -> Decimal | None:
    """Return a number, None where there is none, which is not the same as zero."""
    return None if record.values.get(name) is None else record.decimal(name)


def rows_of(answer: Record) -> list[Record]:
    """Return the records of an answer to a query."""
    if "records" not in answer.values:
        raise _broken("a query without records")
    return answer.records("records")


def children_of(record: Record, name: str) -> list[Record]:
    """Return the records of a child relationship, all of which must be there."""
    found = record.optional_record(name)
    if found is None:
        return []
    if not found.flag("done"):
        raise _broken(f"only some of {name}")
    return rows_of(found)


def _broken(what: str) -> BrokenError:
    return BrokenError(f"{SYSTEM} answered {what}", system=SYSTEM)
