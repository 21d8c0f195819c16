"""The public keys and certificates of a client, from its JWK Set."""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography import x509
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

ClientKey = ECKey | OKPKey | RSAKey

MAX_KEYS = 8
_MIN_RSA_BITS = 2048
_PRIVATE = ("d", "p", "q", "k")
# The curve decides on the algorithm, so that a key cannot be used for another one.
_EC_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeys:
    """What a client's assertions and certificates are compared with.

    `verification` are pairs of an algorithm and a key. `thumbprints` are the SHA-256 values of the
    certificates (x5t#S256 of RFC 8705 section 3.1).
    """

    verification: tuple[tuple[str, str, ClientKey], ...] = ()
    thumbprints: frozenset[str] = field(default=frozenset())

    @classmethod
    def read(cls, jwks: Mapping[str, Any] | None) -> ClientKeys:
        """Return the keys of a JWK Set. Raises ValueError for one with anything else in it."""
        if jwks is None:
            return cls()
        members = jwks.get("keys")
        if not isinstance(members, list) or not 1 <= len(members) <= MAX_KEYS:
            raise ValueError(f"a JWK Set with 1 to {MAX_KEYS} keys is expected")
        verification, thumbprints = [], set()
        for member in members:
            algorithm, key = _import(member)
            verification.append((algorithm, str(member.get("kid", "")), key))
            chain = member.get("x5c")
            if chain is not None:
                thumbprints.add(_thumbprint(chain))
        return cls(verification=tuple(verification), thumbprints=frozenset(thumbprints))

    def candidates(self, algorithm: str, key_id: str) -> list[ClientKey]:
        """Return the keys that may have made a signature; without a key id all of the algorithm."""
        return [
            key
            for known, kid, key in self.verification
            if known == algorithm and (not key_id or not kid or kid == key_id)
        ]


def certificate_thumbprint(der: bytes) -> str:
    """Return the x5t#S256 value of a certificate."""
    return urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()


def _import(member: object) -> tuple[str, ClientKey]:
    if not isinstance(member, dict) or any(name in member for name in _PRIVATE):
        raise ValueError("only public keys are expected")
    if member.get("use", "sig") != "sig":
        raise ValueError("a key is not for signatures")
    kind, curve = member.get("kty"), member.get("crv")
    try:
        algorithm, key = _public_key(kind, curve, member)
    except (JoseError, ValueError, TypeError) as error:
        # The libraries' own texts quote what they were given.
        raise ValueError("a key cannot be read or is of an unknown kind") from error
    if member.get("alg", algorithm) not in {algorithm, _OTHER_NAMES.get(algorithm)}:
        raise ValueError(f"a key is not for {algorithm}")
    return str(member.get("alg", algorithm)), key


_OTHER_NAMES = {"RS256": "PS256", "EdDSA": "Ed25519"}


def _public_key(kind: object, curve: object, member: Mapping[str, Any]) -> tuple[str, ClientKey]:
    if kind == "EC" and isinstance(curve, str) and curve in _EC_ALGORITHMS:
        return _EC_ALGORITHMS[curve], ECKey.import_key(_only(member, "kty", "crv", "x", "y"))
    if kind == "OKP" and curve == "Ed25519":
        return "EdDSA", OKPKey.import_key(_only(member, "kty", "crv", "x"))
    if kind == "RSA":
        key = RSAKey.import_key(_only(member, "kty", "n", "e"))
        if key.public_key.key_size < _MIN_RSA_BITS:
            raise ValueError("too short")
        return "RS256", key
    raise ValueError("unknown kind")


def _only(member: Mapping[str, Any], *names: str) -> dict[str, str | list[str]]:
    return {name: str(member.get(name, "")) for name in names}


def _thumbprint(chain: object) -> str:
    try:
        if not isinstance(chain, list):
            raise TypeError  # noqa: TRY301 - told as the others
        der = b64decode(str(chain[0]), validate=True)
        x509.load_der_x509_certificate(der)
    except (TypeError, IndexError, ValueError, binascii.Error):
        raise ValueError("x5c has no certificate") from None
    return certificate_thumbprint(der)
