"""Reading a signed JWT in the compact serialization, in its one canonical spelling.

Every token that passes has exactly one spelling as bytes (up to the signature value itself),
so that caches and logs keyed by its hash cannot be talked past with padding or stray bits.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from gateway.identity.json_object import read_object

MAX_TOKEN_BYTES = 8 * 1024


class InvalidTokenError(Exception):
    """A token that is not accepted; the text is for the caller and quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactToken:
    """The parts of a token as sent: nothing in it is proven yet."""

    header: dict[str, object]
    payload: bytes
    signing_input: bytes
    signature: bytes


def read_compact(token: bytes) -> CompactToken:
    """Return the parts of a token. Raises InvalidTokenError for every other spelling."""
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidTokenError(f"the token is larger than {MAX_TOKEN_BYTES} bytes")
    parts = token.split(b".")
    if len(parts) != 3 or not all(parts):
        raise InvalidTokenError("the token is not a JWT of three parts")
    try:
        header, payload, signature = [_decode(part) for part in parts]
        return CompactToken(
            header=read_object(header),
            payload=payload,
            signing_input=token[: -len(parts[2]) - 1],
            signature=signature,
        )
    except ValueError as error:
        raise InvalidTokenError("the token is not a well-formed JWT") from error


def read_claims(token: CompactToken) -> dict[str, object]:
    """Return the claims of a token. Raises InvalidTokenError if they are not one object."""
    try:
        return read_object(token.payload)
    except ValueError as error:
        raise InvalidTokenError("the claims of the token are not well-formed") from error


def _decode(part: bytes) -> bytes:
    data = urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    # The decoder skips what it does not know; encoding again shows whatever was skipped.
    if urlsafe_b64encode(data).rstrip(b"=") != part:
        raise ValueError("not canonical base64url")
    return data
