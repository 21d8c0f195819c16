"""A JSON object of a system, read by the types that are expected in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from portico.connectors.failures import BrokenError


class Record:
    """An object whose members are asked for by type; one of another type is a BrokenError.

    A member that is absent or null is empty: no text, no records, None for `optional_*`.
    """

    __slots__ = ("values",)

    def __init__(self, values: object) -> None:
        if not isinstance(values, Mapping):
            raise BrokenError("the system answered something else where an object was expected")
        self.values: Mapping[str, object] = values

    def text(self, name: str) -> str:
        """Return a text, empty if there is none."""
        value = self.values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._unexpected(name)
        return value

    def flag(self, name: str) -> bool:
        """Return whether something is so; absent is not."""
        return self.values.get(name) is True

    def optional_integer(self, name: str) -> int | None:
        """Return a whole number, None if there is none."""
        value = self.values.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self._unexpected(name)

    def integer(self, name: str) -> int:
        """Return a whole number, zero if there is none."""
        return self.optional_integer(name) or 0

    def decimal(self, name: str) -> Decimal:
        """Return a number, zero if there is none."""
        value = self.values.get(name)
        if value is None:
            return Decimal(0)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return Decimal(value)
        raise self._unexpected(name)

    def optional_record(self, name: str) -> Record | None:
        """Return an object, None if there is none."""
        value = self.values.get(name)
        return None if value is None else Record(value)

    def record(self, name: str) -> Record:
        """Return an object, an empty one if there is none."""
        return self.optional_record(name) or Record({})

    def records(self, name: str) -> list[Record]:
        """Return the objects of a list."""
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self._unexpected(name)
        return [Record(entry) for entry in value]

    def id_of(self, name: str) -> str:
        """Return the id that a member is, or has where the system put the whole record there."""
        value = self.values.get(name)
        return Record(value).text("id") if isinstance(value, Mapping) else self.text(name)

    def _unexpected(self, name: str) -> BrokenError:
        kind = type(self.values[name]).__name__
        return BrokenError(f"the system answered {kind} as {name}, which was not expected")

    def __repr__(self) -> str:
        # Values may be personal.
        return f"<Record of {', '.join(self.values)}>"
