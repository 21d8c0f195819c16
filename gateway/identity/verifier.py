"""Verifying access tokens: from the token as it was sent to the caller that it names."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.identity.claims import TokenCaller, check_header, read_caller
from gateway.identity.compact import CompactToken, InvalidTokenError, read_claims, read_compact
from gateway.identity.failure_limit import FailureLimit, network_of
from gateway.identity.token_cache import TokenCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.identity.issuers.trusted import RingKeys, TrustedIssuer
    from gateway.identity.revocation import Revocations

# A forged token costs about 100 us of CPU, so one address can burn 0.02 % of a core.
FAILURES_PER_ADDRESS = "120/minute"
_NOT_GENUINE = "the token is not signed by an issuer that is trusted here"


class HeldOffError(Exception):
    """An address sent too many tokens that do not verify; nothing of this one was looked at."""

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(wait_seconds)
        self.wait_seconds = wait_seconds


class TokenVerifier:
    """Verifies tokens of the built-in issuer and of others that are trusted.

    A token that was verified within the last minute costs a hash and a dictionary lookup, and
    no coroutine. For whom a token is, and what it allows, is not decided here.
    """

    __slots__ = (
        "_built_in",
        "_cache",
        "_clock",
        "_failures",
        "_introspected",
        "_issuers",
        "_revocations",
        "_ring",
    )

    def __init__(
        self,
        built_in: TrustedIssuer,
        ring: RingKeys,
        others: Sequence[TrustedIssuer] = (),
        *,
        failures_per_address: str = FAILURES_PER_ADDRESS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._built_in = built_in
        self._ring = ring
        self._issuers = {one.policy.issuer: one for one in (*others, built_in)}
        self._introspected = [one.introspector for one in others if one.introspector is not None]
        self._revocations: Revocations | None = None
        self._clock = clock
        self._cache = TokenCache()
        self._failures = FailureLimit(
            failures_per_address, scope="token", key_function=network_of, clock=clock
        )

    def watch(self, revocations: Revocations) -> None:
        """Look tokens up among the revoked ones from now on."""
        self._revocations = revocations

    def revoked(self, token_id: str) -> None:
        """Take note of a token that another worker has revoked."""
        if self._revocations is not None:
            self._revocations.note(token_id)

    def cached(self, token: bytes) -> TokenCaller | None:
        """Return the caller of a token that was verified before and is still good."""
        if self._ring.renew():
            self.forget()
        caller = self._cache.get(sha256(token).digest(), self._clock())
        if caller is None or self._revocations is None:
            return caller
        return None if self._revocations.knows(caller.token_id) else caller

    async def verify(self, token: bytes, address: str = "") -> TokenCaller:
        """Return the caller of a token. `address` is the client's.

        Raises InvalidTokenError, HeldOffError for an address that failed too often, and
        IssuerUnavailableError when nobody can say.
        """
        caller = self.cached(token)
        if caller is not None:
            return caller
        wait_seconds = self._failures.wait_seconds(address)
        if wait_seconds:
            raise HeldOffError(wait_seconds)
        now = self._clock()
        try:
            caller = await self._admit(token, now)
        except InvalidTokenError:
            self._failures.record(address)
            raise
        self._cache.put(sha256(token).digest(), caller, now)
        return caller

    def forget(self) -> None:
        """Verify every token anew when it comes next."""
        self._cache.clear()

    async def _admit(self, token: bytes, now: float) -> TokenCaller:
        if self._introspected and token.count(b".") != 2:
            caller = await self._introspect(token, now)
        else:
            caller = await self._read(read_compact(token), now)
        if (
            caller.token_id
            and self._revocations is not None
            and await self._revocations.find(caller.token_id)
        ):
            raise InvalidTokenError("the token was revoked")
        return caller

    async def _read(self, token: CompactToken, now: float) -> TokenCaller:
        claims = read_claims(token)
        named = claims.get("iss")
        known = self._issuers.get(named) if isinstance(named, str) else None
        issuer = known or self._built_in
        check_header(token.header, issuer.policy)
        await self._check_signature(token, issuer, is_known=known is not None)
        return read_caller(claims, policy=issuer.policy, now=now)

    async def _check_signature(
        self, token: CompactToken, issuer: TrustedIssuer, *, is_known: bool
    ) -> None:
        algorithm = str(token.header["alg"])
        found = await issuer.keys.find(token.header.get("kid")) if is_known else None
        # An unknown issuer or key costs and says the same as a wrong signature.
        key = found or issuer.keys.fitting(algorithm)
        genuine = key is not None and key.verifies(algorithm, token.signing_input, token.signature)
        if found is None or not genuine:
            raise InvalidTokenError(_NOT_GENUINE)

    async def _introspect(self, token: bytes, now: float) -> TokenCaller:
        digest = sha256(token).digest()
        for introspector in self._introspected:
            caller = await introspector.find(token, digest, now)
            if caller is not None:
                return caller
        raise InvalidTokenError("the token is not active")

    def __repr__(self) -> str:
        return f"<TokenVerifier [{', '.join(self._issuers)}] {self._cache!r}>"
