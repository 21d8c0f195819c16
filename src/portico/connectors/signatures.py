"""Signatures of webhooks: what each vendor signs differs, how it is verified does not."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Sequence

# How far a signed time may be from now, in either direction; Stripe's libraries allow the same.
TOLERANCE_SECONDS = 300


class SignatureError(Exception):
    """A message that nobody who knows the secret has sent, or not lately."""


def hex_hmac_sha256(secret: str, signed: bytes) -> str:
    """Return a signature in hexadecimal digits."""
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def base64_hmac_sha256(secret: str, signed: bytes) -> str:
    """Return a signature in base64."""
    return b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode("ascii")


def verify(expected: Iterable[str], received: Sequence[str]) -> None:
    """Raise SignatureError unless one of the received signatures is one of the expected.

    There are several expected while a secret is rotated: one for each secret that is accepted.
    Each is compared in constant time, and all are.
    """
    matches = [
        hmac.compare_digest(candidate.encode(), signature.encode())
        for candidate in expected
        for signature in received
    ]
    if not any(matches):
        raise SignatureError("no signature matches")


def check_time(signed_at: float, now: float, tolerance_seconds: float = TOLERANCE_SECONDS) -> None:
    """Raise SignatureError for a message that was signed too long ago, or in the future."""
    if abs(now - signed_at) > tolerance_seconds:
        raise SignatureError(f"the message was not signed within {tolerance_seconds:g} seconds")
