"""The public keys and certificates of a client, from its JWK Set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.identity.certificate import CertificateError, read_certificate
from gateway.identity.verification_keys import KeySetError, VerificationKey, read_key

# Two of each kind, and room for a rotation.
MAX_KEYS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeys:
    """What a client's assertions and certificates are compared with.

    `thumbprints` are those of its certificates (x5t#S256 of RFC 8705 section 3.1).
    """

    verification: tuple[VerificationKey, ...] = ()
    thumbprints: frozenset[str] = frozenset()

    @classmethod
    def read(cls, jwks: Mapping[str, Any] | None) -> ClientKeys:
        """Return the keys of a JWK Set. Raises ValueError for one with anything else in it."""
        if jwks is None:
            return cls()
        members = jwks.get("keys")
        if not isinstance(members, list) or not 1 <= len(members) <= MAX_KEYS:
            raise KeySetError(f"expected a JWK Set with 1 to {MAX_KEYS} keys")
        if not all(isinstance(member, dict) for member in members):
            raise KeySetError("a key is not an object")
        return cls(
            verification=tuple(read_key(member) for member in members),
            thumbprints=frozenset(
                _thumbprint(member["x5c"]) for member in members if "x5c" in member
            ),
        )

    def verify(self, algorithm: str, key_id: str, signing_input: bytes, signature: bytes) -> bool:
        """Tell whether one of the keys made a signature; without a key id any may have."""
        return any(
            key.verifies(algorithm, signing_input, signature)
            for key in self.verification
            if not key_id or not key.key_id or key.key_id == key_id
        )


def _thumbprint(chain: object) -> str:
    """Return the thumbprint of the first certificate of an x5c member."""
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        raise KeySetError("x5c is not a list of certificates")
    try:
        return read_certificate(chain[0].encode("ascii")).thumbprint
    except (CertificateError, UnicodeEncodeError) as error:
        raise KeySetError("x5c has no certificate") from error
