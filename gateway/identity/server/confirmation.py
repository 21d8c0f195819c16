"""What a new token is bound to, so that nobody but its client can use it (RFC 7800)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749.errors import OAuth2Error

from gateway.identity.clients import SELF_SIGNED_TLS, TLS_CLIENT_AUTH
from gateway.identity.dpop import (
    InvalidProofError,
    NonceRequiredError,
    ProofChecker,
    ReplayUnknownError,
)
from gateway.identity.server.errors import store_unavailable

if TYPE_CHECKING:
    from gateway.identity.server.endpoint import ClientRequest

_TLS_METHODS = frozenset({TLS_CLIENT_AUTH, SELF_SIGNED_TLS})


class DPoPError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """A DPoP proof that is missing or wrong: 400 at the token endpoint (RFC 9449 section 5)."""

    def __init__(self, error: str, description: str, nonce: str = "") -> None:
        super().__init__(description)
        self.error = error
        self._nonce = nonce

    def get_headers(self) -> list[tuple[str, str]]:
        nonce = [("DPoP-Nonce", self._nonce)] if self._nonce else []
        return [*super().get_headers(), *nonce]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The `cnf` of tokens, and the nonce to tell the client of."""

    confirmation: Mapping[str, object] | None = None
    nonce: str = ""

    @property
    def thumbprint(self) -> str:
        """Return the thumbprint of the DPoP key, empty without one."""
        return str((self.confirmation or {}).get("jkt", ""))


class Binder:
    """Binds tokens to the key of a DPoP proof, or to the certificate of the client."""

    __slots__ = ("_proofs", "_url")

    def __init__(self, proofs: ProofChecker, url: str) -> None:
        self._proofs = proofs
        self._url = url

    async def bind(self, request: ClientRequest) -> Binding:
        """Return what the request proves. Raises OAuth2Error for a proof that does not."""
        client = request.client
        values = [value for name, value in request.http.headers.raw if name == b"dpop"]
        if values:
            return await self._check(values)
        if client.record.dpop_bound:
            raise DPoPError("invalid_dpop_proof", "this client has to send a DPoP proof")
        if client.method in _TLS_METHODS and client.certificate is not None:
            return Binding(confirmation={"x5t#S256": client.certificate.thumbprint})
        return Binding()

    async def _check(self, values: list[bytes]) -> Binding:
        try:
            proof = self._proofs.check_proof(values, method="POST", url=self._url)
            await self._proofs.use(proof.use)
        except NonceRequiredError as error:
            raise DPoPError("use_dpop_nonce", str(error), error.nonce) from error
        except InvalidProofError as error:
            raise DPoPError("invalid_dpop_proof", str(error)) from error
        except ReplayUnknownError as error:
            raise store_unavailable() from error
        return Binding(confirmation={"jkt": proof.thumbprint}, nonce=proof.nonce)
