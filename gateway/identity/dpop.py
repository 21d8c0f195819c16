"""DPoP proofs (RFC 9449): a request is sent by whoever holds the key that its token is bound to.

What is checked is the same for an API and for the token endpoint; what is answered is not, so
failures are exceptions here: an API answers 401, the token endpoint 400.
"""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.identity.compact import CompactToken, InvalidTokenError, read_claims, read_compact
from gateway.identity.verification_keys import KeySetError, VerificationKey, read_key
from portico.redis.errors import RedisFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portico.redis.client import RedisClient

# What proofs may be signed with, as metadata and challenges name it.
ALGORITHMS = ("ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256")
# A proof is made for one request, so it is as old as the request takes to arrive.
PROOF_SECONDS = 60.0
# Clocks of clients are worse than those of servers.
SKEW_SECONDS = 30.0
# A nonce is offered this long, and accepted for as long again.
NONCE_SECONDS = 150
MAX_ID_CHARACTERS = 256
REPLAY_KEY = "portico:dpop:{%s}"
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_PORTS = {"http": 80, "https": 443}


USED_BEFORE = "the proof was used before"
REPLAY_UNKNOWN = "nobody can say whether the proof was used before"


class InvalidProofError(Exception):
    """A proof that does not prove what it should; the text is for the client."""


class NonceRequiredError(InvalidProofError):
    """A proof without a current nonce; `nonce` is the one to use."""

    def __init__(self, nonce: str) -> None:
        super().__init__("the proof needs the nonce that comes with this answer")
        self.nonce = nonce


class ReplayUnknownError(Exception):
    """Nobody can say whether the proof was used before, because Redis is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofUse:
    """That a proof was used: a key that is there as long as a copy of it would be believed."""

    key: bytes
    lifetime_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof that is genuine and for this request. `thumbprint` is what `cnf.jkt` has to be.

    `nonce` is what the answer has to offer: a newer one than the client used, or nothing. `use` is
    what is still to be noted, so that no copy of the proof counts.
    """

    thumbprint: str
    use: ProofUse
    nonce: str = ""


