"""One request to a system and its answer, before and after they travel."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import quote, urlencode

import httpx

from portico.connectors import exact_json
from portico.connectors.failures import BrokenError
from portico.deadline import Deadline
from portico.trace import Trace

_UNRESERVED = frozenset(f"{string.ascii_letters}{string.digits}-._~")  # RFC 3986, 2.3
_SAFE_METHODS = frozenset({"GET", "HEAD"})
# The longest wait that is believed; a system should not be able to shut us out for long.
MAX_RETRY_AFTER_SECONDS = 3600.0
Pairs = Sequence[tuple[str, str]]


class Errand(Protocol):
    """What a request is sent for: `Call` is one, and so is a `Job` that nobody called."""

    @property
    def deadline(self) -> Deadline: ...
    @property
    def trace(self) -> Trace: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work of our own, such as a poll."""

    deadline: Deadline
    trace: Trace = field(default_factory=Trace.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `operation` names it in counters and logs; `path` is relative to the base URL.

    `repeatable` tells that sending it twice is like sending it once: a read, or a write that
    carries a key the system remembers.
    """

    operation: str
    method: str
    path: str
    query: Pairs = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    repeatable: bool = False

    @property
    def writes(self) -> bool:
        """Tell whether the request may change something."""
        return self.method not in _SAFE_METHODS

    @property
    def target(self) -> str:
        """Return path and query."""
        if not self.query:
            return self.path
        pairs = (f"{quoted(name)}={quoted(value)}" for name, value in self.query)
        return f"{self.path}?{'&'.join(pairs)}"

    def __str__(self) -> str:
        # Without the query: a filter may hold a customer's name.
        return f"{self.method} {self.operation}"


def quoted(text: str) -> str:
    """Return a text as it stands in a query, a space as %20: some systems take a plus sign for one.

    The same as `quote`, which looks at each character by itself; queries are long.

    >>> quoted("Name = '50% & more'")
    'Name%20%3D%20%2750%25%20%26%20more%27'
    """
    if not text.isascii():
        return quote(text, safe="")
    others = set(text) - _UNRESERVED
    if "%" in others:
        text = text.replace("%", "%25")
        others.remove("%")
    for other in others:
        text = text.replace(other, f"%{ord(other):02X}")
    return text


def read(
    operation: str, path: str, query: Pairs = (), headers: Mapping[str, str] | None = None
) -> Request:
    """Return a GET request."""
    return Request(
        operation=operation,
        method="GET",
        path=path,
        query=query,
        headers=headers or {},
        repeatable=True,
    )


def write(
    operation: str,
    path: str,
    *,
    method: str = "POST",
    json: object = None,
    form: Pairs | None = None,
    query: Pairs = (),
    headers: Mapping[str, str] | None = None,
    repeatable: bool = False,
) -> Request:
    """Return a request that changes something, with a body of JSON or of a form."""
    fields = dict(headers or {})
    content: bytes | None = None
    if form is not None:
        fields.setdefault("content-type", "application/x-www-form-urlencoded")
        content = urlencode(form).encode()
    elif json is not None:
        fields.setdefault("content-type", "application/json")
        content = exact_json.encode(json)
    return Request(
        operation=operation,
        method=method,
        path=path,
        query=query,
        headers=fields,
        content=content,
        repeatable=repeatable,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes

    def json(self) -> object:
        """Return the data of the body, numbers with decimals as Decimal; raises BrokenError."""
        try:
            return exact_json.decode(self.body)
        except ValueError as error:
            raise BrokenError("the system answered something that is not JSON") from error

    def record(self) -> Mapping[str, object]:
        """Return the JSON object of the body; raises BrokenError."""
        data = self.json()
        if not isinstance(data, dict):
            raise BrokenError("the system answered JSON that is not an object")
        return data

    def retry_after_seconds(self) -> float | None:
        """Return how long the system wants to be left alone (RFC 9110, 10.2.3), None if unsaid."""
        value = self.headers.get("retry-after", "").strip()
        if not value:
            return None
        if value.isascii() and value.replace(".", "", 1).isdigit() and len(value) < 12:
            return min(float(value), MAX_RETRY_AFTER_SECONDS)
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            return None
        seconds = (moment - datetime.now(UTC)).total_seconds()
        return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)
