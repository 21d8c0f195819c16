"""Standard Webhooks: signing and verifying (https://www.standardwebhooks.com, specification).

Symmetric secrets are `whsec_` and base64; private and public keys of ed25519 `whsk_` and `whpk_`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from portico.webhooks.received import (
    Headers,
    Received,
    Vendor,
    WebhookRefusedError,
    check_time,
    header,
)

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_SYMMETRIC, _PRIVATE, _PUBLIC = "whsec_", "whsk_", "whpk_"
_SECRET_BYTES = range(24, 65)
_KEY_BYTES = 32
_MAX_SIGNATURES = 16
_MAX_ID = 256
_FROM_URL = str.maketrans("-_", "+/")


def decode_secret(text: str) -> bytes:
    """Return a secret of a receiver, with one byte before it that says its kind.

    It is accepted with or without prefix and padding. Raises ValueError.
    """
    if text.startswith(_PUBLIC):
        return b"p" + _key(text.removeprefix(_PUBLIC))
    return b"s" + _symmetric(text)


def decode_signing_secret(text: str) -> bytes:
    """Return a secret of a sender, with one byte before it that says its kind."""
    if text.startswith(_PRIVATE):
        return b"k" + _key(text.removeprefix(_PRIVATE))
    return b"s" + _symmetric(text)


def _symmetric(text: str) -> bytes:
    secret = _base64(text.removeprefix(_SYMMETRIC))
    if len(secret) not in _SECRET_BYTES:
        raise ValueError("a secret has 24 to 64 bytes, written as whsec_ and base64")
    return secret


def _key(text: str) -> bytes:
    key = _base64(text)[:_KEY_BYTES]  # a private key may have its public one behind it
    if len(key) != _KEY_BYTES:
        raise ValueError("a key of ed25519 has 32 bytes, written in base64")
    return key


def _base64(text: str) -> bytes:
    # Generated secrets are written in the alphabet for URLs.
    standard = text.translate(_FROM_URL)
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the secret is not base64") from None


def sign(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature header: one signature for each secret, as rotation needs it."""
    content = _content(message_id, str(timestamp), body)
    return " ".join(_signature(secret, content) for secret in secrets)


def _signature(secret: bytes, content: bytes) -> str:
    kind, key = secret[:1], secret[1:]
    if kind == b"k":
        signed = Ed25519PrivateKey.from_private_bytes(key).sign(content)
        return f"v1a,{base64.b64encode(signed).decode()}"
    return f"v1,{base64.b64encode(_hmac(key, content)).decode()}"


def _hmac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()


def _content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _verify(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> Received:
    """Return a delivery; any signature by any secret will do, unknown versions are skipped."""
    message_id = header(headers, ID)
    if "." in message_id or len(message_id) > _MAX_ID:
        raise WebhookRefusedError(f"{ID} cannot be")
    timestamp = header(headers, TIMESTAMP)
    given = header(headers, SIGNATURE).split(" ")[:_MAX_SIGNATURES]
    content = _content(message_id, timestamp, body)
    if not any(_matches(secret, entry, content) for secret in secrets for entry in given):
        raise WebhookRefusedError("no signature matches")
    check_time(timestamp, now)
    return Received(delivery_id=message_id, topic=_type(body))


def _matches(secret: bytes, entry: str, content: bytes) -> bool:
    version, _, text = entry.partition(",")
    kind, key = secret[:1], secret[1:]
    if version == "v1" and kind == b"s":
        expected = base64.b64encode(_hmac(key, content))
        return hmac.compare_digest(expected, text.encode())
    if version == "v1a" and kind == b"p":
        return _is_signed(key, text, content)
    return False


def _is_signed(key: bytes, text: str, content: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(
            base64.b64decode(text, validate=True), content
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def _type(body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    return str(document.get("type", "")) if isinstance(document, dict) else ""


STANDARD = Vendor(
    name="standard",
    headers=frozenset({ID, TIMESTAMP, SIGNATURE}),
    verify=_verify,
    decode_secret=decode_secret,
)
