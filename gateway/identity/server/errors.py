"""Errors of OAuth that Authlib has no class for. They leave in the form of RFC 6749 section 5.2."""

from __future__ import annotations

from authlib.oauth2.rfc6749.errors import InvalidClientError, OAuth2Error

# Long enough that a store which starts again is back, short enough to try again by oneself.
_STORE_RETRY_SECONDS = 2


class InvalidTargetError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The resource asked for is not one that tokens are issued for (RFC 8707 section 2)."""

    error = "invalid_target"


class InvalidRequestURIError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The request_uri is unknown, used, or of another client (RFC 9126 section 2.2)."""

    error = "invalid_request_uri"


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


def store_unavailable() -> WaitError:
    """Return the refusal of what cannot be decided or kept at the moment."""
    return WaitError("the request cannot be decided at the moment", _STORE_RETRY_SECONDS, 503)


def rejected_client() -> InvalidClientError:
    """Return the one answer to an unknown client, a wrong secret and unusable credentials."""
    return InvalidClientError("the client could not be authenticated", status_code=401)
