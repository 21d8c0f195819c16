"""A clock to set and a forger that spells tokens as no library would."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://gateway.example"
NOW = 1_900_000_000.0


@dataclass
class Clock:
    """The wall clock of a test."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Forger:
    """Signs whatever it is given with the issuer's own key, without any JOSE library."""

    private_key: ec.EllipticCurvePrivateKey
    key_id: str
    header: dict[str, Any] = field(init=False)
    claims: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.header = {"alg": "ES256", "typ": "at+jwt", "kid": self.key_id}
        self.claims = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": "warehouse",
            "client_id": "warehouse",
            "iat": int(NOW),
            "exp": int(NOW) + 300,
            "jti": "a-token",
            "scope": "orders:read",
        }

    def sign(self, header: bytes, payload: bytes) -> str:
        signing_input = f"{encode(header)}.{encode(payload)}"
        der = self.private_key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        return f"{signing_input}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def token(
        self,
        header: dict[str, Any] | None = None,
        claims: dict[str, Any] | None = None,
        *,
        without: tuple[str, ...] = (),
    ) -> str:
        """Return a token with some members changed and some left out."""
        full_header = {**self.header, **(header or {})}
        full_claims = {**self.claims, **(claims or {})}
        for name in without:
            full_header.pop(name, None)
            full_claims.pop(name, None)
        return self.sign(json.dumps(full_header).encode(), json.dumps(full_claims).encode())


def bearer(token: str | bytes) -> list[bytes]:
    return [b"Bearer " + (token.encode() if isinstance(token, str) else token)]
