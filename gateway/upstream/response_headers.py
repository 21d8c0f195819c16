"""The header section that goes back to the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from gateway.upstream.fields import (
    HOP_BY_HOP,
    MAX_REMEMBERED_BYTES,
    MAX_REMEMBERED_NAMES,
    connection_options,
    is_field_name,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.upstream.messages import Field
    from gateway.upstream.options import UpstreamOptions

# Twice what browsers and proxies take; an answer with more is a fault or an attack.
MAX_HEADER_BYTES = 65_536
_DROPPED = b""
# Dropped too, but these say something. No field can have this name.
_HEEDED = b":heeded"
_HEED = frozenset({b"connection", b"transfer-encoding"})


class ResponseHeaders:
    """The header policy for the answers of one upstream."""

    __slots__ = ("_dropped", "_names", "_via")

    def __init__(self, options: UpstreamOptions) -> None:
        self._dropped = HOP_BY_HOP | ({b"set-cookie"} if options.cookies == "drop" else set())
        self._via = {
            version: (b"via", version[5:] + b" " + options.pseudonym.encode())
            for version in (b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2", b"HTTP/3")
        }
        self._names: dict[bytes, bytes] = {}

    def build(
        self, status: int, received: Sequence[Field], http_version: bytes = b"HTTP/1.1"
    ) -> list[Field]:
        """Return the fields to pass on, with names in lower case.

        Raises RemoteProtocolError for fields that could be read as something else.
        """
        values = b"".join([value for _, value in received])
        if b"\n" in values or b"\r" in values or b"\0" in values:
            raise httpx.RemoteProtocolError("a header value contains CR, LF or NUL")
        if len(values) > MAX_HEADER_BYTES:
            raise httpx.RemoteProtocolError(f"the header section exceeds {MAX_HEADER_BYTES} bytes")
        names = self._names
        fields: list[Field] = []
        options: list[bytes] = []
        for name, value in received:
            lower = names.get(name)
            if lower is None:
                lower = self._judge(name)
            if lower is _HEEDED:
                options += self._heed(name, value)
            elif lower:
                fields.append((lower, value))
        if options:
            named = connection_options(options)
            fields = [field for field in fields if field[0] not in named]
        if status == 204:
            # RFC 9110 section 8.6; some servers send it all the same.
            fields = [field for field in fields if field[0] != b"content-length"]
        fields.append(self._via.get(http_version, self._via[b"HTTP/1.1"]))
        return fields

    def _heed(self, name: bytes, value: bytes) -> list[bytes]:
        """Return what a Connection field names; raise for a transfer coding not understood."""
        if name.lower() == b"connection":
            return [value]
        if value.lower() != b"chunked":
            raise httpx.RemoteProtocolError("the only transfer coding understood is chunked")
        return []

    def _judge(self, name: bytes) -> bytes:
        """Return the lower-case name, or nothing if the field is dropped."""
        if not is_field_name(name):
            raise httpx.RemoteProtocolError("a header field has a name that is not a token")
        lower = name.lower()
        if lower in _HEED:
            lower = _HEEDED
        elif lower in self._dropped:
            lower = _DROPPED
        if len(name) <= MAX_REMEMBERED_BYTES and len(self._names) < MAX_REMEMBERED_NAMES:
            self._names[name] = lower
        return lower
