"""Which parts of a response are kept, and how it is given again."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from portico.contract.media import acceptable
from portico.idempotency.policy import Policy
from portico.idempotency.record import Field, StoredResponse
from portico.problems import NOT_ACCEPTABLE, Problem

REPLAYED = (b"idempotent-replayed", b"true")
STATUS_FIELD = b"idempotency-status"

_KEPT = frozenset(
    {
        b"content-type",
        b"content-language",
        b"content-disposition",
        b"location",
        b"content-location",
        b"etag",
        b"last-modified",
        b"link",
        b"cache-control",
        b"deprecation",
        b"sunset",
    }
)
# Belongs to one caller, one connection or one moment: never kept, whatever a contract declares.
_NEVER_KEPT = frozenset(
    {
        b"set-cookie",
        b"set-cookie2",
        b"authorization",
        b"www-authenticate",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"authentication-info",
        b"proxy-authentication-info",
        b"date",
        b"age",
        b"via",
        b"server",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
        b"content-encoding",
        b"retry-after",
        b"server-timing",
        b"traceparent",
        b"tracestate",
        b"traceresponse",
        b"x-request-id",
        b"x-correlation-id",
        b"cache-status",
        b"vary",
        b"content-security-policy",
        b"content-security-policy-report-only",
        b"preference-applied",
        b"idempotent-replayed",
        STATUS_FIELD,
    }
)
_NEVER_KEPT_PREFIXES = (b"ratelimit", b"x-ratelimit", b"access-control-")
# These have no end that could be waited for.
_ENDLESS = (b"text/event-stream", b"multipart/x-mixed-replace")


@dataclass(slots=True)
class Answer:
    """A response on its way out; header names in lower case, `body` complete or a stream."""

    status: int
    headers: list[Field] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
    # Called when the response was sent, or its caller is gone.
    aclose: Callable[[], Awaitable[None]] | None = None
    replayed: bool = False

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header field."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


def kept_headers(headers: Iterable[Field], policy: Policy) -> tuple[Field, ...]:
    """Return the lines that are stored, each as it is: nothing is joined or split."""
    declared = policy.kept_headers
    return tuple(
        line
        for line in headers
        if line[0] in _KEPT
        or (
            line[0] in declared
            and line[0] not in _NEVER_KEPT
            and not line[0].startswith(_NEVER_KEPT_PREFIXES)
        )
    )


def replay(stored: StoredResponse, accept: str = "") -> Answer:
    """Return a stored response again; raises 406 where this attempt does not accept it."""
    answer = Answer(stored.status, [*stored.headers, REPLAYED], stored.body, replayed=True)
    content_type = answer.header(b"content-type")
    if accept and accept != "*/*" and content_type and stored.status < 300:
        offered = content_type.decode("latin-1")
        if acceptable(accept, [offered]) is None:
            raise Problem(
                NOT_ACCEPTABLE,
                f"the response that was stored for this key is {offered}",
                extensions={"produces": [offered]},
            )
    return answer


def is_endless(answer: Answer) -> bool:
    """Tell whether a stream is one that nobody should wait for the end of."""
    content_type = answer.header(b"content-type") or b""
    return content_type.lower().startswith(_ENDLESS)


def storable_body(answer: Answer, body: bytes, limit: int) -> bytes | None:
    """Return a body without its content coding, or None when it is too large or not decodable.

    What is stored is re-encoded for each attempt, by what that attempt accepts.
    """
    if len(body) > limit:
        return None
    coding = (answer.header(b"content-encoding") or b"identity").strip().lower()
    if coding == b"identity" or not body:
        return body
    if coding in {b"gzip", b"x-gzip", b"deflate"}:
        return _decode(body, limit)
    return None


def _decode(body: bytes, limit: int) -> bytes | None:
    decoder = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # recognizes gzip and zlib
    try:
        decoded = decoder.decompress(body, limit + 1)
    except zlib.error:
        return None
    return decoded if decoder.eof and len(decoded) <= limit else None
