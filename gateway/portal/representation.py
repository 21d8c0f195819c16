"""Bytes ready to send: hashed and compressed once, answered with 304 where the client has them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response

from gateway.portal.content_coding import accepts_gzip

REVALIDATE = "no-cache"
FOREVER = "public, max-age=31536000, immutable"

MIN_COMPRESSED_BYTES = 1024  # below one packet, compression saves nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """One content in one media type. `compressed` is empty where it would save nothing."""

    media_type: str
    body: bytes
    compressed: bytes
    digest: str
    headers: Mapping[str, str]

    def respond(self, request: Headers, *, status: int = 200) -> Response:
        """Return the response to a GET with these request headers: 200, or 304 without a body."""
        packed = bool(self.compressed) and accepts_gzip(request.get("accept-encoding", ""))
        etag = f'"{self.digest}-gzip"' if packed else f'"{self.digest}"'
        headers = {**self.headers, "vary": _vary(self.headers), "etag": etag}
        if status == 200 and _matches(request.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        if packed:
            headers["content-encoding"] = "gzip"
        headers["content-type"] = self.media_type
        return Response(self.compressed if packed else self.body, status, headers)


def represent(body: bytes, media_type: str, headers: Mapping[str, str]) -> Representation:
    """Return the representation of `body`, compressed if that makes it smaller."""
    compressed = gzip.compress(body, mtime=0) if len(body) >= MIN_COMPRESSED_BYTES else b""
    return Representation(
        media_type=media_type,
        body=body,
        compressed=compressed if len(compressed) < len(body) else b"",
        digest=hashlib.sha256(body).hexdigest()[:32],
        headers=headers,
    )


@dataclass(slots=True, kw_only=True)
class Variant:
    """A representation that is made when it is first asked for, off the event loop, and kept."""

    media_type: str
    build: Callable[[], bytes]
    headers: Mapping[str, str]
    _made: Representation | None = field(default=None, init=False)

    async def representation(self) -> Representation:
        # Two first requests at once may both build it; the results are equal.
        if self._made is None:
            self._made = await run_in_threadpool(self._make)
        return self._made

    def _make(self) -> Representation:
        return represent(self.build(), self.media_type, self.headers)


def _vary(headers: Mapping[str, str]) -> str:
    return ", ".join(filter(None, ("Accept-Encoding", headers.get("vary", ""))))


def _matches(if_none_match: str, etag: str) -> bool:
    """Compare weakly, as RFC 9110 section 13.1.2 asks for If-None-Match."""
    if if_none_match.strip() == "*":
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in if_none_match.split(","))
