"""Queries in SOQL, in which every value is quoted here and nowhere else.

The rules of quoting are from Salesforce's SOQL reference ("Quoted String Escape Sequences").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_ESCAPES = str.maketrans(
    {
        "\\": "\\\\",
        "'": "\\'",
        '"': '\\"',
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\b": "\\b",
        "\f": "\\f",
    }
)
_WILDCARDS = str.maketrans({"%": "\\%", "_": "\\_"})


def quoted(text: str) -> str:
    """Return a text as a literal.

    >>> print(quoted("O'Hara"))
    'O\\'Hara'
    """
    return f"'{text.translate(_ESCAPES)}'"


def equal(path: str, text: str) -> str:
    """Return the condition that a field is a text."""
    return f"{path} = {quoted(text)}"


def one_of(path: str, texts: Iterable[str]) -> str:
    """Return the condition that a field is one of some texts."""
    return f"{path} IN ({','.join(map(quoted, texts))})"


def containing(text: str, *paths: str) -> str:
    """Return the condition that one of some fields contains a text, whatever its case."""
    pattern = f"'%{text.translate(_ESCAPES).translate(_WILDCARDS)}%'"
    return f"({' OR '.join(f'{path} LIKE {pattern}' for path in paths)})"


def instant(moment: datetime) -> str:
    """Return a moment as a literal, which has no quotes; SOQL compares to the second.

    >>> instant(datetime(2026, 11, 2, 9, 30, tzinfo=UTC))
    '2026-11-02T09:30:00Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked for; all `conditions` must hold."""

    source: str
    fields: Sequence[str]
    conditions: Sequence[str] = ()
    order: str = ""
    limit: int | None = None

    def nested(self) -> str:
        """Return the query as one of the fields of another; its source is a relationship then."""
        return f"({self})"

    def __str__(self) -> str:
        # Texts of a caller are in the conditions only, and quoted there.
        parts = ["SELECT", ", ".join(self.fields), "FROM", self.source]
        if self.conditions:
            parts += ["WHERE", " AND ".join(self.conditions)]
        if self.order:
            parts += ["ORDER BY", self.order]
        if self.limit is not None:
            parts += ["LIMIT", str(self.limit)]
        return " ".join(parts)
