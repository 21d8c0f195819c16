"""Problems as bytes on a connection, for requests that no application answers."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from portico.problems import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_logger = logging.getLogger(__name__)

Field = tuple[bytes, bytes]


def _random_id() -> str:
    # Ids need to be unlikely to collide, not hard to guess.
    return f"{random.getrandbits(64):016x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What is known of a request that was refused before it became one; no data of the client."""

    slug: str
    status: int
    detail: str
    peer: str
    request_id: str


def log_refusal(refusal: Refusal) -> None:
    """Write one line; the default of `Gate.on_refusal`."""
    _logger.info(
        "refused %d %s peer=%s request=%s: %s",
        refusal.status,
        refusal.slug,
        refusal.peer,
        refusal.request_id,
        refusal.detail,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemWriter:
    """Turns problems into responses; `type_base` is the URI that problem slugs are appended to."""

    type_base: str = "/portal/problems/"
    new_request_id: Callable[[], str] = _random_id

    def content(self, problem: Problem, request_id: str) -> tuple[list[Field], bytes]:
        """Return the header fields and the body of a response."""
        body = problem.body(type_base=self.type_base, request_id=request_id)
        fields = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"content-language", b"en"),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request_id.encode()),
        ]
        fields += [(name.lower().encode(), value.encode()) for name, value in problem.headers]
        return fields, body

    def last_response(
        self, problem: Problem, request_id: str, *, more: Iterable[Field], head: bool
    ) -> bytes:
        """Return the bytes of a whole response after which the connection closes."""
        fields, body = self.content(problem, request_id)
        lines = [
            b"HTTP/1.1 %d %s\r\n" % (problem.status, HTTPStatus(problem.status).phrase.encode())
        ]
        for name, value in (*more, *fields, (b"connection", b"close")):
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n", b"" if head else body)
        return b"".join(lines)
