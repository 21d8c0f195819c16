"""Webhooks from Stripe: `Stripe-Signature: t=…,v1=…` over the time and the raw body.

See docs.stripe.com/webhooks#verify-manually. Messages come late, twice and in any order: tell
them apart by the id of the event, and read the record for how it is now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from portico.connectors import exact_json
from portico.connectors.record import Record
from portico.connectors.signatures import SignatureError, check_time, hex_hmac_sha256, verify
from system_apis.stripe.billing_mapping import event
from system_apis.stripe.models import Event

SCHEME = "v1"
# Longer than any header with a few signatures.
MAX_HEADER_LENGTH = 2000


def read_event(
    body: bytes,
    signature: str,
    secrets: Sequence[str],
    clock: Callable[[], float] = time.time,
) -> Event:
    """Return the event of a message; raises SignatureError.

    There are several secrets while the one of the endpoint is rolled: any of them will do.
    """
    signed_at, received = _parse(signature)
    signed = f"{signed_at}.".encode() + body
    verify([hex_hmac_sha256(secret, signed) for secret in secrets], received)
    check_time(signed_at, clock())
    try:
        return event(Record(exact_json.decode(body)))
    except ValueError as error:
        raise SignatureError("the message is signed and is not JSON") from error


def _parse(header: str) -> tuple[int, list[str]]:
    """Return the time and the signatures of the known scheme."""
    signed_at, signatures = None, []
    for part in header[:MAX_HEADER_LENGTH].split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and value.isascii() and value.isdigit():
            signed_at = int(value[:15])
        elif name == SCHEME:
            signatures.append(value)
    if signed_at is None or not signatures:
        raise SignatureError("the header has no time or no signature of a known scheme")
    return signed_at, signatures
