"""Verifying access tokens: from the Authorization header to a caller, or a problem."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.identity.challenge import Challenge, too_many_failures
from gateway.identity.claims import MAX_LEEWAY_SECONDS, TokenCaller, check_header, read_caller
from gateway.identity.compact import CompactToken, InvalidTokenError, read_claims, read_compact
from gateway.identity.failure_limit import FailureLimit, network_of
from gateway.identity.issuer import checked_issuer
from gateway.identity.keys import ES256, KeyRing
from gateway.identity.token_cache import TokenCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# A forged token costs about 100 us of CPU, so one address can burn 0.02 % of a core.
FAILURES_PER_ADDRESS = "120/minute"
# Hosts that follow network time differ by less.
LEEWAY_SECONDS = 5.0

_SCHEME = b"bearer "


class TokenVerifier:
    """Verifies tokens of the built-in issuer, for the gateway or for one API by its name.

    A token that was verified within the last minute costs a hash and a dictionary lookup.
    `challenge` makes the problems, also those the pipeline raises about scopes.
    """

    __slots__ = (
        "_audience",
        "_cache",
        "_clock",
        "_failures",
        "_issuer",
        "_keys",
        "_leeway_seconds",
        "_snapshot",
        "challenge",
    )

    def __init__(
        self,
        keys: KeyRing,
        *,
        issuer: str,
        audience: str,
        realm: str = "portico",
        leeway_seconds: float = LEEWAY_SECONDS,
        failures_per_address: str = FAILURES_PER_ADDRESS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 <= leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise ValueError(f"leeway of {leeway_seconds} s, expected 0 to {MAX_LEEWAY_SECONDS}")
        self._keys = keys
        self._snapshot = keys.snapshot
        self._issuer = checked_issuer(issuer)
        self._audience = audience
        self._leeway_seconds = leeway_seconds
        self._clock = clock
        self._cache = TokenCache()
        self._failures = FailureLimit(
            failures_per_address, scope="token", key_function=network_of, clock=clock
        )
        self.challenge = Challenge(realm)

    def verify(
        self, authorization: Sequence[bytes], audience: str = "", address: str = ""
    ) -> TokenCaller:
        """Return who is calling, from the values of the request's Authorization headers.

        `audience` is the name of the API called: a token is accepted if it is for that API
        or for the gateway. `address` is the client's. Raises Problem: 401 with a challenge,
        400 for more than one header, 429 for an address that failed too often.
        """
        token = self._bearer_token(authorization)
        if self._snapshot is not self._keys.snapshot:
            self._forget()
        now = self._clock()
        digest = sha256(token).digest()
        caller = self._cache.get(digest, now)
        if caller is None:
            caller = self._admit(token, address, now)
            self._cache.put(digest, caller, now)
        if self._audience in caller.audiences or audience in caller.audiences:
            return caller
        raise self.challenge.invalid_token("the token is for another audience")

    def _bearer_token(self, authorization: Sequence[bytes]) -> bytes:
        if not authorization:
            raise self.challenge.missing()
        if len(authorization) > 1:
            raise self.challenge.invalid_request("the request has more than one Authorization")
        value = authorization[0]
        if value[: len(_SCHEME)].lower() == _SCHEME:
            return value[len(_SCHEME) :].lstrip(b" ")
        if value.lower() == _SCHEME.rstrip():
            raise self.challenge.invalid_token("there is no token after Bearer")
        # Another scheme: nothing usable was presented, so no error code (RFC 6750 section 3.1).
        raise self.challenge.missing()

    def _admit(self, token: bytes, address: str, now: float) -> TokenCaller:
        wait_seconds = self._failures.wait_seconds(address)
        if wait_seconds:
            raise too_many_failures(wait_seconds)
        try:
            compact = read_compact(token)
            check_header(compact.header)
            self._check_signature(compact)
            return read_caller(
                read_claims(compact),
                issuer=self._issuer,
                now=now,
                leeway_seconds=self._leeway_seconds,
            )
        except InvalidTokenError as error:
            self._failures.record(address)
            raise self.challenge.invalid_token(str(error)) from error

    def _check_signature(self, token: CompactToken) -> None:
        key_id = token.header.get("kid")
        known = self._snapshot.verification.get(key_id) if isinstance(key_id, str) else None
        # An unknown key costs and says the same as a wrong signature.
        key = known or self._snapshot.signing
        genuine = ES256.verify(token.signing_input, token.signature, key)
        if known is None or not genuine:
            raise InvalidTokenError("the token is not signed by this issuer")

    def _forget(self) -> None:
        self._snapshot = self._keys.snapshot
        self._cache.clear()

    def __repr__(self) -> str:
        return f"<TokenVerifier {self._issuer} for {self._audience} {self._cache!r}>"
