"""$filter, as much of it as is needed: comparisons, and, or, not, and three functions.

V2 writes typed literals (`datetime'…'`, `12.5M`), V4 plain ones; both are read here.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from system_apis.sap.sandbox.errors import malformed
from system_apis.sap.sandbox.model import Entity, Property
from system_apis.sap.sandbox.values import accept, comparable

Row = Mapping[str, Any]
Test = Callable[[Row], bool]

MAX_FILTER_CHARACTERS = 20_000
MAX_DEPTH = 50
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<typed>(?:datetimeoffset|datetime|guid|time)'[^']*')
    | (?P<text>'(?:[^']|'')*')
    | (?P<moment>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)
    | (?P<number>-?\d+(?:\.\d+)?[mMdDfFlL]?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>[(),/])
    )""",
    re.VERBOSE,
)
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def parse(text: str, entity: Entity) -> Test:
    """Return the test that a filter is; raises RefusalError."""
    if len(text) > MAX_FILTER_CHARACTERS:
        raise malformed("the filter is too long")
    parser = _Parser(text, entity)
    test = parser.either(0)
    parser.end()
    return test


class _Parser:
    def __init__(self, text: str, entity: Entity) -> None:
        self._entity = entity
        self._tokens = _tokens(text)
        self._next = 0

    def either(self, depth: int) -> Test:
        if depth > MAX_DEPTH:
            raise malformed("the filter is nested too deeply")
        left = self._both(depth)
        while self._took("or"):
            left = _or(left, self._both(depth))
        return left

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise self._unexpected()

    def _both(self, depth: int) -> Test:
        left = self._one(depth)
        while self._took("and"):
            left = _and(left, self._one(depth))
        return left

    def _one(self, depth: int) -> Test:
        if self._took("not"):
            return _not(self._one(depth + 1))
        if self._took("("):
            inner = self.either(depth + 1)
            self._take(")")
            return inner
        kind, word = self._peek()
        if kind == "name" and word in ("substringof", "contains", "startswith", "endswith"):
            return self._function(word)
        return self._comparison()

    def _function(self, word: str) -> Test:
        self._next += 1
        self._take("(")
        if word == "substringof":  # of V2, with its arguments the other way round
            text = self._string()
            self._take(",")
            wanted = self._property()
        else:
            wanted = self._property()
            self._take(",")
            text = self._string()
        self._take(")")
        if self._took("eq"):  # substringof('x',Name) eq true
            self._take("true")
        return _text_test(word, wanted, text)

    def _comparison(self) -> Test:
        wanted = self._property()
        _, word = self._peek()
        compare = _COMPARISONS.get(word)
        if compare is None:
            raise self._unexpected()
        self._next += 1
        value = comparable(wanted, self._literal(wanted))
        name = wanted.name

        def test(row: Row) -> bool:
            found = comparable(wanted, row.get(name))
            if found is None or value is None:
                return compare(found, value) if word in ("eq", "ne") else False
            return compare(found, value)

        return test

    def _literal(self, wanted: Property) -> object:
        kind, word = self._peek()
        self._next += 1
        match kind:
            case "text":
                return accept(wanted, word[1:-1].replace("''", "'"))
            case "typed":
                return accept(wanted, word.partition("'")[2][:-1])
            case "moment":
                return accept(wanted, word)
            case "number" if wanted.kind == "Decimal":
                return accept(wanted, word.rstrip("mMdDfFlL"))
        if word in ("true", "false") and wanted.kind == "Boolean":
            return word == "true"
        if word == "null":
            return None
        self._next -= 1
        raise self._unexpected()

    def _property(self) -> Property:
        kind, word = self._peek()
        wanted = self._entity.properties.get(word) if kind == "name" else None
        if wanted is None:
            raise malformed(f"Invalid property '{word}' in $filter of {self._entity.name}")
        self._next += 1
        return wanted

    def _string(self) -> str:
        kind, word = self._peek()
        if kind != "text":
            raise self._unexpected()
        self._next += 1
        return word[1:-1].replace("''", "'")

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "<end>")

    def _took(self, word: str) -> bool:
        kind, found = self._peek()
        if kind not in ("name", "sign") or found != word:
            return False
        self._next += 1
        return True

    def _take(self, word: str) -> None:
        if not self._took(word):
            raise self._unexpected()

    def _unexpected(self) -> Exception:
        return malformed(f"Invalid token '{self._peek()[1]}' in $filter")


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise malformed(f"Invalid token '{text[at:].strip()[:1]}' in $filter")
        kind = match.lastgroup or ""
        found.append((kind, match[kind]))
        at = match.end()
    return found


def _text_test(word: str, wanted: Property, text: str) -> Test:
    name = wanted.name

    def test(row: Row) -> bool:
        found = str(row.get(name) or "")
        match word:
            case "startswith":
                return found.startswith(text)
            case "endswith":
                return found.endswith(text)
            case _:
                return text in found

    return test


def _or(left: Test, right: Test) -> Test:
    return lambda row: left(row) or right(row)


def _and(left: Test, right: Test) -> Test:
    return lambda row: left(row) and right(row)


def _not(inner: Test) -> Test:
    return lambda row: not inner(row)
