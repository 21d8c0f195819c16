"""Whose key it is, and where its record is kept."""

from __future__ import annotations

from binascii import b2a_base64
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from portico.idempotency.fingerprint import join

# 160 bits each: what two records could share by chance is not worth a thought.
_ID_BYTES = 20
_TAG_BYTES = 9
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
MIN_SECRET_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The caller a key belongs to, as the server knows it, never as the request claims.

    `client_id` names the client, not one of its credentials, which change.
    """

    tenant: str = ""
    client_id: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
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
        self._places = lru_cache(maxsize=4096)(self._place)

    def tag(self, scope: Scope) -> str:
        """Return the cluster hash tag of a caller: all its records are in one slot."""
        owner = ("tenant", scope.tenant) if scope.tenant else ("client", scope.client_id)
        digest = self._digest(_TAG_BYTES, b"tag", *(part.encode() for part in owner))
        return _text(digest).decode()

    def locate(self, scope: Scope, key: str, operation: str = "") -> Location:
        """Return where the record of a caller's key is."""
        prefix, quota = self._places(scope)
        digest = self._digest(
            2 * _ID_BYTES,
            b"record",
            scope.tenant.encode(),
            scope.client_id.encode(),
            scope.subject.encode(),
            key.encode(),
            operation.encode() if self._per_operation else b"",
        )
        # Two halves of one digest say nothing about each other.
        return Location(prefix + _text(digest[:_ID_BYTES]), quota, digest[_ID_BYTES:].hex())

    def record_pattern(self) -> bytes:
        """Return the glob pattern that the names of all records match."""
        return f"{self._prefix}:idem:{{*}}:?*".encode()

    def _place(self, scope: Scope) -> tuple[bytes, bytes]:
        tag = self.tag(scope)
        return (
            f"{self._prefix}:idem:{{{tag}}}:".encode(),
            f"{self._prefix}:idem-quota:{{{tag}}}".encode(),
        )

    def _digest(self, size: int, *parts: bytes) -> bytes:
        return blake2b(join(parts), key=self._secret, digest_size=size).digest()

    def __repr__(self) -> str:
        return f"<Locator {self._prefix}>"


def _text(digest: bytes) -> bytes:
    return b2a_base64(digest, newline=False).rstrip(b"=").translate(_URL_SAFE)
