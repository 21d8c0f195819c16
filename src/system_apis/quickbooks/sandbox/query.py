"""The query language: one entity, conditions joined by AND, an order, a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from portico.sandbox.state import Record
from system_apis.quickbooks.sandbox.errors import parse_error

_QUERY = re.compile(
    r"\s*select\s+(?P<what>\*|count\(\*\))\s+from\s+(?P<entity>\w+)"
    r"(?:\s+where\s+(?P<where>.*?))?"
    r"(?:\s+order\s*by\s+(?P<order>[\w.]+)(?:\s+(?P<way>asc|desc))?)?"
    r"(?:\s+startposition\s+(?P<start>\d+))?(?:\s+maxresults\s+(?P<limit>\d+))?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(
    r"\s*(?P<field>[\w.]+)\s*(?P<op>=|<=|>=|<|>|like|in)\s*"
    r"(?P<value>\([^)]*\)|'(?:[^'\\]|\\.)*'|\w+)\s*(?:and\b|\Z)",
    re.IGNORECASE,
)
_VALUE = re.compile(r"'((?:[^'\\]|\\.)*)'|(\w+)")
MAX_RESULTS, DEFAULT_RESULTS = 1000, 100
# Lists leave inactive records out unless a condition says something of them.
HAVE_ACTIVE = frozenset({"Customer", "Item"})

Condition = Callable[[Record], bool]


class Query:
    """A query, ready to be asked."""

    def __init__(self, text: str) -> None:
        match = _QUERY.match(text)
        if match is None:
            raise parse_error("the query is not understood")
        self.entity = match["entity"]
        self.counts = match["what"] != "*"
        self.start = int(match["start"] or 1)
        self.limit = int(match["limit"] or DEFAULT_RESULTS)
        if not 1 <= self.limit <= MAX_RESULTS or self.start < 1:
            raise parse_error("maxresults is from 1 to 1000, startposition from 1")
        self._conditions = _conditions(match["where"] or "")
        self._order = match["order"] or "Id"
        self._falls = (match["way"] or "asc").lower() == "desc"
        if self.entity in HAVE_ACTIVE and "active" not in (match["where"] or "").lower():
            self._conditions.append(lambda record: bool(record["Active"]))

    def run(self, records: Sequence[Record]) -> list[Record]:
        """Return what matches, in order, before it is cut into pages."""
        found = [record for record in records if all(test(record) for test in self._conditions)]
        return sorted(found, key=self._key, reverse=self._falls)

    def _key(self, record: Record) -> tuple[int, Any]:
        value = _field(record, self._order)
        number = _number(value)
        return (0, number) if number is not None else (1, str(value))


def _conditions(text: str) -> list[Condition]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _CONDITION.match(text, at)
        if match is None:
            raise parse_error("a condition is not understood")
        found.append(_condition(match["field"], match["op"].lower(), match["value"]))
        at = match.end()
    return found


def _condition(field: str, op: str, text: str) -> Condition:
    values = [
        re.sub(r"\\(.)", r"\1", quoted) if bare == "" else bare
        for quoted, bare in _VALUE.findall(text)
    ]
    if op == "in":
        return lambda record: _text(_field(record, field)) in values
    if len(values) != 1:
        raise parse_error(f"{field} needs one value")
    (value,) = values
    if op == "like":
        pattern = re.compile(re.escape(value).replace("%", ".*"), re.IGNORECASE)
        return lambda record: pattern.fullmatch(_text(_field(record, field))) is not None
    return lambda record: _compare(_field(record, field), op, value)


def _compare(found: Any, op: str, value: str) -> bool:
    left, right = _number(found), _number(value)
    if left is None or right is None:
        return _holds(_text(found), op, value)
    return _holds(left, op, right)


def _holds(left: Any, op: str, right: Any) -> bool:
    match op:
        case "=":
            return bool(left == right)
        case "<":
            return bool(left < right)
        case ">":
            return bool(left > right)
        case "<=":
            return bool(left <= right)
        case _:
            return bool(left >= right)


def _field(record: Record, path: str) -> Any:
    value: Any = record
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    # A reference is compared by what it refers to.
    return value.get("value") if isinstance(value, dict) and "value" in value else value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None
