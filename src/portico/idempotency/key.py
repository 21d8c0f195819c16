"""The request header field Idempotency-Key and its neighbours: read strictly, bare keys allowed.

The draft makes the value a structured-field String (RFC 9651), in double quotes. Most clients send
it bare, so both are read unless `strict`, and mean the same key.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from uuid import UUID

from portico.idempotency.problems import KEY_MALFORMED, KEY_MISSING
from portico.problem_type import ProblemType
from portico.problems import Problem

MAX_KEY_LENGTH = 255
# A client may wait this long for the first attempt; its connection is held meanwhile.
MAX_WAIT_SECONDS = 60
# For methods that are safe there is nothing to protect (RFC 9110, 9.2.1; RFC 10008).
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})

_STRING = re.compile(rb'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")
# A structured-field Integer or Decimal, or a longer row of digits that looks like one.
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_WAIT = re.compile(
    rb'(?:^|[,;])[ \t]*wait[ \t]*=[ \t]*"?(\d{1,9})"?[ \t]*(?:$|[,;])', re.IGNORECASE
)
_UNIX_TO_2100_MS = 4_102_444_800_000


def applies(method: str) -> bool:
    """Tell whether a key means something for a method; safe methods ignore it."""
    return method not in _SAFE_METHODS


def read_key(value: bytes, *, strict: bool = False, type_base: str = "/portal/problems/") -> str:
    """Return the key in the value of the header field; raises Problem 400 when it is malformed.

    Several lines of the field are one value with commas (RFC 9110, 5.3), and so no key. `strict`
    refuses a key that is not in double quotes.
    """
    raw = value.strip(b" \t")
    quoted = _STRING.fullmatch(raw)
    if quoted is not None:
        key = quoted.group(1)
        if b"\\" in key:
            key = re.sub(rb"\\(.)", rb"\1", key)
    else:
        key = _bare(raw, type_base, strict=strict)
    if not key:
        raise _malformed("the key is empty", type_base)
    if len(key) > MAX_KEY_LENGTH:
        raise _malformed(f"the key is longer than {MAX_KEY_LENGTH} characters", type_base)
    return key.decode("ascii")


def missing_key(type_base: str = "/portal/problems/") -> Problem:
    """Return the problem of a request without the key that its operation requires."""
    return described(KEY_MISSING, "send the header Idempotency-Key", type_base)


def described(kind: ProblemType, detail: str, type_base: str) -> Problem:
    """Return a problem with the link to its page that the draft asks for."""
    link = f'<{type_base}{kind.slug}>; rel="describedby"; type="text/html"'
    return Problem(kind, detail, headers=[("Link", link)])


def read_wait_seconds(prefer: bytes | None) -> float:
    """Return n of `Prefer: wait=n` (RFC 7240), 0 without one."""
    if prefer is None:
        return 0.0
    found = _WAIT.search(prefer)
    return float(min(int(found.group(1)), MAX_WAIT_SECONDS)) if found else 0.0


def read_first_sent_ms(key: str, repeatability_first_sent: bytes | None) -> int:
    """Return when a request was first sent, in milliseconds since 1970, or 0 when it is not known.

    A client says so in Repeatability-First-Sent (an HTTP date), or in a key that is a UUIDv7.
    """
    if repeatability_first_sent is not None:
        try:
            date = parsedate_to_datetime(repeatability_first_sent.decode("latin-1"))
            return max(0, int(date.timestamp() * 1000))
        except (ValueError, OverflowError):
            return 0
    if len(key) == 36 and key[14] == "7":
        return _uuid7_ms(key)
    return 0


def _uuid7_ms(key: str) -> int:
    try:
        milliseconds = UUID(key).int >> 80
    except ValueError:
        return 0
    return milliseconds if milliseconds < _UNIX_TO_2100_MS else 0


def _bare(raw: bytes, type_base: str, *, strict: bool) -> bytes:
    """Return a key that is not in quotes, or raise Problem with what is wrong with it."""
    if strict and raw:
        raise _malformed('the key is not in double quotes: "…"', type_base)
    if _NUMBER.fullmatch(raw):
        raise _malformed("a bare number is not a key; put it in double quotes", type_base)
    if not raw or _BARE.fullmatch(raw):
        return raw
    string = _STRING.match(raw) or _BARE.match(raw)
    if string is not None:
        rest = raw[string.end() :].lstrip(b" \t")
        if rest.startswith(b";"):
            raise _malformed("the key has parameters, and none is known", type_base)
        if rest.startswith(b","):
            raise _malformed("there is more than one key", type_base)
    raise _malformed("the value is neither a string in double quotes nor a token", type_base)


def _malformed(detail: str, type_base: str) -> Problem:
    return described(KEY_MALFORMED, detail, type_base)
