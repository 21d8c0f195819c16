"""How vendors sign their webhooks, each by its own documents.

Stripe, Intuit, Shopify, Slack and GitHub sign the raw bytes with HMAC-SHA256. They differ in what
they put before the body, how they write the result and what names a delivery.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from portico.webhooks.cloud_events import CLOUD_EVENTS
from portico.webhooks.received import (
    Headers,
    Received,
    Vendor,
    WebhookRefusedError,
    check_time,
    digest,
    header,
)
from portico.webhooks.standard import STANDARD

_MIN_SECRET = 8  # an empty or token secret would let anybody in
_MAX_SIGNATURES = 16


def _plain(text: str) -> bytes:
    """Return a secret that is used as it is written."""
    if len(text) < _MIN_SECRET:
        raise ValueError(f"a secret has at least {_MIN_SECRET} characters")
    return text.encode()


def _hex(key: bytes, content: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def _base64(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def _require(expected: Iterable[str], given: Sequence[str]) -> None:
    """Raise WebhookRefusedError unless one of the given is one of the expected."""
    found = False
    for right in expected:
        for candidate in given:
            found |= hmac.compare_digest(right.encode(), candidate.encode())
    if not found:
        raise WebhookRefusedError("no signature matches")


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _stripe(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> Received:
    """`Stripe-Signature: t=…,v1=…`: hex over `t.body`; v0 is for tests of Stripe's and ignored."""
    parts = [part.partition("=") for part in header(headers, "stripe-signature").split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    given = [value for name, _, value in parts if name.strip() == "v1"][:_MAX_SIGNATURES]
    if len(times) != 1:
        raise WebhookRefusedError("stripe-signature has no time")
    content = times[0].encode() + b"." + body
    _require((_hex(secret, content) for secret in secrets), given)
    check_time(times[0], now)
    event = _object(body)
    if not isinstance(event.get("id"), str) or not event["id"]:
        raise WebhookRefusedError("the event has no id")
    return Received(delivery_id=event["id"], topic=str(event.get("type", "")))


def _intuit(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> Received:
    """`intuit-signature`: base64 over the body, with the verifier token. It carries no time.

    One delivery has the changes of several companies, so its name is that of its content.
    """
    del now
    given = header(headers, "intuit-signature")
    _require((_base64(secret, body) for secret in secrets), [given])
    return Received(delivery_id=digest(body))


def _shopify(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> Received:
    """`X-Shopify-Hmac-Sha256`: base64 over the body. It carries no time."""
    del now
    given = header(headers, "x-shopify-hmac-sha256")
    _require((_base64(secret, body) for secret in secrets), [given])
    return Received(
        delivery_id=header(headers, "x-shopify-webhook-id"),
        topic=headers.get("x-shopify-topic", ""),
    )


def _slack(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> Received:
    """`X-Slack-Signature: v0=…`: hex over `v0:time:body`. A new address gets a challenge."""
    timestamp = header(headers, "x-slack-request-timestamp")
    content = b"v0:" + timestamp.encode() + b":" + body
    given = header(headers, "x-slack-signature")
    _require((f"v0={_hex(secret, content)}" for secret in secrets), [given])
    check_time(timestamp, now)
    event = _object(body)
    if event.get("type") == "url_verification":
        challenge = str(event.get("challenge", "")).encode()
        return Received(delivery_id="", topic="url_verification", reply=challenge)
    return Received(
        delivery_id=str(event.get("event_id") or digest(body)),
        topic=str(event.get("type", "")),
    )


def _github(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> Received:
    """`X-Hub-Signature-256: sha256=…`: hex over the body. It carries no time."""
    del now
    given = header(headers, "x-hub-signature-256")
    _require((f"sha256={_hex(secret, body)}" for secret in secrets), [given])
    return Received(
        delivery_id=header(headers, "x-github-delivery"), topic=headers.get("x-github-event", "")
    )


def _vendor(name: str, verify: Any, *headers: str) -> Vendor:
    return Vendor(name=name, headers=frozenset(headers), verify=verify, decode_secret=_plain)


VENDORS: Mapping[str, Vendor] = {
    vendor.name: vendor
    for vendor in (
        _vendor("stripe", _stripe, "stripe-signature"),
        _vendor("intuit", _intuit, "intuit-signature"),
        _vendor("shopify", _shopify, "x-shopify-hmac-sha256", "x-shopify-webhook-id"),
        _vendor("slack", _slack, "x-slack-signature", "x-slack-request-timestamp"),
        _vendor("github", _github, "x-hub-signature-256", "x-github-delivery"),
        STANDARD,
        CLOUD_EVENTS,
    )
}
