"""A client that makes DPoP proofs, right ones and wrong ones, without any JOSE library's help."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey

from tests.gateway.identity.forging import NOW, encode


@dataclass
class Prover:
    """Holds a P-256 key and proves it for requests."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    made: int = 0

    @property
    def thumbprint(self) -> str:
        return self.key.thumbprint()

    def proof(
        self,
        method: str,
        url: str,
        token: str | None = None,
        *,
        header: dict[str, Any] | None = None,
        without: tuple[str, ...] = (),
        now: float = NOW,
        **claims: Any,
    ) -> bytes:
        """Return a proof with some members changed and some left out."""
        self.made += 1
        full_header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        full_claims = {"jti": f"proof-{self.made}", "htm": method, "htu": url, "iat": int(now)}
        if token is not None:
            full_claims["ath"] = ath(token)
        full_header |= header or {}
        full_claims |= claims
        for name in without:
            full_header.pop(name, None)
            full_claims.pop(name, None)
        return self.sign(json.dumps(full_header).encode(), json.dumps(full_claims).encode())

    def sign(self, header: bytes, payload: bytes) -> bytes:
        signing_input = f"{encode(header)}.{encode(payload)}"
        private_key = self.key.private_key
        assert private_key is not None
        r, s = decode_dss_signature(
            private_key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))
        )
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{signing_input}.{encode(signature)}".encode()


def ath(token: str) -> str:
    return urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=").decode()
