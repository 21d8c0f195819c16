"""What can be wrong with the identity configuration. Requests fail with problems instead."""

from __future__ import annotations


class IdentityError(Exception):
    """Identity cannot be set up as configured; `hint` says what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class KeyRingError(IdentityError):
    """The file of signing keys cannot be created, read or trusted."""


class ClientRecordError(IdentityError):
    """A client is configured in a way that cannot be accepted."""


class IssuerError(IdentityError):
    """The issuer identifier is not one that tokens and metadata may carry."""
