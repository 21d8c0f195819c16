"""Tryton's typed JSON: decimals, dates and times as tagged objects, and never a float.

Tryton writes a Numeric as `{"__class__": "Decimal", "decimal": "9.50"}` and a Float as a JSON
number. Both are read as Decimal; to write a Float, wrap the Decimal in `Float`.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import NoReturn, TypeVar

from portico.connectors.failures import BrokenError

T = TypeVar("T")

SYSTEM = "tryton"

_TIME_PARTS = ("year", "month", "day", "hour", "minute", "second", "microsecond")


class WireError(BrokenError):
    """Something is not Tryton's JSON, or not of the type that was expected."""

    def __init__(self, message: str) -> None:
        super().__init__(message, system=SYSTEM)


@dataclass(frozen=True, slots=True)
class Float:
    """A number that Tryton keeps as a Float, such as a quantity."""

    value: Decimal


def encode(value: object) -> str:
    """Return the typed JSON of a value."""
    return "".join(_pieces(value))


def encode_argument(value: object) -> str:
    """Return typed JSON as Tryton takes it in a query or a header: in URL-safe base64."""
    return urlsafe_b64encode(encode(value).encode()).decode("ascii")


def decode(text: bytes) -> object:
    """Return what typed JSON stands for; raises WireError."""
    try:
        return json.loads(
            text, object_hook=_typed, parse_float=Decimal, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise WireError("tryton answered something else than its JSON") from error


def _pieces(value: object) -> Iterator[str]:
    if value is None or isinstance(value, bool | int | str):
        yield json.dumps(value)
    elif isinstance(value, Float):
        yield format(value.value, "f")
    elif isinstance(value, Decimal):
        yield f'{{"__class__":"Decimal","decimal":"{value:f}"}}'
    elif isinstance(value, datetime):
        yield from _tagged("datetime", value.astimezone(UTC), _TIME_PARTS)
    elif isinstance(value, date):
        yield from _tagged("date", value, _TIME_PARTS[:3])
    elif isinstance(value, Mapping):
        yield from _bracketed(
            "{}", (f"{json.dumps(str(key))}:{encode(value[key])}" for key in value)
        )
    elif isinstance(value, Sequence):
        yield from _bracketed("[]", map(encode, value))
    else:
        raise WireError(f"{type(value).__name__} has no form in the JSON of Tryton")


def _bracketed(brackets: str, items: Iterator[str]) -> Iterator[str]:
    yield brackets[0]
    yield ",".join(items)
    yield brackets[1]


def _tagged(name: str, value: date, parts: Sequence[str]) -> Iterator[str]:
    yield encode({"__class__": name} | {part: getattr(value, part) for part in parts})


def _typed(members: dict[str, object]) -> object:
    match members.get("__class__"):
        case None:
            return members
        case "Decimal":
            return _decimal(members.get("decimal"))
        case "date":
            return date(*_integers(members, _TIME_PARTS[:3]))
        case "datetime":
            # Tryton keeps its timestamps in UTC, without saying so.
            moment = dict(zip(_TIME_PARTS, _integers(members, _TIME_PARTS), strict=True))
            return datetime(**moment, tzinfo=UTC)
        case "timedelta":
            return timedelta(microseconds=int(_decimal(members.get("seconds")) * 1_000_000))
        case other:
            raise WireError(f"no value of class {other!r} was expected")


def _decimal(text: object) -> Decimal:
    try:
        return Decimal(str(text))
    except InvalidOperation:
        raise WireError(f"{text!r} is not a decimal") from None


def _integers(members: Mapping[str, object], names: Sequence[str]) -> list[int]:
    values = [members.get(name) for name in names]
    if not all(isinstance(value, int) for value in values):
        raise WireError("a date has parts that are not integers")
    return [value for value in values if isinstance(value, int)]


def _refuse_constant(name: str) -> NoReturn:
    raise WireError(f"{name} is not a number")


class Record:
    """A record as Tryton sent it, read field by field with the type that is expected.

    A field without a value is None, an empty text, or no records.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: object) -> None:
        if not isinstance(fields, dict):
            raise WireError(f"a record was expected, not {type(fields).__name__}")
        self._fields: dict[str, object] = fields

    @property
    def id(self) -> int:
        """Return Tryton's number of the record within its model."""
        value = self._fields.get("id")
        if not isinstance(value, int):
            raise WireError("a record has no id")
        return value

    def text(self, name: str) -> str:
        """Return a text field, empty where there is none."""
        return self._expect(name, str) or ""

    def number(self, name: str) -> Decimal:
        """Return a numeric field, zero where there is none."""
        value = self._fields.get(name)
        if isinstance(value, int):
            return Decimal(value)
        return self._expect(name, Decimal) or Decimal(0)

    def optional_number(self, name: str) -> Decimal | None:
        """Return a numeric field, None where there is none."""
        return self.number(name) if self.has(name) else None

    def has(self, name: str) -> bool:
        """Tell whether a field has a value, of whatever type."""
        return self._fields.get(name) is not None

    def flag(self, name: str) -> bool:
        """Return a yes-or-no field. SQLite makes Tryton send 0 and 1."""
        return bool(self._expect(name, int))

    def day(self, name: str) -> date | None:
        """Return a date field."""
        return self._expect(name, date)

    def moment(self, name: str) -> datetime | None:
        """Return a timestamp field."""
        return self._expect(name, datetime)

    def one(self, name: str) -> Record | None:
        """Return the record that a many-to-one field leads to."""
        value = self._fields.get(name)
        return None if value is None else Record(value)

    def many(self, name: str) -> list[Record]:
        """Return the records of a one-to-many or many-to-many field."""
        return records(self._fields.get(name) or [])

    def _expect(self, name: str, kind: type[T]) -> T | None:
        value = self._fields.get(name)
        if value is None or isinstance(value, kind):
            return value
        raise WireError(f"{name} is {type(value).__name__}, not {kind.__name__}")

    def __repr__(self) -> str:
        # Never the values: they may be personal.
        return f"<Record {', '.join(sorted(self._fields))}>"


def records(value: object) -> list[Record]:
    """Return a list of records as Tryton sent it."""
    if not isinstance(value, list):
        raise WireError(f"a list of records was expected, not {type(value).__name__}")
    return [Record(item) for item in value]
