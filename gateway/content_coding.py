"""Request bodies that come packed (RFC 9110, 8.4): gzip is read, within the limit of the body."""

from __future__ import annotations

import asyncio
import zlib

from portico.problems import CONTENT_TOO_LARGE, MALFORMED_REQUEST, UNSUPPORTED_MEDIA_TYPE, Problem

# `x-gzip` is an old name of the same (RFC 9110, 8.4.1.3).
_GZIP = frozenset({b"gzip", b"x-gzip"})
_NONE = frozenset({b"", b"identity"})
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
# So little cannot become more than a mebibyte, which takes no longer than to ask a thread.
_INLINE_BYTES = 1024


def is_packed(coding: bytes) -> bool:
    """Tell whether a body has to be unpacked; raises 415 where that is not possible."""
    name = coding.strip().lower()
    if name in _NONE:
        return False
    if name in _GZIP:
        return True
    raise Problem(
        UNSUPPORTED_MEDIA_TYPE,
        f"the content coding {coding.decode('latin-1')[:100]!r} is not read",
        headers=[("Accept-Encoding", "gzip, identity")],  # RFC 9110, 15.5.16
        extensions={"readsCodings": ["gzip", "identity"]},
    )


async def unpacked(body: bytes, limit: int) -> bytes:
    """Return what a body holds; raises 400 where it is no gzip, 413 where it holds too much."""
    if len(body) <= _INLINE_BYTES:
        return _unpack(body, limit)
    return await asyncio.to_thread(_unpack, body, limit)


def _unpack(body: bytes, limit: int) -> bytes:
    """Unpack all members of a gzip body (RFC 1952, 2.2), and never much more than `limit` bytes."""
    parts: list[bytes] = []
    room = limit
    while body or not parts:
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            parts.append(member.decompress(body, room + 1))
        except zlib.error:
            raise Problem(MALFORMED_REQUEST, "the body is not gzip, as its header says") from None
        room -= len(parts[-1])
        if room < 0:
            raise Problem(
                CONTENT_TOO_LARGE,
                f"the body may have {limit} bytes once it is unpacked",
                extensions={"limitBytes": limit},
            )
        if not member.eof:
            raise Problem(MALFORMED_REQUEST, "the gzip of the body ends too early")
        body = member.unused_data
    return b"".join(parts)
