"""Signing in at an OpenID Connect provider: this server is a client of it, with PKCE and nonce.

What comes back is bound to the browser that left (`state`), to the provider that was asked (`iss`,
RFC 9207) and to this sign-in (`nonce`); only then is the ID token looked at.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from gateway.identity.compact import InvalidTokenError, read_claims, read_compact
from gateway.identity.issuers.errors import IssuerUnavailableError
from gateway.identity.issuers.fetching import Fetcher, is_secure
from gateway.identity.verification_keys import KeySet, KeySetError, read_key_set

# How long what the provider says about itself is taken as it was.
_KEEP_SECONDS = 600.0
_SKEW_SECONDS = 60
_MAX_SUBJECT_CHARACTERS = 255
_ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"})
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class ProviderError(Exception):
    """The provider cannot be asked, or its answer cannot be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOptions:
    """What the provider is and what it knows this server by."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str
    scopes: tuple[str, ...]
    redirect_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the provider says about itself, and when it was asked."""

    document: Mapping[str, Any]
    keys: KeySet
    asked_at: float


class UpstreamProvider:
    """One provider: where to send people, and who they are when they come back."""

    def __init__(
        self, options: ProviderOptions, fetcher: Fetcher, clock: Callable[[], float]
    ) -> None:
        self.name = options.name
        # A person of the configuration could have the name that the provider gives to another.
        self.prefix = f"{options.issuer}#"
        self._options = options
        self._fetcher = fetcher
        self._clock = clock
        self._known: _Known | None = None
        self._asking = asyncio.Lock()

    async def address(
        self, *, state: str, nonce: str, verifier: str, max_age_seconds: int | None = None
    ) -> str:
        """Return where to send a browser. Raises ProviderError."""
        known = await self._know()
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._options.client_id,
            "redirect_uri": self._options.redirect_uri,
            "scope": " ".join(self._options.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if max_age_seconds is not None:
            query["max_age"] = str(max_age_seconds)
        endpoint = str(known.document["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def check_issuer(self, issuer: str) -> None:
        """Raise ProviderError for an answer that another provider gave (RFC 9207 section 2.4)."""
        known = await self._know()
        expected = known.document.get("authorization_response_iss_parameter_supported") is True
        if (issuer or expected) and issuer != self._options.issuer:
            raise ProviderError("the answer is from another provider")

    async def person(self, code: str, *, nonce: str, verifier: str) -> Mapping[str, Any]:
        """Return the claims about the person that a code stands for. Raises ProviderError."""
        known = await self._know()
        options = self._options
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": options.redirect_uri,
            "code_verifier": verifier,
        }
        url = str(known.document["token_endpoint"])
        try:
            answer = await self._fetcher.post(url, form, (options.client_id, options.client_secret))
        except IssuerUnavailableError as error:
            raise ProviderError("the provider gave no token for the code") from error
        token = answer.members.get("id_token")
        if not isinstance(token, str):
            raise ProviderError("the provider answered without an ID token")
        return await self._claims(token, nonce)

    async def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        """Return the claims of an ID token that is genuine and for this sign-in."""
        try:
            compact = read_compact(token.encode("ascii"))
            claims = read_claims(compact)
        except (InvalidTokenError, UnicodeEncodeError) as error:
            raise ProviderError("the ID token is malformed") from error
        algorithm, key_id = compact.header.get("alg"), compact.header.get("kid")
        if algorithm not in _ALGORITHMS or "crit" in compact.header:
            raise ProviderError("the ID token is signed in a way that is not accepted")
        known = await self._know()
        if known.keys.find(key_id) is None:
            known = await self._know(afresh=True)
        key = known.keys.find(key_id)
        genuine = key is not None and key.verifies(
            str(algorithm), compact.signing_input, compact.signature
        )
        if not genuine:
            raise ProviderError("the ID token is not signed by the provider")
        self._check(claims, nonce)
        return claims

    def _check(self, claims: Mapping[str, Any], nonce: str) -> None:
        """Check what OpenID Connect Core section 3.1.3.7 asks for."""
        audiences = claims.get("aud")
        audiences = audiences if isinstance(audiences, list) else [audiences]
        client_id, now = self._options.client_id, self._clock()
        expires_at, issued_at = claims.get("exp"), claims.get("iat")
        subject = claims.get("sub")
        fits = (
            claims.get("iss") == self._options.issuer
            and client_id in audiences
            and (len(audiences) == 1 or claims.get("azp") == client_id)
            and claims.get("azp", client_id) == client_id
            and claims.get("nonce") == nonce
            and isinstance(expires_at, int | float)
            and isinstance(issued_at, int | float)
            and now - _SKEW_SECONDS < expires_at
            and issued_at < now + _SKEW_SECONDS
            and isinstance(subject, str)
            and 0 < len(subject) <= _MAX_SUBJECT_CHARACTERS
            and subject.isprintable()
        )
        if not fits:
            raise ProviderError("the ID token is not for this sign-in")

    async def _know(self, *, afresh: bool = False) -> _Known:
        """Return what the provider says about itself; of many who ask, one goes there."""
        async with self._asking:
            known, now = self._known, self._clock()
            # An unknown key is a reason to look again, but not for every request that has one.
            keep_seconds = _SKEW_SECONDS if afresh else _KEEP_SECONDS
            if known is not None and 0 <= now - known.asked_at < keep_seconds:
                return known
            self._known = known = await self._discover(now)
            return known

    async def _discover(self, now: float) -> _Known:
        issuer = self._options.issuer
        document = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != issuer:
            raise ProviderError("the discovery document is of another issuer")
        scheme = issuer.partition(":")[0]
        for name in _ENDPOINTS:
            url = str(document.get(name, ""))
            if not (url.startswith(f"{scheme}://") and is_secure(url)):
                raise ProviderError(f"the discovery document has no usable {name}")
        try:
            keys = read_key_set(await self._get(str(document["jwks_uri"])))
        except KeySetError as error:
            raise ProviderError(f"the provider's keys cannot be used: {error}") from error
        return _Known(document=document, keys=keys, asked_at=now)

    async def _get(self, url: str) -> Mapping[str, Any]:
        try:
            return (await self._fetcher.get(url)).members
        except IssuerUnavailableError as error:
            raise ProviderError("the provider does not answer as it should") from error
