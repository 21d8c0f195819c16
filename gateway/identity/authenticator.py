"""Who is calling, and whether they may: from a request to its caller, or to a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.identity.certificate import CertificateError, ClientCertificate, ClientCertificates
from gateway.identity.challenge import BEARER, DPOP, too_many_failures, unavailable
from gateway.identity.claims import TokenCaller
from gateway.identity.compact import InvalidTokenError
from gateway.identity.dpop import (
    REPLAY_UNKNOWN,
    USED_BEFORE,
    InvalidProofError,
    NonceRequiredError,
    ProofChecker,
    ReplayUnknownError,
)
from gateway.identity.guard import Credentials, Guard, KeyCaller, Place, is_tier
from gateway.identity.issuers.errors import IssuerUnavailableError
from gateway.identity.presented import drop_header, read_token, take_key
from gateway.identity.verifier import HeldOffError, TokenVerifier
from portico.problems import MALFORMED_REQUEST, Problem
from portico.redis.errors import RedisFailure
from portico.server.call import Caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from gateway.endpoints import Endpoint
    from gateway.exchange import Exchange
    from gateway.identity.api_keys import ApiKeys
    from gateway.identity.failure_limit import FailureLimit

_AUTHORIZATION = b"authorization"
_DPOP = b"dpop"
_BEARER = b"Bearer "


class Authenticator:
    """Sets the caller of a request, by the guard of the operation that it asks for.

    Where anyone may call, credentials that are sent must be good all the same, and where one of
    several is enough, none of them may be bad.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        guards: Mapping[Endpoint, Guard],
        *,
        public_url: str,
        proofs: ProofChecker,
        certificates: ClientCertificates,
        api_keys: ApiKeys | None,
        key_failures: FailureLimit,
        dpop_required: bool = False,
    ) -> None:
        self._verifier = verifier
        self._guards = guards
        self._public_url = public_url
        self._proofs = proofs
        self._certificates = certificates
        self._api_keys = api_keys
        self._key_failures = key_failures
        self._dpop_required = dpop_required

    def admit(self, exchange: Exchange, endpoint: Endpoint) -> Awaitable[None] | None:
        """Find out who is calling. What is returned has to be awaited, if it is anything.

        A bearer token that was verified before is decided about at once: this is what nearly
        every request has. Raises Problem: 401, then 403.
        """
        guard = self._guards[endpoint]
        if self._certificates.is_forged(exchange.peer, exchange.headers):
            drop_header(exchange, self._certificates.header)
        authorization = exchange.headers.get(_AUTHORIZATION)
        if authorization is None:
            if guard.open:
                return None
        elif guard.plain and authorization.startswith(_BEARER):
            caller = self._verifier.cached(authorization[len(_BEARER) :])
            if caller is not None and not caller.bound and not self._needs_proof(caller, guard):
                guard.admit_token(caller)
                guard.admit_scopes(caller)
                exchange.caller = caller
                return None
        return self._authenticate(exchange, guard)

    def refused(self, exchange: Exchange, endpoint: Endpoint, *, used: bool) -> Problem:
        """Return the problem of credentials that were good until Redis was asked.

        The proof was `used` before, or the token was revoked, which is known here from now on.
        """
        challenge = self._guards[endpoint].challenge
        if used:
            return challenge.invalid_proof(USED_BEFORE)
        if isinstance(exchange.caller, TokenCaller):
            self._verifier.revoked(exchange.caller.token_id)
        return challenge.invalid_token("the token was revoked", BEARER)

    async def use_proof(self, exchange: Exchange, endpoint: Endpoint) -> None:
        """Take note of the proof of a request, where the admission does not; raises Problem."""
        use, exchange.proof_use = exchange.proof_use, None
        if use is None:
            return
        try:
            await self._proofs.use(use)
        except InvalidProofError:
            raise self.refused(exchange, endpoint, used=True) from None
        except ReplayUnknownError as error:
            raise unavailable(REPLAY_UNKNOWN) from error

    async def _authenticate(self, exchange: Exchange, guard: Guard) -> None:
        certificate = self._certificate(exchange)
        scheme, token = await self._token(exchange, guard, certificate)
        keys = {}
        for place in guard.keys:
            found = await self._key(exchange, guard, place)
            if found is not None:
                keys[place] = found
        exchange.caller = guard.admit(
            Credentials(
                token=token,
                scheme=scheme,
                keys=keys,
                certificate=_holder(certificate) if guard.certificate else None,
            )
        )

    def _certificate(self, exchange: Exchange) -> ClientCertificate | None:
        try:
            return self._certificates.read(exchange.peer, exchange.raw_headers)
        except CertificateError as error:
            raise Problem(MALFORMED_REQUEST, str(error)) from error

    async def _token(
        self, exchange: Exchange, guard: Guard, certificate: ClientCertificate | None
    ) -> tuple[str, TokenCaller | None]:
        """Return the scheme of the token and its caller, who has proven to be its owner."""
        values = [value for name, value in exchange.raw_headers if name == _AUTHORIZATION]
        presented = read_token(values, guard.challenge)
        if presented is None:
            return BEARER, None
        scheme, token = presented
        caller = await self._verified(token, scheme, exchange.address, guard)
        guard.admit_token(caller, scheme)
        await self._check_binding(exchange, guard, scheme, token, caller, certificate)
        return scheme, caller

    async def _verified(self, token: bytes, scheme: str, address: str, guard: Guard) -> TokenCaller:
        try:
            return await self._verifier.verify(token, address)
        except InvalidTokenError as error:
            raise guard.challenge.invalid_token(str(error), scheme) from error
        except HeldOffError as error:
            raise too_many_failures(error.wait_seconds) from error
        except IssuerUnavailableError as error:
            raise unavailable("the issuer of the token does not answer") from error

    async def _check_binding(
        self,
        exchange: Exchange,
        guard: Guard,
        scheme: str,
        token: bytes,
        caller: TokenCaller,
        certificate: ClientCertificate | None,
    ) -> None:
        """Raise 401 unless the request comes from whoever the token is bound to."""
        if caller.certificate_thumbprint:
            held = certificate.thumbprint if certificate is not None else ""
            if held != caller.certificate_thumbprint:
                reason = "the token is bound to another client certificate"
                raise guard.challenge.invalid_token(reason, scheme)
        if scheme == DPOP:
            if not caller.key_thumbprint:
                raise guard.challenge.invalid_token("the token is not bound to a key", DPOP)
            self._prove(exchange, guard, token, caller)
        elif caller.key_thumbprint:
            reason = "the token is bound to a key and has to come with a DPoP proof"
            raise guard.challenge.invalid_token(reason, DPOP)
        elif self._needs_proof(caller, guard):
            raise guard.challenge.invalid_token("only tokens bound to a key are accepted", DPOP)

    def _needs_proof(self, caller: TokenCaller, guard: Guard) -> bool:
        return self._dpop_required and not is_tier(caller, guard.api)

    def _prove(self, exchange: Exchange, guard: Guard, token: bytes, caller: TokenCaller) -> None:
        values = [value for name, value in exchange.raw_headers if name == _DPOP]
        try:
            proof = self._proofs.check_proof(
                values,
                method=exchange.method,
                url=self._public_url + exchange.raw_path.decode("latin-1"),
                token=token,
                bound_to=caller.key_thumbprint,
            )
        except NonceRequiredError as error:
            raise guard.challenge.nonce_required(str(error), error.nonce) from error
        except InvalidProofError as error:
            raise guard.challenge.invalid_proof(str(error)) from error
        exchange.nonce = proof.nonce
        exchange.proof_use = proof.use

    async def _key(self, exchange: Exchange, guard: Guard, place: Place) -> KeyCaller | None:
        presented = take_key(exchange, *place, guard.challenge)
        if not presented or self._api_keys is None:
            return None
        wait_seconds = self._key_failures.wait_seconds(exchange.address)
        if wait_seconds:
            raise too_many_failures(wait_seconds)
        try:
            record = await self._api_keys.find(presented)
        except RedisFailure as failure:
            raise unavailable("API keys cannot be looked up") from failure
        if record is None:
            self._key_failures.record(exchange.address)
            raise guard.challenge.invalid_key("the API key is not accepted")
        return KeyCaller(
            subject=record.subject,
            client_id=record.client_id,
            scopes=record.scopes,
            plan=record.plan,
        )


def _holder(certificate: ClientCertificate | None) -> Caller | None:
    """Return the caller that a certificate alone names: whom it is for, by what it is."""
    if certificate is None:
        return None
    return Caller(subject=certificate.subject, client_id=f"x5t#S256:{certificate.thumbprint}")
