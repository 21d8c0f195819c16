"""The answers to requests whose credentials do not suffice (RFC 6750 section 3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from portico.problems import (
    FORBIDDEN,
    MALFORMED_REQUEST,
    TOO_MANY_REQUESTS,
    UNAUTHENTICATED,
    Problem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

# What RFC 6750 allows in a description, and what needs no escaping in a quoted string.
_QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*\Z")


class Challenge:
    """Makes problems that carry a `WWW-Authenticate` challenge for one realm."""

    __slots__ = ("_prefix",)

    def __init__(self, realm: str) -> None:
        self._prefix = f"Bearer realm={quoted(realm)}"

    def missing(self) -> Problem:
        """Return the 401 for a request without usable credentials, which names no error."""
        return Problem(
            UNAUTHENTICATED,
            "the request carries no bearer token",
            headers=[("www-authenticate", self._prefix)],
        )

    def invalid_token(self, reason: str) -> Problem:
        """Return the 401 for a token that is malformed, expired or not for here."""
        return Problem(UNAUTHENTICATED, reason, headers=[self._header("invalid_token", reason)])

    def invalid_request(self, reason: str) -> Problem:
        """Return the 400 for a request that presents its credentials ambiguously."""
        return Problem(MALFORMED_REQUEST, reason, headers=[self._header("invalid_request", reason)])

    def insufficient_scope(self, required: Iterable[str]) -> Problem:
        """Return the 403 for a valid token that lacks a scope; `required` are those needed."""
        scopes = sorted(required)
        reason = "the token lacks a scope that this operation requires"
        name, value = self._header("insufficient_scope", reason)
        return Problem(
            FORBIDDEN,
            reason,
            headers=[(name, f"{value}, scope={quoted(' '.join(scopes))}")],
            extensions={"scopes": scopes},
        )

    def _header(self, error: str, description: str) -> tuple[str, str]:
        return (
            "www-authenticate",
            f'{self._prefix}, error="{error}", error_description={quoted(description)}',
        )


def too_many_failures(wait_seconds: int) -> Problem:
    """Return the 429 for an address that keeps sending tokens that do not verify."""
    return Problem(
        TOO_MANY_REQUESTS,
        "too many invalid tokens came from this address",
        headers=[("retry-after", str(wait_seconds))],
    )


def quoted(text: str) -> str:
    """Return the text as a quoted string. Raises ValueError if it cannot be one unescaped."""
    if not _QUOTABLE.match(text):
        raise ValueError(f"{text!r} cannot stand in a WWW-Authenticate header")
    return f'"{text}"'
