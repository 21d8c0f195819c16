"""Cross-origin requests from web pages (the Fetch standard's CORS protocol)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gateway.endpoints import Endpoint
from gateway.exchange import Field

_VARY = (b"vary", b"Origin")
_EXPOSED = (
    b"Location, ETag, Link, Retry-After, X-Request-Id, Deprecation, Sunset, WWW-Authenticate, "
    b"DPoP-Nonce, Idempotent-Replayed, Idempotency-Status, RateLimit, RateLimit-Policy"
)
_ALLOWED = (
    "Authorization",
    "Content-Type",
    "DPoP",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Prefer",
    "Repeatability-First-Sent",
)
# What an upstream says about origins gives way to the policy here.
_REPLACED = frozenset(
    {
        b"access-control-allow-credentials",
        b"access-control-allow-origin",
        b"access-control-expose-headers",
    }
)


class CORSPolicy:
    """Which origins may read answers; `*` is any, without credentials either way."""

    def __init__(self, origins: Sequence[str], max_age_seconds: int) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)
        self._max_age = str(max_age_seconds).encode()

    def applied(self, request: Mapping[bytes, bytes], answer: Sequence[Field]) -> list[Field]:
        """Return the fields of an answer to a request, with those of this policy."""
        fields = [field for field in answer if field[0] not in _REPLACED]
        fields.append(_VARY)
        origin = request.get(b"origin")
        if origin is not None and (self._any or origin in self._origins):
            fields.append((b"access-control-allow-origin", b"*" if self._any else origin))
            fields.append((b"access-control-expose-headers", _EXPOSED))
        return fields

    def preflight(
        self, headers: Mapping[bytes, bytes], allow: str, endpoints: Iterable[Endpoint]
    ) -> list[Field]:
        """Return the fields a preflight asks for besides those of every answer."""
        if b"access-control-request-method" not in headers:
            return []
        names = {name.lower(): name for name in _ALLOWED}
        for endpoint in endpoints:
            for parameter in endpoint.operation.parameters:
                if parameter.where == "header":
                    names.setdefault(parameter.name.lower(), parameter.name)
            for alternative in endpoint.security.alternatives:
                for need in alternative.keys:
                    if need.where == "header":
                        names.setdefault(need.name.lower(), need.name)
        return [
            (b"access-control-allow-methods", allow.encode()),
            (b"access-control-allow-headers", ", ".join(names.values()).encode()),
            (b"access-control-max-age", self._max_age),
        ]
