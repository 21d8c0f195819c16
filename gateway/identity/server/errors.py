"""Errors of OAuth that Authlib has no class for. They leave in the form of RFC 6749 section 5.2."""

from __future__ import annotations

import re

from authlib.oauth2.rfc6749.errors import InvalidClientError, OAuth2Error

# Long enough that a store which starts again is back, short enough to try again by oneself.
_STORE_RETRY_SECONDS = 2


class InvalidTargetError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The resource asked for is not one that tokens are issued for (RFC 8707 section 2)."""

    error = "invalid_target"


class InvalidRequestURIError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The request_uri is unknown, used, or of another client (RFC 9126 section 2.2)."""

    error = "invalid_request_uri"


class UnsupportedTypeError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """Tokens of this type are not revoked (RFC 7009 section 2.2.1)."""

    error = "unsupported_token_type"


class WaitError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The request may succeed later: after too many failures, or when the store is back."""

    error = "temporarily_unavailable"

    def __init__(self, description: str, wait_seconds: int, status_code: int) -> None:
        super().__init__(description, status_code=status_code)
        self.wait_seconds = wait_seconds

    def get_headers(self) -> list[tuple[str, str]]:
        return [*super().get_headers(), ("Retry-After", str(self.wait_seconds))]


def too_many_attempts(wait_seconds: int) -> WaitError:
    """Return the refusal of whoever failed too often."""
    return WaitError("too many failed attempts, wait before the next", wait_seconds, 429)


def too_many_requests(wait_seconds: int) -> WaitError:
    """Return the refusal of an address that begins more than anybody finishes."""
    return WaitError("too many requests came from this address", wait_seconds, 429)


def store_unavailable() -> WaitError:
    """Return the refusal of what cannot be decided or kept at the moment."""
    return WaitError("the request cannot be decided at the moment", _STORE_RETRY_SECONDS, 503)


def busy() -> WaitError:
    """Return the refusal of one too many who sign in at the same moment."""
    return WaitError("too many people sign in at the moment", _STORE_RETRY_SECONDS, 503)


def rejected_client() -> InvalidClientError:
    """Return the one answer to an unknown client, a wrong secret and unusable credentials."""
    return InvalidClientError("the client could not be authenticated", status_code=401)


# What is said where Authlib says nothing, or repeats what was sent.
_DESCRIPTIONS = {
    "access_denied": "the request was refused",
    "invalid_grant": "the code or token is not valid, or is another client's",
    "invalid_request": "the request is malformed",
    "invalid_scope": "a scope is unknown or not one that the client may have",
    "unauthorized_client": "the client may not use this grant",
    "unsupported_grant_type": "the grant_type is not offered",
    "unsupported_response_type": "the response_type is code",
}
# RFC 6749 section 5.2 excludes quotation marks and backslashes. Authlib's texts begin with a
# capital letter, ours do not, and Authlib's may repeat what was sent.
_PLAIN = re.compile(r"[a-z][\x20-\x21\x23-\x5b\x5d-\x7e]{1,200}\Z")


def plain_description(error: OAuth2Error) -> str:
    """Return a description that quotes nothing that was sent and fits into the answer."""
    text = str(error.description or "")
    return text if _PLAIN.match(text) else _DESCRIPTIONS.get(error.error, "the request failed")
