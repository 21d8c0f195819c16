"""CloudEvents as webhooks: what the sender shows is a bearer token, what it sends is one event.

HTTP 1.1 Web Hooks for Event Delivery 1.0.2. Before its first event a sender may ask whether it is
wanted (section 4): see `allowance`.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from portico.events.errors import MalformedEventError, UnsupportedFormatError
from portico.events.http_binding import read
from portico.events.json_format import to_bytes
from portico.problems import MALFORMED_REQUEST, UNSUPPORTED_MEDIA_TYPE, Problem
from portico.webhooks.received import Headers, Received, Vendor, WebhookRefusedError, header

REQUEST_ORIGIN, REQUEST_RATE = "webhook-request-origin", "webhook-request-rate"
ANY_ORIGIN = "*"
_MIN_TOKEN = 16


def allowance(headers: Headers, origins: Sequence[str]) -> list[tuple[str, str]] | None:
    """Return the headers that let a sender send, None where it is not to (4.2).

    No rate is imposed here: whatever is asked for is granted.
    """
    origin = headers.get(REQUEST_ORIGIN, "").strip().lower()
    if not origin or not {origin, ANY_ORIGIN} & {one.lower() for one in origins}:
        return None
    granted = [("webhook-allowed-origin", origin), ("allow", "POST")]
    return [*granted, ("webhook-allowed-rate", "*")] if REQUEST_RATE in headers else granted


def _token(text: str) -> bytes:
    if len(text) < _MIN_TOKEN:
        raise ValueError(f"a token has at least {_MIN_TOKEN} characters")
    return text.encode()


def _verify(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> Received:
    """Return the event, in structured mode whichever it came in. Raises Problem for none (3.3)."""
    del now
    scheme, _, given = header(headers, "authorization").partition(" ")
    matches = [hmac.compare_digest(secret, given.strip().encode()) for secret in secrets]
    if scheme.lower() != "bearer" or not any(matches):
        raise WebhookRefusedError("the token is not one of this door")
    try:
        event = read(headers.items(), body)
    except UnsupportedFormatError as error:
        raise Problem(UNSUPPORTED_MEDIA_TYPE, str(error)) from None
    except MalformedEventError as error:
        raise Problem(MALFORMED_REQUEST, str(error)) from None
    return Received(
        delivery_id=f"{len(event.source)}:{event.source}:{event.id}",
        topic=event.type,
        body=to_bytes(event),
    )


CLOUD_EVENTS = Vendor(
    name="cloudevents",
    headers=frozenset({"authorization", "content-type"}),
    verify=_verify,
    decode_secret=_token,
    # What becomes of the event is not known when it is answered (2.2).
    status=202,
    has_handshake=True,
)
