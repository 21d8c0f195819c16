"""The clients that may ask for tokens, as configured. Their secrets are kept only as hashes."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING, Protocol

from gateway.identity.errors import ClientRecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Two secrets are valid at a time, so that one can be replaced while the other is in use.
MAX_SECRETS = 2
# The hash is fast, which only a secret too long to be guessed makes safe.
MIN_SECRET_CHARACTERS = 16

_MAX_CLIENT_ID_CHARACTERS = 256
_VISIBLE = re.compile(r"[\x20-\x7e]+\Z")  # VSCHAR of RFC 6749 appendix A
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")  # scope-token of RFC 6749 section 3.3
_PREFIX = "sha256:"
_HASH = re.compile(_PREFIX + r"[0-9a-f]{64}\Z")
# No secret has these, because nobody has seen them.
_NO_DIGESTS = (secrets.token_bytes(32),) * MAX_SECRETS


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRecord:
    """A confidential client: its hashed secrets and the scopes it may ask for.

    `subject` is whom its tokens are for, by default the client itself (RFC 9068 section 2.2).
    """

    client_id: str
    secret_hashes: tuple[str, ...] = field(repr=False)
    scopes: frozenset[str]
    subject: str = ""
    digests: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_id(self.client_id)
        if not 1 <= len(self.secret_hashes) <= MAX_SECRETS:
            raise ClientRecordError(
                f"client {self.client_id} has {len(self.secret_hashes)} secrets, "
                f"expected 1 to {MAX_SECRETS}"
            )
        if not all(_HASH.match(value) for value in self.secret_hashes):
            raise ClientRecordError(
                f"client {self.client_id} has a secret that is not hashed",
                hint="give the result of hash_secret: sha256: and 64 hexadecimal digits",
            )
        for scope in self.scopes:
            if not _SCOPE.match(scope):
                raise ClientRecordError(f"client {self.client_id} has the invalid scope {scope!r}")
        # Decoded once, and as many for everyone, so that a comparison tells nothing by its time.
        digests = [bytes.fromhex(value.removeprefix(_PREFIX)) for value in self.secret_hashes]
        object.__setattr__(self, "digests", (*digests, *_NO_DIGESTS)[:MAX_SECRETS])


class ClientSource(Protocol):
    """Where the token endpoint finds a client before it runs the grant."""

    async def find(self, client_id: str) -> ClientRecord | None:
        """Return the client, or None if there is none of this id."""
        ...


class ClientRegistry:
    """The clients of the configuration."""

    __slots__ = ("_clients",)

    def __init__(self, records: Iterable[ClientRecord]) -> None:
        self._clients = _by_id(records)

    async def find(self, client_id: str) -> ClientRecord | None:
        return self._clients.get(client_id)

    def __repr__(self) -> str:
        return f"<ClientRegistry [{', '.join(self._clients)}]>"


def hash_secret(secret: str) -> str:
    """Return the form in which a client's secret is kept.

    Raises ClientRecordError for a secret that the token endpoint could not accept: one that
    can be guessed or has characters outside printable ASCII.
    """
    if len(secret) < MIN_SECRET_CHARACTERS or not _VISIBLE.match(secret):
        raise ClientRecordError(
            "a client secret is too short or not printable ASCII",
            hint=f"use {MIN_SECRET_CHARACTERS} random characters or more, "
            "such as from: openssl rand -hex 32",
        )
    return _PREFIX + hashlib.sha256(secret.encode()).hexdigest()


def secret_matches(client: ClientRecord | None, secret: str) -> bool:
    """Return whether `secret` is one of the client's, at the same cost for every outcome.

    An unknown client, a client with one secret and one with two are compared equally often.
    """
    digest = hashlib.sha256(secret.encode()).digest()
    first, second = _NO_DIGESTS if client is None else client.digests
    # Not `or`: both comparisons happen whatever the first one says.
    return compare_digest(digest, first) | compare_digest(digest, second)


def _check_id(client_id: str) -> None:
    if len(client_id) > _MAX_CLIENT_ID_CHARACTERS or not _VISIBLE.match(client_id):
        raise ClientRecordError(
            f"the client id {client_id[:40]!r} is empty, too long or not printable ASCII",
            hint=f"use at most {_MAX_CLIENT_ID_CHARACTERS} letters, digits and dashes",
        )


def _by_id(records: Iterable[ClientRecord]) -> Mapping[str, ClientRecord]:
    clients: dict[str, ClientRecord] = {}
    for record in records:
        if record.client_id in clients:
            raise ClientRecordError(f"client {record.client_id} is configured twice")
        clients[record.client_id] = record
    return clients
