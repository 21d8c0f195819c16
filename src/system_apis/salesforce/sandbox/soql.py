"""SOQL as text: words, grammar, and what a query is made of.

What is supported: SELECT of fields, parent paths, COUNT() and child subqueries; WHERE with AND, OR,
NOT, comparisons, LIKE, IN and NOT IN; ORDER BY; LIMIT; OFFSET. What a real org knows beyond that
(aggregates, GROUP BY, date literals, TYPEOF, semi-joins) is MALFORMED_QUERY here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from system_apis.salesforce.sandbox.errors import RefusalError

# An org takes 100,000 characters of SOQL, and 2,000 rows are the most that OFFSET skips.
MAX_QUERY_CHARACTERS = 100_000
MAX_OFFSET = 2000
MAX_DEPTH = 50
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    | (?P<date>\d{4}-\d\d-\d\d(?![\dT]))
    | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))
    | (?P<name>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*)
    | (?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
# In LIKE these stay escaped until the pattern is read.
_LIKE_ESCAPES = ("_", "%")
_RESERVED = frozenset(
    {"and", "asc", "desc", "from", "group", "having", "in", "like", "limit"}
    | {"not", "null", "nulls", "offset", "or", "order", "select", "where"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A value as written: `kind` is string, number, date, datetime, boolean or null."""

    kind: str
    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    path: str
    operator: str
    literals: Sequence[Literal]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Junction:
    """Conditions of which all (`and`), one (`or`) or the only one not (`not`) must hold."""

    kind: str
    conditions: Sequence[Condition]


Condition = Comparison | Junction


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    path: str
    descending: bool
    nulls_last: bool
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A path to a field, with its place in the text."""

    path: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query; in a subquery `source` is the name of a child relationship."""

    text: str
    source: str
    source_at: int
    fields: Sequence[Selected | Query]
    counts: bool
    where: Condition | None
    order: Sequence[Order]
    limit: int | None
    offset: int


def parse(text: str) -> Query:
    """Return the query that a text is; raises RefusalError."""
    if len(text) > MAX_QUERY_CHARACTERS:
        raise RefusalError(400, "QUERY_TOO_COMPLICATED", "The SOQL query is too long")
    parser = _Parser(text)
    query = parser.query()
    parser.end()
    return query


def place(text: str, at: int) -> str:
    """Return the lines that show where in a query something is wrong."""
    row = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return f"\n{text[max(0, at - 20) : at + 20]}\n^\nERROR at Row:{row}:Column:{column}\n"


def _tokens(text: str) -> list[Token]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            shown = text[at:].strip()[:1]
            raise malformed(text, at, f"unexpected token: '{shown}'")
        kind = match.lastgroup or ""
        found.append(Token(kind=kind, text=match[kind], at=match.start(kind)))
        at = match.end()
    return found


def malformed(text: str, at: int, message: str) -> RefusalError:
    return RefusalError(400, "MALFORMED_QUERY", place(text, at) + message)


