"""The fields that frame a request (RFC 9112): exactly one reading of them, or a refusal.

httptools refuses malformed lines, values and lengths itself; this holds what it lets through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portico.problems import MALFORMED_REQUEST, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

FRAMING_FIELDS = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"}
)
"""The only fields this layer reads, in lower case."""

_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")
# The longest number of 64 bits; httptools refuses more, and so does every server behind us.
_MAX_LENGTH_DIGITS = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """What the framing fields of one request say."""

    host: bytes
    chunked: bool
    has_body: bool
    expects_continue: bool
    names_upgrade: bool


def read_framing(version: str, fields: Sequence[tuple[bytes, bytes]]) -> Framing:
    """Return the only reading of the framing fields; raise `Problem` where there could be two."""
    if version not in {"1.0", "1.1"}:
        raise _malformed(f"HTTP/{version} is not spoken here; use HTTP/1.1")
    values = {name: [v for n, v in fields if n == name] for name in FRAMING_FIELDS}
    chunked = _is_chunked(version, values[b"transfer-encoding"], values[b"content-length"])
    length = _content_length(values[b"content-length"])
    return Framing(
        host=_host(version, values[b"host"]),
        chunked=chunked,
        has_body=chunked or length > 0,
        # A client of HTTP/1.0 cannot read an interim response.
        expects_continue=version == "1.1" and _lower(values[b"expect"]) == [b"100-continue"],
        names_upgrade=bool(values[b"upgrade"]),
    )


def _host(version: str, values: list[bytes]) -> bytes:
    if not values and version == "1.0":
        return b""
    if len(values) != 1:
        raise _malformed(f"the request must have exactly one Host field, found {len(values)}")
    if not _HOST.match(values[0]):
        raise _malformed("the Host field must be a host name or address with an optional port")
    return values[0]


def _is_chunked(version: str, codings: list[bytes], lengths: list[bytes]) -> bool:
    if not codings:
        return False
    if version == "1.0":
        raise _malformed("Transfer-Encoding is not part of HTTP/1.0")
    if lengths:
        raise _malformed("the request has both Transfer-Encoding and Content-Length")
    if _lower(codings) != [b"chunked"]:
        raise _malformed("the only Transfer-Encoding accepted is chunked, once")
    return True


def _content_length(lengths: list[bytes]) -> int:
    if not lengths:
        return 0
    if len(lengths) > 1:
        raise _malformed("the request has more than one Content-Length")
    if not lengths[0].isdigit() or len(lengths[0]) > _MAX_LENGTH_DIGITS:
        raise _malformed("Content-Length must be a decimal number")
    return int(lengths[0])


def _lower(values: list[bytes]) -> list[bytes]:
    return [value.lower() for value in values]


def _malformed(detail: str) -> Problem:
    return Problem(MALFORMED_REQUEST, detail)
