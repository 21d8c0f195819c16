"""Whose key it is, and where its record is kept."""

from __future__ import annotations

import re
from binascii import b2a_base64
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from portico.idempotency.fingerprint import join

# 160 bits each: what two records could share by chance is not worth a thought.
_ID_BYTES = 20
_TAG_BYTES = 9
_ID_PART = re.compile(r"[A-Za-z0-9_-]{1,40}")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
MIN_SECRET_BYTES = 16
_MAX_CALLERS = 10_000  # remembered; more are met again


class Scope(NamedTuple):
    """The caller a key belongs to, as the server knows it, never as the request claims.

    `client_id` names the client, not one of its credentials, which change. Made for each request,
    so no dataclass: frozen ones take a microsecond.
    """

    client_id: str
    subject: str = ""
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Caller:
    state: blake2b
    tag: str
    prefix: bytes
    quota: bytes


@dataclass(slots=True)
class Location:
    """Where the record of a key is, and the key that is sent on in place of the caller's own."""

    record: bytes
    quota: bytes
    upstream_key: str


class Locator:
    """Turns a caller and a key into names that reveal neither.

    BLAKE2b with a key (RFC 7693) is a message authentication code: without the secret nobody can
    tell which key a name in the store stands for, or guess what is sent upstream. With
    `per_operation` the same key may be used once with every operation.
    """

    def __init__(
        self, secret: bytes, *, prefix: str = "portico", per_operation: bool = False
    ) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret has fewer than {MIN_SECRET_BYTES} bytes")
        self._secret = blake2b(secret, person=b"portico idem").digest()
        self._prefix = prefix
        self._per_operation = per_operation
        self._callers: dict[Scope, _Caller] = {}

    def tag(self, scope: Scope) -> str:
        """Return the cluster hash tag of a caller: all its records are in one slot."""
        caller = self._callers.get(scope) or self._meet(scope)
        return caller.tag

    def locate(self, scope: Scope, key: str, operation: str = "") -> Location:
        """Return where the record of a caller's key is."""
        caller = self._callers.get(scope) or self._meet(scope)
        state = caller.state.copy()
        if self._per_operation:
            state.update(join([operation.encode()]))
        state.update(key.encode())
        digest = state.digest()
        # Two halves of one digest say nothing about each other.
        record = caller.prefix + _text(digest[:_ID_BYTES])
        return Location(record, caller.quota, digest[_ID_BYTES:].hex())

    def record_name(self, record_id: str) -> bytes:
        """Return the name in the store of a record that operators call `record_id`.

        Raises ValueError for what is not one.
        """
        tag, dot, digest = record_id.partition(".")
        if not dot or not _ID_PART.fullmatch(tag) or not _ID_PART.fullmatch(digest):
            raise ValueError(f"{record_id[:80]!r} is not the id of a record")
        return f"{self._prefix}:idem:{{{tag}}}:{digest}".encode()

    def record_pattern(self) -> bytes:
        """Return the glob pattern that the names of all records match."""
        return f"{self._prefix}:idem:{{*}}:?*".encode()

    def _meet(self, scope: Scope) -> _Caller:
        """Return what is the same for all keys of a caller, kept for the next time."""
        if len(self._callers) >= _MAX_CALLERS:
            self._callers.clear()
        tag = self._tag(scope)
        parts = [b"record", scope.tenant.encode(), scope.client_id.encode(), scope.subject.encode()]
        caller = _Caller(
            state=blake2b(join(parts), key=self._secret, digest_size=2 * _ID_BYTES),
            tag=tag,
            prefix=f"{self._prefix}:idem:{{{tag}}}:".encode(),
            quota=f"{self._prefix}:idem-quota:{{{tag}}}".encode(),
        )
        self._callers[scope] = caller
        return caller

    def _tag(self, scope: Scope) -> str:
        owner = ("tenant", scope.tenant) if scope.tenant else ("client", scope.client_id)
        parts = join([b"tag", *(part.encode() for part in owner)])
        # An id begins with it, and no command may take an id for an option.
        return blake2b(parts, key=self._secret, digest_size=_TAG_BYTES).hexdigest()

    def __repr__(self) -> str:
        return f"<Locator {self._prefix}>"


def record_id(record_name: bytes) -> str:
    """Return what operators and problems call a record: its tag and digest."""
    tag, _, digest = record_name.decode().rpartition("{")[2].partition("}:")
    return f"{tag}.{digest}"


def _text(digest: bytes) -> bytes:
    return b2a_base64(digest, newline=False).rstrip(b"=").translate(_URL_SAFE)
