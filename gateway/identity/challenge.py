"""The answers to requests whose credentials do not suffice (RFC 6750 section 3, RFC 9449 7.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.identity.dpop import ALGORITHMS
from portico.problems import (
    FORBIDDEN,
    IDENTITY_UNAVAILABLE,
    MALFORMED_REQUEST,
    STEP_UP,
    TOO_MANY_REQUESTS,
    UNAUTHENTICATED,
    Problem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BEARER = "Bearer"
DPOP = "DPoP"
# An issuer or Redis that is away is rarely back sooner.
RETRY_AFTER_SECONDS = 5

# What RFC 6750 allows in a description, and what needs no escaping in a quoted string.
_QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*\Z")


class Challenge:
    """Makes problems that carry a `WWW-Authenticate` challenge for one realm.

    `resource_metadata` is where the API says whose tokens it takes (RFC 9728 section 5.1).
    `accepts` are the schemes of a request without credentials, the usual one first.
    """

    __slots__ = ("_accepts", "_metadata", "_realm")

    def __init__(
        self, realm: str, *, resource_metadata: str = "", accepts: Sequence[str] = (BEARER,)
    ) -> None:
        self._realm = f"realm={quoted(realm)}"
        self._metadata = (
            f", resource_metadata={quoted(resource_metadata)}" if resource_metadata else ""
        )
        self._accepts = tuple(accepts)

    def missing(self) -> Problem:
        """Return the 401 for a request without usable credentials, which names no error."""
        return Problem(
            UNAUTHENTICATED,
            "the request carries no credentials that this operation accepts",
            headers=[self._field(scheme, "") for scheme in self._accepts],
        )

    def invalid_token(self, reason: str, scheme: str = BEARER) -> Problem:
        """Return the 401 for a token that is malformed, expired or not for here."""
        return Problem(
            UNAUTHENTICATED, reason, headers=[self._error("invalid_token", reason, scheme)]
        )

    def invalid_key(self, reason: str) -> Problem:
        """Return the 401 for an API key that is not accepted, which has no error codes."""
        return Problem(
            UNAUTHENTICATED, reason, headers=[self._field(scheme, "") for scheme in self._accepts]
        )

    def invalid_proof(self, reason: str) -> Problem:
        """Return the 401 for a DPoP proof that does not prove what it should."""
        return Problem(
            UNAUTHENTICATED, reason, headers=[self._error("invalid_dpop_proof", reason, DPOP)]
        )

    def nonce_required(self, reason: str, nonce: str) -> Problem:
        """Return the 401 that brings the nonce for the next proof (RFC 9449 section 9)."""
        return Problem(
            UNAUTHENTICATED,
            reason,
            headers=[self._error("use_dpop_nonce", reason, DPOP), ("dpop-nonce", nonce)],
        )

    def invalid_request(self, reason: str) -> Problem:
        """Return the 400 for a request that presents its credentials ambiguously."""
        return Problem(MALFORMED_REQUEST, reason, headers=[self._error("invalid_request", reason)])

    def insufficient_scope(self, required: Iterable[str], scheme: str = BEARER) -> Problem:
        """Return the 403 for a valid token that lacks a scope; `required` are those needed."""
        scopes = sorted(required)
        reason = "the token lacks a scope that this operation requires"
        more = f", scope={quoted(' '.join(scopes))}"
        return Problem(
            FORBIDDEN,
            reason,
            headers=[self._error("insufficient_scope", reason, scheme, more)],
            extensions={"scopes": scopes},
        )

    def step_up(
        self, reason: str, acr_values: Sequence[str], max_age_seconds: int | None
    ) -> Problem:
        """Return the 401 that asks for a stronger or newer sign-in (RFC 9470 section 3)."""
        more = f", acr_values={quoted(' '.join(acr_values))}" if acr_values else ""
        if max_age_seconds is not None:
            more += f", max_age={max_age_seconds}"
        error = "insufficient_user_authentication"
        return Problem(STEP_UP, reason, headers=[self._error(error, reason, BEARER, more)])

    def _error(
        self, error: str, description: str, scheme: str = BEARER, more: str = ""
    ) -> tuple[str, str]:
        return self._field(
            scheme, f', error="{error}", error_description={quoted(description)}{more}'
        )

    def _field(self, scheme: str, parameters: str) -> tuple[str, str]:
        if scheme == DPOP:
            parameters += f", algs={quoted(' '.join(ALGORITHMS))}"
        return "www-authenticate", f"{scheme} {self._realm}{parameters}{self._metadata}"


def too_many_failures(wait_seconds: int) -> Problem:
    """Return the 429 for an address that keeps sending credentials that do not verify."""
    return Problem(
        TOO_MANY_REQUESTS,
        "too many invalid credentials came from this address",
        headers=[("retry-after", str(wait_seconds))],
    )


def unavailable(reason: str) -> Problem:
    """Return the 503 for credentials of which nobody can say now whether they are good."""
    return Problem(
        IDENTITY_UNAVAILABLE, reason, headers=[("retry-after", str(RETRY_AFTER_SECONDS))]
    )


def quoted(text: str) -> str:
    """Return the text as a quoted string. Raises ValueError if it cannot be one unescaped."""
    if not _QUOTABLE.match(text):
        raise ValueError(f"{text!r} cannot stand in a WWW-Authenticate header")
    return f'"{text}"'
