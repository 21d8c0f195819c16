"""The clients that may ask for tokens, configured or registered; secrets are kept as hashes."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Protocol

from gateway.identity.client_keys import ClientKeys
from gateway.identity.errors import ClientRecordError
from gateway.identity.redirect_uris import is_registered, wrong_with

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


# How a client proves itself (RFC 7591 section 2, RFC 8705 section 2).
BASIC = "client_secret_basic"
POST = "client_secret_post"
PRIVATE_KEY_JWT = "private_key_jwt"
TLS_CLIENT_AUTH = "tls_client_auth"
SELF_SIGNED_TLS = "self_signed_tls_client_auth"
PUBLIC = "none"
SECRET_METHODS = frozenset({BASIC, POST})
AUTH_METHODS = (BASIC, POST, PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, SELF_SIGNED_TLS, PUBLIC)

CLIENT_CREDENTIALS = "client_credentials"
AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a grant
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105
GRANT_TYPES = (CLIENT_CREDENTIALS, AUTHORIZATION_CODE, REFRESH_TOKEN, TOKEN_EXCHANGE)
# What a client may do without having proven that it is itself.
_PUBLIC_GRANTS = frozenset({AUTHORIZATION_CODE, REFRESH_TOKEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRecord:
    """A client: how it proves itself and what it may ask for.

    `subject` is whom its own tokens are for, by default the client itself (RFC 9068 section 2.2).
    `audiences` are those it may get tokens for by token exchange, besides the gateway.
    `first_party` clients need no consent, `introspects` lets one look at tokens of others.
    `plan` is the one of the limits, empty for the default. Times are seconds of the epoch, 0 for
    one that does not apply; a client with `registered_at` is not of the configuration.
    """

    client_id: str
    scopes: frozenset[str]
    secret_hashes: tuple[str, ...] = field(default=(), repr=False)
    subject: str = ""
    name: str = ""
    auth_methods: frozenset[str] = SECRET_METHODS
    grant_types: frozenset[str] = frozenset({CLIENT_CREDENTIALS})
    redirect_uris: tuple[str, ...] = ()
    native: bool = False
    first_party: bool = False
    pushed_requests_only: bool = False
    dpop_bound: bool = False
    introspects: bool = False
    audiences: frozenset[str] = frozenset()
    plan: str = ""
    jwks: Mapping[str, Any] | None = None
    tls_subject: str = ""
    registered_at: int = 0
    secret_expires_at: int = 0
    digests: tuple[bytes, ...] = field(init=False, repr=False, compare=False)
    keys: ClientKeys = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_id(self.client_id)
        self._check_secrets()
        self._check_grants()
        for scope in self.scopes:
            if not _SCOPE.match(scope):
                raise self._wrong(f"has the invalid scope {scope!r}")
        # Decoded once, and as many for everyone, so that a comparison tells nothing by its time.
        digests = [bytes.fromhex(value.removeprefix(_PREFIX)) for value in self.secret_hashes]
        object.__setattr__(self, "digests", (*digests, *_NO_DIGESTS)[:MAX_SECRETS])
        try:
            object.__setattr__(self, "keys", ClientKeys.read(self.jwks))
        except ValueError as error:
            raise self._wrong(f"has unusable keys: {error}") from None
        self._check_proof()

    @property
    def display_name(self) -> str:
        """Return what people are shown."""
        return self.name or self.client_id

    def allows_redirect(self, uri: str) -> bool:
        """Return whether an authorization response may be sent there."""
        return is_registered(uri, self.redirect_uris, native=self.native)

    def _check_secrets(self) -> None:
        count, needed = len(self.secret_hashes), bool(self.auth_methods & SECRET_METHODS)
        if count > MAX_SECRETS or (needed and not count):
            raise self._wrong(f"has {count} secrets, expected 1 to {MAX_SECRETS}")
        if count and not needed:
            raise self._wrong("has a secret that its authentication method does not use")
        if not all(_HASH.match(value) for value in self.secret_hashes):
            raise self._wrong(
                "has a secret that is not hashed",
                hint="give the result of hash_secret: sha256: and 64 hexadecimal digits",
            )

    def _check_grants(self) -> None:
        unknown = self.grant_types - set(GRANT_TYPES) | self.auth_methods - set(AUTH_METHODS)
        if unknown or not self.auth_methods:
            raise self._wrong(f"uses {', '.join(sorted(unknown)) or 'no authentication method'}")
        if PUBLIC in self.auth_methods and (
            len(self.auth_methods) > 1 or not self.grant_types <= _PUBLIC_GRANTS
        ):
            raise self._wrong(
                "is public, so it cannot prove itself",
                hint="a public client uses authorization_code and refresh_token only",
            )
        if AUTHORIZATION_CODE in self.grant_types and not self.redirect_uris:
            raise self._wrong("uses authorization_code and has no redirect_uris")
        if REFRESH_TOKEN in self.grant_types and AUTHORIZATION_CODE not in self.grant_types:
            raise self._wrong("uses refresh_token without authorization_code")
        for uri in self.redirect_uris:
            reason = wrong_with(uri, native=self.native)
            if reason:
                raise self._wrong(f"has the redirect URI {uri[:80]!r}, which {reason}")

    def _check_proof(self) -> None:
        """Check that there is something to prove each method with."""
        if PRIVATE_KEY_JWT in self.auth_methods and not self.keys.verification:
            raise self._wrong("uses private_key_jwt and has no public key in jwks")
        if SELF_SIGNED_TLS in self.auth_methods and not self.keys.thumbprints:
            raise self._wrong("uses self_signed_tls_client_auth and has no certificate in jwks")
        if TLS_CLIENT_AUTH in self.auth_methods and not self.tls_subject:
            raise self._wrong("uses tls_client_auth and has no tls_subject")

    def _wrong(self, what: str, *, hint: str = "") -> ClientRecordError:
        return ClientRecordError(f"client {self.client_id} {what}", hint=hint)


class ClientSource(Protocol):
    """Where the token endpoint finds a client before it runs the grant."""

    async def find(self, client_id: str) -> ClientRecord | None:
        """Return the client, or None if there is none of this id."""
        ...


class ClientRegistry:
    """The clients of the configuration, and behind them those that registered.

    A configured client is found whatever the state of the store is.
    """

    __slots__ = ("_clients", "_registered")

    def __init__(
        self, records: Iterable[ClientRecord], registered: ClientSource | None = None
    ) -> None:
        self._clients = _by_id(records)
        self._registered = registered

    async def find(self, client_id: str) -> ClientRecord | None:
        """Return the client. Raises RedisFailure where only the store could tell."""
        record = self._clients.get(client_id)
        if record is not None or self._registered is None:
            return record
        return await self._registered.find(client_id)

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
