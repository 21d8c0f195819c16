"""Request bodies that come packed (RFC 9110, 8.4): gzip is read, within the limit of the body."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator

from portico.problems import CONTENT_TOO_LARGE, MALFORMED_REQUEST, UNSUPPORTED_MEDIA_TYPE, Problem

# `x-gzip` is an old name of the same (RFC 9110, 8.4.1.3).
_GZIP = frozenset({b"gzip", b"x-gzip"})
_NONE = frozenset({b"", b"identity"})
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
# Unpacking so much takes some tens of microseconds; then it is the turn of other requests.
_SLICE_BYTES = 32_768


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
    parts: list[bytes] = []
    size = 0
    for part in _slices(body):
        size += len(part)
        if size > limit:
            raise Problem(
                CONTENT_TOO_LARGE,
                f"the body may have {limit} bytes once it is unpacked",
                extensions={"limitBytes": limit},
            )
        if parts:
            await asyncio.sleep(0)
        parts.append(part)
    return b"".join(parts)


def _slices(body: bytes) -> Iterator[bytes]:
    """Yield what the members of a gzip body hold (RFC 1952, 2.2), some at a time."""
    while True:
        member = zlib.decompressobj(_GZIP_WINDOW)
        while not member.eof:
            try:
                part = member.decompress(body, _SLICE_BYTES)
            except zlib.error:
                detail = "the body is not gzip, as its header says"
                raise Problem(MALFORMED_REQUEST, detail) from None
            body = member.unconsumed_tail
            if not part and not body and not member.eof:
                raise Problem(MALFORMED_REQUEST, "the gzip of the body ends too early")
            yield part
        body = member.unused_data
        if not body:
            return
