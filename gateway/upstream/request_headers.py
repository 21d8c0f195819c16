"""The header section that goes to the upstream: what is passed on, removed, replaced, added."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum
from typing import TYPE_CHECKING

from gateway.upstream.fields import (
    HOP_BY_HOP,
    MAX_REMEMBERED_BYTES,
    MAX_REMEMBERED_NAMES,
    connection_options,
    is_field_name,
    passed_through,
)
from gateway.upstream.origin import TrustedProxies, origin_writer
from portico.problems import LOOP_DETECTED, MALFORMED_REQUEST, NOT_IMPLEMENTED, Problem

if TYPE_CHECKING:
    from gateway.upstream.messages import Field, ForwardRequest
    from gateway.upstream.options import UpstreamOptions

# These are written anew, or are for this gateway alone.
_REPLACED = frozenset(
    {
        b"content-length",
        b"expect",
        b"forwarded",
        b"host",
        b"traceparent",
        b"tracestate",
        b"x-real-ip",
    }
)
# Servers, proxies and identity-aware proxies put these in; from a client they are forgeries.
_IDENTITY = frozenset(
    {
        b"cf-connecting-ip",
        b"client-ip",
        b"fastly-client-ip",
        b"remote-addr",
        b"remote-groups",
        b"remote-user",
        b"true-client-ip",
        b"x-authenticated-user",
        b"x-authenticated-userid",
        b"x-client-cert",
        b"x-client-dn",
        b"x-client-id",
        b"x-client-ip",
        b"x-client-verify",
        b"x-cluster-client-ip",
        b"x-consumer-custom-id",
        b"x-consumer-groups",
        b"x-consumer-id",
        b"x-consumer-username",
        b"x-credential-identifier",
        b"x-groups",
        b"x-original-host",
        b"x-original-method",
        b"x-original-url",
        b"x-remote-addr",
        b"x-remote-user",
        b"x-rewrite-url",
        b"x-roles",
        b"x-scopes",
        b"x-tenant",
        b"x-tenant-id",
        b"x-user",
        b"x-user-email",
        b"x-user-groups",
        b"x-user-id",
        b"x-user-name",
        b"x-user-roles",
        b"x-username",
    }
)
_IDENTITY_PREFIXES = (
    b"ssl-client-",
    b"x-amzn-oidc-",
    b"x-auth-request-",
    b"x-forwarded-",
    b"x-goog-authenticated-user-",
    b"x-ms-client-principal",
    b"x-portico-",
    b"x-ssl-",
)
# With these methods a body is expected, so that its absence is worth saying.
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_MAX_LENGTH_DIGITS = 19  # the longest number of 64 bits


class _Verdict(Enum):
    PASS = 1
    DROP = 2
    HEED = 3  # dropped, but it has something to say


_PASS, _DROP, _HEED = _Verdict.PASS, _Verdict.DROP, _Verdict.HEED


class RequestHeaders:
    """The header policy of one upstream, compiled from its options."""

    __slots__ = (
        "_added",
        "_constant",
        "_declared",
        "_identity",
        "_options",
        "_pseudonym",
        "_verdicts",
        "_write_origin",
    )

    def __init__(self, options: UpstreamOptions) -> None:
        self._options = options
        self._pseudonym = options.pseudonym.lower().encode()
        self._constant = {
            version: self._constant_fields(version) for version in ("1.0", "1.1", "2", "3")
        }
        self._write_origin = origin_writer(
            options.pseudonym, TrustedProxies(options.trusted_proxies)
        )
        self._identity = _IDENTITY | {name.lower().encode() for name in options.identity_headers}
        self._declared = {name.lower().encode() for name in options.pass_headers}
        self._added = [(n.lower().encode(), v.encode("latin-1")) for n, v in options.set_headers]
        self._verdicts: dict[bytes, _Verdict] = {}

    def build(self, request: ForwardRequest, host: bytes, derived_key: str = "") -> list[Field]:
        """Return the fields to send; raise `Problem` for a loop or an upgrade."""
        fields: list[Field] = [(b"host", request.host if self._options.preserve_host else host)]
        heeded: dict[bytes, list[bytes]] = {}
        verdicts = self._verdicts
        for field in request.headers:
            verdict = verdicts.get(field[0]) or self._judge(field[0])
            if verdict is _PASS:
                fields.append(field)
            elif verdict is _HEED:
                heeded.setdefault(field[0], []).append(field[1])
        if heeded:
            fields = self._heed(heeded, fields)
        # Whatever Connection or the client said, ours comes after it.
        if self._added or request.own_headers:
            fields = self._with_own(request, fields)
        fields += self._write_origin(request)
        fields += self._constant.get(request.http_version) or self._constant["1.1"]
        for name, value in request.trace.headers():
            fields.append((name.encode(), value.encode("latin-1")))
        body = request.body
        if body or request.method in _METHODS_WITH_BODY:
            fields.append(_framing(request, body))
        if derived_key:
            fields.append((b"idempotency-key", derived_key.encode("ascii")))
        return fields

    def _with_own(self, request: ForwardRequest, fields: list[Field]) -> list[Field]:
        own = [*request.own_headers, *self._added]
        replaced = {name for name, _ in own}
        return [field for field in fields if field[0] not in replaced] + own

    def _constant_fields(self, version: str) -> list[Field]:
        fields = [(b"via", f"{version} {self._options.pseudonym}".encode())]
        if self._options.accept_encoding == "identity":
            fields.append((b"accept-encoding", b"identity"))
        return fields

    def _heed(self, heeded: dict[bytes, list[bytes]], fields: list[Field]) -> list[Field]:
        if passed_through(heeded.get(b"via", ()), self._pseudonym):
            raise Problem(LOOP_DETECTED, "the Via header names this gateway")
        protocols = b",".join(heeded.get(b"upgrade", ())).lower().split(b",")
        if b"websocket" in {protocol.strip() for protocol in protocols}:
            raise Problem(NOT_IMPLEMENTED, "connections are not upgraded; WebSocket is not offered")
        named = connection_options(heeded.get(b"connection", ())) - {b"keep-alive", b"close"}
        if named:
            # The first is our Host, which is not the client's to name.
            fields[1:] = [field for field in fields[1:] if field[0] not in named]
        return fields + [(b"via", value) for value in heeded.get(b"via", ())]

    def _judge(self, name: bytes) -> _Verdict:
        if not is_field_name(name):
            raise Problem(MALFORMED_REQUEST, "a header field has a name that is not a token")
        verdict = self._verdict(name.lower())
        if len(name) <= MAX_REMEMBERED_BYTES and len(self._verdicts) < MAX_REMEMBERED_NAMES:
            self._verdicts[name] = verdict
        return verdict

    def _verdict(self, name: bytes) -> _Verdict:
        if name in {b"connection", b"via", b"upgrade"}:
            return _HEED
        if name in HOP_BY_HOP or name in _REPLACED or self._is_unwanted(name):
            return _DROP
        if name in self._declared:
            return _PASS
        # CGI and WSGI upstreams see X_User and X-User as one variable.
        dashed = name.replace(b"_", b"-")
        if dashed in self._identity or dashed.startswith(_IDENTITY_PREFIXES):
            return _DROP
        return _PASS if dashed == name else self._verdict(dashed)

    def _is_unwanted(self, name: bytes) -> bool:
        options = self._options
        unwanted = {
            b"authorization": not options.forward_authorization,
            b"dpop": not options.forward_authorization,
            b"idempotency-key": not options.forward_idempotency_key,
            b"cookie": options.cookies == "drop",
            b"accept-encoding": options.accept_encoding == "identity",
        }
        return unwanted.get(name, False)


def _framing(request: ForwardRequest, body: bytes | AsyncIterator[bytes]) -> Field:
    if isinstance(body, bytes):
        return (b"content-length", b"%d" % len(body))
    declared = [value for name, value in request.headers if name == b"content-length"]
    if not declared:
        return (b"transfer-encoding", b"chunked")
    if len(declared) > 1 or not declared[0].isdigit() or len(declared[0]) > _MAX_LENGTH_DIGITS:
        raise Problem(MALFORMED_REQUEST, "Content-Length must be one decimal number")
    return (b"content-length", declared[0])
