"""One request of Tryton's REST protocol (8.x), and what each answer and each failure means.

How Tryton behaves, as tried against 8.2:
- A search takes its domain and order as base64 in the query, its page as a Range header, and the
  context (company, stock locations) in X-Tryton-Context. An empty page past the first is 416.
- A validation, a business rule or a warning is 400 with a JSON message; the warning is 409 on
  other ways into Tryton. An unknown field or model is 500 with HTML: a mistake of ours, never
  worth a retry.
- 423 says that the record is held or changed by somebody else, 429 that we ask too much, 503
  that the database was busy and nothing was changed.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx

from system_apis.tryton.failures import (
    RETRY_AFTER_SECONDS,
    BrokenError,
    LockedError,
    MissingError,
    OutOfTimeError,
    RefusedError,
    TrytonError,
    UnavailableError,
    UnreachableError,
)
from system_apis.tryton.wire import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

logger = logging.getLogger("system_apis.tryton")

MAX_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, before it has a deadline."""

    method: str
    path: str
    fields: Sequence[str] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None

    @property
    def writes(self) -> bool:
        """Tell whether the request may change something."""
        return self.method != "GET"

    @property
    def target(self) -> str:
        """Return the path and query, relative to the base URL of the database."""
        query = [("f", name) for name in self.fields] + list(self.query.items())
        return f"rest/model/{self.path}?{urlencode(query)}"

    @property
    def content(self) -> bytes | None:
        """Return the body as it is sent."""
        return None if self.body is None else encode(self.body).encode()

    def __str__(self) -> str:
        # Without the query: a domain may hold a customer's name.
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes

    def data(self) -> object:
        """Return what the body stands for; raises WireError."""
        return decode(self.body) if self.body else None

    def message(self) -> str:
        """Return what Tryton says about its refusal."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return "tryton refused without a reason"
        if not isinstance(document, dict):
            return "tryton refused without a reason"
        parts = [str(document.get(name) or "") for name in ("message", "description")]
        return ": ".join(part for part in parts if part)

    def retry_after(self) -> int:
        """Return how many seconds Tryton wants to be left alone."""
        value = self.headers.get("retry-after", "")
        return int(value) if value.isascii() and value.isdigit() else RETRY_AFTER_SECONDS


async def read_answer(response: httpx.Response) -> Answer:
    """Return the answer of a streamed response; raises BrokenError if it is too long."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise BrokenError(f"tryton answered with more than {MAX_ANSWER_BYTES} bytes")
    finally:
        await response.aclose()
    return Answer(status=response.status_code, headers=response.headers, body=bytes(body))


def judge(request: Request, answer: Answer) -> object:
    """Return the data of a good answer; raises the failure that any other stands for."""
    match answer.status:
        case 200 | 204:
            return answer.data()
        case 416:
            return []
        case 400 | 409:
            raise RefusedError(answer.message())
        case 404:
            raise MissingError("tryton has no such record")
        case 423:
            raise LockedError("somebody else is changing the record")
        case 429:
            raise UnavailableError("tryton asks to wait", retry_after=answer.retry_after())
        case 503:
            # Tryton gives up on a busy database only after it rolled the transaction back.
            raise UnavailableError("tryton is too busy")
        case 502 | 504:
            raise UnavailableError("a proxy before tryton gets no answer", in_doubt=True)
        case 401:
            raise BrokenError("tryton does not accept the key of this API")
        case _:
            logger.error("tryton answered %s to %s", answer.status, request)
            raise BrokenError(f"tryton failed with {answer.status}; its own log says why")


# What httpx says, in the order it is looked up: the special before the general.
_FAILURES: tuple[tuple[type[Exception], TrytonError], ...] = (
    (httpx.PoolTimeout, UnavailableError("every connection to tryton is in use", retry_after=1)),
    (httpx.ConnectTimeout, UnreachableError("tryton does not answer")),
    (httpx.ConnectError, UnreachableError("tryton does not answer")),
    (TimeoutError, OutOfTimeError("tryton did not answer in time")),
    (httpx.TimeoutException, OutOfTimeError("tryton did not answer in time")),
    (httpx.NetworkError, UnavailableError("the connection to tryton broke", in_doubt=True)),
    (httpx.RemoteProtocolError, UnavailableError("tryton broke off its answer", in_doubt=True)),
    (httpx.HTTPError, BrokenError("tryton was sent or sent something that is not HTTP")),
)


@contextmanager
def map_exceptions() -> Iterator[None]:
    """Turn what the HTTP client raises into failures of Tryton."""
    try:
        yield
    except (httpx.HTTPError, TimeoutError) as error:
        raise _failure(error) from error


def _failure(error: Exception) -> TrytonError:
    known = next(failure for kind, failure in _FAILURES if isinstance(error, kind))
    if isinstance(known, UnavailableError):
        return type(known)(known.message, in_doubt=known.in_doubt, retry_after=known.retry_after)
    return type(known)(known.message)
