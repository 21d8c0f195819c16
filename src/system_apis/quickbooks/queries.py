"""Queries of QuickBooks: SQL-like text in which values are quoted and escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MAX_RESULTS = 1000


def quoted(value: str) -> str:
    r"""Return a value as a query has it.

    >>> quoted("O'Brien")
    "'O\\'Brien'"
    """
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def equal(field: str, value: str) -> str:
    return f"{field} = {quoted(value)}"


def one_of(field: str, values: Iterable[str]) -> str:
    return f"{field} IN ({', '.join(map(quoted, values))})"


def select(entity: str, conditions: Sequence[str] = (), *, start: int = 1, limit: int = 100) -> str:
    """Return a query for some records, the oldest first; positions count from 1."""
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    page = f"STARTPOSITION {start} MAXRESULTS {limit}"
    return f"SELECT * FROM {entity}{where} ORDERBY Id {page}"  # noqa: S608  # values are quoted
