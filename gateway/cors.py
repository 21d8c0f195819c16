"""Cross-origin requests from web pages (the Fetch standard's CORS protocol)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.exchange import Field

_VARY = (b"vary", b"Origin")
_EXPOSED = b"Location, ETag, Link, Retry-After, X-Request-Id, Deprecation, Sunset, WWW-Authenticate"
_ALLOWED = b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer"


class CORSPolicy:
    """Which origins may read answers; `*` is any, without credentials either way."""

    def __init__(self, origins: Sequence[str], max_age_seconds: int) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)
        self._max_age = str(max_age_seconds).encode()

    def fields(self, headers: Mapping[bytes, bytes]) -> list[Field]:
        """Return the fields every answer carries."""
        origin = headers.get(b"origin")
        if origin is None or not (self._any or origin in self._origins):
            return [_VARY]
        return [
            _VARY,
            (b"access-control-allow-origin", b"*" if self._any else origin),
            (b"access-control-expose-headers", _EXPOSED),
        ]

    def preflight(self, headers: Mapping[bytes, bytes], allow: str) -> list[Field]:
        """Return the fields a preflight asks for besides those of every answer."""
        if b"access-control-request-method" not in headers:
            return []
        return [
            (b"access-control-allow-methods", allow.encode()),
            (b"access-control-allow-headers", _ALLOWED),
            (b"access-control-max-age", self._max_age),
        ]