class Nonces:
    """Nonces that every worker makes and knows without storing them: a period and its MAC."""

    __slots__ = ("_clock", "_secret")

    def __init__(self, secret: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock

    def current(self) -> str:
        """Return the nonce that proofs should have now."""
        return self._of(self._period())

    def accepts(self, nonce: object) -> bool:
        """Tell whether a nonce is the current or the previous one."""
        if not isinstance(nonce, str):
            return False
        period = self._period()
        known = (self._of(period), self._of(period - 1))
        # Not `or`: both comparisons happen whatever the first one says.
        return _equal(nonce, known[0]) | _equal(nonce, known[1])

    def _period(self) -> int:
        return int(self._clock() // NONCE_SECONDS)

    def _of(self, period: int) -> str:
        mac = hmac.digest(self._secret, b"dpop-nonce %d" % period, "sha256")
        return _encoded(mac[:18])

    def __repr__(self) -> str:
        return "<Nonces>"


class ProofChecker:
    """Checks proofs. With `nonces` every proof needs one; `redis` keeps which were used.

    Without Redis no proof is accepted: it could be a copy of one that was.
    """

    __slots__ = ("_clock", "_nonces", "_redis")

    def __init__(
        self,
        redis: RedisClient | None,
        *,
        nonces: Nonces | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._nonces = nonces
        self._clock = clock

    def check_proof(
        self,
        values: Sequence[bytes],
        *,
        method: str,
        url: str,
        token: bytes | None = None,
        bound_to: str = "",
    ) -> Proof:
        """Return what the DPoP header fields of a request prove; `use` is to be called then.

        `url` is the address by which clients know the resource. `token` is the access token that
        comes with the proof and `bound_to` the thumbprint in its `cnf`; at the token endpoint
        there are none. Raises InvalidProofError and its subclass NonceRequiredError.
        """
        if len(values) != 1:
            raise InvalidProofError("the request needs exactly one DPoP header")
        compact = _read(values[0])
        key = _own_key(compact)
        claims = _claims(compact)
        thumbprint = key.thumbprint()
        if bound_to and not _equal(thumbprint, bound_to):
            raise InvalidProofError("the proof is made by another key than the token is bound to")
        self._check_claims(claims, method, url, token)
        nonce = self._check_nonce(claims)
        return Proof(
            thumbprint=thumbprint, nonce=nonce, use=_use_of(thumbprint, url, claims["jti"])
        )

    def _check_claims(
        self, claims: Mapping[str, object], method: str, url: str, token: bytes | None
    ) -> None:
        if claims.get("htm") != method:
            raise InvalidProofError("the proof is for another method")
        target = claims.get("htu")
        if not isinstance(target, str) or not (_normal(target) == _normal(url) != ""):
            raise InvalidProofError("the proof is for another address")
        issued_at = claims.get("iat")
        if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
            raise InvalidProofError("the proof does not say when it was made")
        now = self._clock()
        if not now - PROOF_SECONDS <= issued_at <= now + SKEW_SECONDS:
            raise InvalidProofError("the proof was not made just now")
        identifier = claims.get("jti")
        if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_ID_CHARACTERS:
            raise InvalidProofError("the proof has no usable jti")
        if token is None:
            return
        given = claims.get("ath")
        if not isinstance(given, str) or not _equal(given, _encoded(sha256(token).digest())):
            raise InvalidProofError("the proof is for another token")

    def _check_nonce(self, claims: Mapping[str, object]) -> str:
        """Return the nonce to offer for the next proof, empty where there is no newer one."""
        if self._nonces is None:
            return ""
        given = claims.get("nonce")
        if not self._nonces.accepts(given):
            raise NonceRequiredError(self._nonces.current())
        current = self._nonces.current()
        return current if given != current else ""

    async def use(self, use: ProofUse) -> None:
        """Take note of a proof, once for all workers.

        Raises InvalidProofError for one that was used before, and ReplayUnknownError.
        """
        if self._redis is None:
            raise ReplayUnknownError
        try:
            kept = await self._redis.execute("SET", use.key, b"", "NX", "PX", use.lifetime_ms)
        except RedisFailure as failure:
            raise ReplayUnknownError from failure
        if kept is None:
            raise InvalidProofError(USED_BEFORE)

    def __repr__(self) -> str:
        return f"<ProofChecker {'with' if self._nonces else 'without'} nonces>"


def _use_of(thumbprint: str, url: str, identifier: object) -> ProofUse:
    parts = (thumbprint, _normal(url), str(identifier))
    digest = sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()
    lifetime_ms = int((PROOF_SECONDS + SKEW_SECONDS) * 1000) + 1000
    return ProofUse(key=(REPLAY_KEY % digest).encode(), lifetime_ms=lifetime_ms)


def _read(value: bytes) -> CompactToken:
    try:
        compact = read_compact(value)
    except InvalidTokenError as error:
        raise InvalidProofError("the proof is not a well-formed JWT") from error
    header = compact.header
    kind = header.get("typ")
    if not isinstance(kind, str) or kind.lower() not in {"dpop+jwt", "application/dpop+jwt"}:
        raise InvalidProofError("the typ of the proof must be dpop+jwt")
    if header.get("alg") not in ALGORITHMS:
        raise InvalidProofError("the proof is not signed with an algorithm that is accepted")
    if "crit" in header or "b64" in header:
        raise InvalidProofError("the proof uses an extension that is not supported")
    return compact


def _own_key(compact: CompactToken) -> VerificationKey:
    """Return the key in the proof, after it has verified the proof."""
    member = compact.header.get("jwk")
    if not isinstance(member, dict):
        raise InvalidProofError("the proof has no jwk")
    try:
        key = read_key(member)
    except KeySetError as error:
        raise InvalidProofError(
            "the jwk of the proof is not a public key to verify with"
        ) from error
    algorithm = str(compact.header["alg"])
    if not key.verifies(algorithm, compact.signing_input, compact.signature):
        raise InvalidProofError("the proof is not signed with its own key")
    return key


def _claims(compact: CompactToken) -> dict[str, object]:
    try:
        return read_claims(compact)
    except InvalidTokenError as error:
        raise InvalidProofError("the claims of the proof are not well-formed") from error


def _normal(url: str) -> str:
    """Return an address without query and fragment in the one form of RFC 3986 section 6.2.2.

    Nothing, for what is no address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return ""
    authority = parts.hostname if port in {None, _PORTS[scheme]} else f"{parts.hostname}:{port}"
    path = _ESCAPE.sub(_normal_escape, parts.path or "/")
    return f"{scheme}://{authority}{path}"


def _normal_escape(match: re.Match[str]) -> str:
    escape = match[0]
    character = chr(int(escape[1:], 16))
    unreserved = character.isascii() and (character.isalnum() or character in "-._~")
    return character if unreserved else escape.upper()


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
