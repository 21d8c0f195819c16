"""Records as Salesforce answers them, read field by field with the type that is expected."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

from portico.connectors.failures import BrokenError
from portico.connectors.moments import from_text
from portico.connectors.money import number
from system_apis.salesforce.org import SYSTEM

T = TypeVar("T")


class Record:
    """A record. A field without a value is None, an empty text, or no records."""

    __slots__ = ("_fields",)

    def __init__(self, fields: object) -> None:
        if not isinstance(fields, dict):
            raise _broken(f"answered {type(fields).__name__} for a record")
        self._fields: dict[str, object] = fields

    @property
    def id(self) -> str:
        found = self.text("Id")
        if not found:
            raise _broken("answered a record without an id")
        return found

    @property
    def entity(self) -> str:
        """Return the name of the object that this is a record of."""
        attributes = self._fields.get("attributes")
        return Record(attributes).text("type") if attributes else ""

    @property
    def modified(self) -> datetime:
        """Return when the record was last changed, by whomever, with what it is computed of."""
        return self.moment("SystemModstamp") or datetime.fromtimestamp(0, UTC)

    def text(self, name: str) -> str:
        return self._expect(name, str) or ""

    def number(self, name: str) -> Decimal:
        return self.optional_number(name) or Decimal(0)

    def optional_number(self, name: str) -> Decimal | None:
        value = self._fields.get(name)
        if value is None:
            return None
        try:
            return number(value)
        except ValueError as error:
            raise _broken(f"answered {name} as something that is not a number") from error

    def flag(self, name: str) -> bool:
        return bool(self._expect(name, bool))

    def day(self, name: str) -> date | None:
        text = self.text(name)
        try:
            return date.fromisoformat(text) if text else None
        except ValueError as error:
            raise _broken(f"answered {name} as something that is not a date") from error

    def moment(self, name: str) -> datetime | None:
        text = self.text(name)
        try:
            return from_text(text) if text else None
        except ValueError as error:
            raise _broken(f"answered {name} as something that is not a time") from error

    def one(self, name: str) -> Record | None:
        """Return the record that a relationship leads to."""
        value = self._fields.get(name)
        return None if value is None else Record(value)

    def many(self, name: str) -> list[Record]:
        """Return the records of a child relationship, all of which must be there."""
        value = self._fields.get(name)
        if value is None:
            return []
        found = Record(value)
        if not found.flag("done"):
            raise _broken(f"answered only some of {name}")
        return found.records()

    def records(self) -> list[Record]:
        """Return the records of an answer to a query."""
        value = self._fields.get("records")
        if not isinstance(value, list):
            raise _broken("answered a query without records")
        return [Record(each) for each in value]

    def _expect(self, name: str, kind: type[T]) -> T | None:
        value = self._fields.get(name)
        if value is None or isinstance(value, kind):
            return value
        raise _broken(f"answered {name} as {type(value).__name__}, not {kind.__name__}")

    def __repr__(self) -> str:
        # Never the values: they may be personal.
        return f"<Record {', '.join(sorted(self._fields))}>"


def _broken(what: str) -> BrokenError:
    return BrokenError(f"{SYSTEM} {what}", system=SYSTEM)