class _Parser:
    """Recursive descent; a method takes the tokens of what it is named after."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def query(self) -> Query:
        self._deeper()
        self._take("select")
        counts, fields = self._selection()
        self._take("from")
        source = self._name()
        where = self._condition() if self._took("where") else None
        order = self._order() if self._took("order") else []
        limit = self._whole_number() if self._took("limit") else None
        offset_at = self._at()
        offset = self._whole_number() if self._took("offset") else 0
        if offset > MAX_OFFSET:
            raise RefusalError(
                400,
                "NUMBER_OUTSIDE_VALID_RANGE",
                place(self._text, offset_at) + "Maximum SOQL offset allowed is 2000",
            )
        self._depth -= 1
        return Query(
            text=self._text,
            source=source.text,
            source_at=source.at,
            fields=fields,
            counts=counts,
            where=where,
            order=order,
            limit=limit,
            offset=offset,
        )

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise self._unexpected()

    def _selection(self) -> tuple[bool, list[Selected | Query]]:
        if self._peek().text.lower() == "count" and self._peek(1).text == "(":
            self._next += 1
            self._take("(")
            self._take(")")
            return True, []
        fields = [self._selected()]
        while self._took(","):
            fields.append(self._selected())
        return False, fields

    def _selected(self) -> Selected | Query:
        if self._took("("):
            inner = self.query()
            self._take(")")
            return inner
        name = self._name()
        return Selected(path=name.text, at=name.at)

    def _condition(self) -> Condition:
        """Take conditions joined by one kind of word; AND and OR do not mix without brackets."""
        self._deeper()
        found = [self._simple()]
        word = self._peek().text.lower()
        while word in ("and", "or") and self._took(word):
            found.append(self._simple())
        if self._peek().text.lower() in ("and", "or"):
            raise self._unexpected()
        self._depth -= 1
        return found[0] if len(found) == 1 else Junction(kind=word, conditions=found)

    def _simple(self) -> Condition:
        if self._took("not"):
            self._deeper()
            inner = Junction(kind="not", conditions=[self._simple()])
            self._depth -= 1
            return inner
        if self._took("("):
            condition = self._condition()
            self._take(")")
            return condition
        return self._comparison()

    def _comparison(self) -> Comparison:
        name = self._name()
        operator = self._operator()
        if operator.endswith("in"):
            self._take("(")
            literals = [self._literal()]
            while self._took(","):
                literals.append(self._literal())
            self._take(")")
        else:
            literals = [self._literal(keep=_LIKE_ESCAPES if operator == "like" else ())]
        return Comparison(path=name.text, operator=operator, literals=literals, at=name.at)

    def _operator(self) -> str:
        if self._took("not"):
            self._take("in")
            return "not in"
        token = self._peek()
        if token.text.lower() in ("=", "!=", "<>", "<", "<=", ">", ">=", "like", "in"):
            self._next += 1
            return "!=" if token.text == "<>" else token.text.lower()
        raise self._unexpected()

    def _literal(self, keep: Sequence[str] = ()) -> Literal:
        token = self._peek()
        self._next += 1
        match token.kind:
            case "string":
                return Literal(kind="string", value=self._unescaped(token, keep))
            case "number":
                return Literal(kind="number", value=float(token.text))
            case "date" | "datetime":
                return Literal(kind=token.kind, value=token.text)
        match token.text.lower():
            case "true" | "false":
                return Literal(kind="boolean", value=token.text.lower() == "true")
            case "null":
                return Literal(kind="null", value=None)
        self._next -= 1
        raise self._unexpected()

    def _unescaped(self, token: Token, keep: Sequence[str]) -> str:
        def replace(match: re.Match[str]) -> str:
            char = match[1]
            if char in keep or (char == "\\" and keep):
                return match[0]
            if char not in _ESCAPES and char not in _LIKE_ESCAPES:
                message = f"Invalid string literal '{token.text}'. Illegal character sequence"
                raise malformed(self._text, token.at, f"{message} '\\{char}' in string literal.")
            return _ESCAPES.get(char, char)

        return re.sub(r"\\(.)", replace, token.text[1:-1], flags=re.DOTALL)

    def _order(self) -> list[Order]:
        self._take("by")
        found = [self._ordering()]
        while self._took(","):
            found.append(self._ordering())
        return found

    def _ordering(self) -> Order:
        name = self._name()
        descending = self._took("desc")
        if not descending:
            self._took("asc")
        nulls_last = False
        if self._took("nulls"):
            nulls_last = self._took("last")
            if not nulls_last:
                self._take("first")
        return Order(path=name.text, descending=descending, nulls_last=nulls_last, at=name.at)

    def _whole_number(self) -> int:
        token = self._peek()
        if not token.text.isdigit():
            raise self._unexpected()
        self._next += 1
        return int(token.text)

    def _name(self) -> Token:
        token = self._peek()
        if token.kind != "name" or token.text.lower() in _RESERVED - {"order"}:
            raise self._unexpected()
        self._next += 1
        return token

    def _peek(self, ahead: int = 0) -> Token:
        place = self._next + ahead
        if place < len(self._tokens):
            return self._tokens[place]
        return Token(kind="end", text="", at=len(self._text))

    def _at(self) -> int:
        return self._peek().at

    def _took(self, text: str) -> bool:
        token = self._peek()
        if token.kind == "string" or token.text.lower() != text:
            return False
        self._next += 1
        return True

    def _take(self, text: str) -> None:
        if not self._took(text):
            raise self._unexpected()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise malformed(self._text, self._at(), "the query is nested too deeply")

    def _unexpected(self) -> RefusalError:
        token = self._peek()
        shown = "'<EOF>'" if token.kind == "end" else f"'{token.text}'"
        return malformed(self._text, token.at, f"unexpected token: {shown}")
