"""How sandboxes sign their webhooks; `portico.webhooks` is what believes them."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode


def hex_hmac_sha256(secret: str, signed: bytes) -> str:
    """Return a signature in hexadecimal digits."""
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def base64_hmac_sha256(secret: str, signed: bytes) -> str:
    """Return a signature in base64."""
    return b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode("ascii")
