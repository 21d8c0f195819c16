"""Doors of vendors: their own signatures, and what is no signature of theirs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable

import pytest
from stripe import SignatureVerificationError, WebhookSignature

from portico.webhooks.received import Received, WebhookRefusedError
from portico.webhooks.vendors import VENDORS

NOW = 1_700_000_000
SECRET = "a-secret-of-the-vendor"
BODY = json.dumps({"id": "evt_1", "type": "invoice.paid", "event_id": "Ev1"}).encode()


def _hex(content: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def _base64(content: bytes, secret: str = SECRET) -> str:
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def stripe(body: bytes = BODY, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    signed = _hex(f"{at}.".encode() + body, secret)
    return {"stripe-signature": f"t={at},v1={signed},v0=ignored"}


def intuit(body: bytes = BODY, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    del at
    return {"intuit-signature": _base64(body, secret)}


def shopify(body: bytes = BODY, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    del at
    return {
        "x-shopify-hmac-sha256": _base64(body, secret),
        "x-shopify-webhook-id": "b54557e4",
        "x-shopify-topic": "orders/create",
    }


def slack(body: bytes = BODY, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    signed = _hex(f"v0:{at}:".encode() + body, secret)
    return {"x-slack-signature": f"v0={signed}", "x-slack-request-timestamp": str(at)}


def github(body: bytes = BODY, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    del at
    return {
        "x-hub-signature-256": f"sha256={_hex(body, secret)}",
        "x-github-delivery": "72d3162e",
        "x-github-event": "push",
    }


Signer = Callable[..., dict[str, str]]
SIGNERS: dict[str, Signer] = {
    "stripe": stripe,
    "intuit": intuit,
    "shopify": shopify,
    "slack": slack,
    "github": github,
}
TIMED = ["stripe", "slack"]


def verify(vendor: str, headers: dict[str, str], body: bytes = BODY, *secrets: str) -> Received:
    chosen = VENDORS[vendor]
    keys = [chosen.decode_secret(secret) for secret in secrets or (SECRET,)]
    return chosen.verify(headers, body, keys, NOW)


@pytest.mark.parametrize(
    ("vendor", "delivery_id"),
    [
        ("stripe", "evt_1"),
        ("intuit", hashlib.sha256(BODY).hexdigest()),
        ("shopify", "b54557e4"),
        ("slack", "Ev1"),
        ("github", "72d3162e"),
    ],
)
def test_a_delivery_of_the_vendor_is_accepted_under_its_own_name(
    vendor: str, delivery_id: str
) -> None:
    assert verify(vendor, SIGNERS[vendor]()).delivery_id == delivery_id


@pytest.mark.parametrize("vendor", SIGNERS)
def test_another_body_is_refused(vendor: str) -> None:
    with pytest.raises(WebhookRefusedError, match="no signature matches"):
        verify(vendor, SIGNERS[vendor](), BODY + b" ")


@pytest.mark.parametrize("vendor", SIGNERS)
def test_another_secret_is_refused(vendor: str) -> None:
    with pytest.raises(WebhookRefusedError, match="no signature matches"):
        verify(vendor, SIGNERS[vendor](secret="the-secret-of-another"))


@pytest.mark.parametrize("vendor", SIGNERS)
def test_no_signature_is_refused(vendor: str) -> None:
    with pytest.raises(WebhookRefusedError, match="missing"):
        verify(vendor, {})


@pytest.mark.parametrize("vendor", SIGNERS)
def test_both_secrets_are_accepted_while_one_replaces_the_other(vendor: str) -> None:
    for signed_with in ("the-old-secret", "the-new-secret"):
        headers = SIGNERS[vendor](secret=signed_with)
        assert verify(vendor, headers, BODY, "the-new-secret", "the-old-secret").delivery_id


@pytest.mark.parametrize("vendor", TIMED)
@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_time_too_far_from_now_is_refused_both_ways(vendor: str, seconds: int) -> None:
    near = 300 if seconds > 0 else -300
    assert verify(vendor, SIGNERS[vendor](at=NOW + near)).delivery_id

    with pytest.raises(WebhookRefusedError, match="too far from now"):
        verify(vendor, SIGNERS[vendor](at=NOW + seconds))


@pytest.mark.parametrize("vendor", SIGNERS)
@pytest.mark.parametrize("secret", ["", "short"])
def test_a_secret_that_protects_nothing_is_refused(vendor: str, secret: str) -> None:
    with pytest.raises(ValueError, match="at least 8"):
        VENDORS[vendor].decode_secret(secret)


def test_github_the_vector_of_its_documents() -> None:
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": signature, "x-github-delivery": "1"}

    received = verify("github", headers, b"Hello, World!", "It's a Secret to Everybody")

    assert received.delivery_id == "1"


def test_slack_the_vector_of_its_documents() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
        b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015"
        b".47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    headers = {"x-slack-request-timestamp": "1531420618", "x-slack-signature": signature}
    secret = b"8f742231b10e8888abcd99yyyzzz85a5"

    received = VENDORS["slack"].verify(headers, body, [secret], 1_531_420_618)

    assert received.delivery_id, "commands have no id of their own: it is that of the content"


def test_stripe_its_own_library_takes_what_is_taken_here() -> None:
    """Its documents have no vector; its library is the judge."""
    at = int(time.time())
    (header,) = stripe(at=at).values()

    event = WebhookSignature.verify_header(BODY.decode(), header, SECRET, 300)
    received = VENDORS["stripe"].verify(stripe(at=at), BODY, [SECRET.encode()], at)
    with pytest.raises(SignatureVerificationError):
        WebhookSignature.verify_header(BODY.decode(), header, "another-secret", 300)

    assert event
    assert received.delivery_id == "evt_1"


@pytest.mark.parametrize(
    "header",
    [
        "v1={right}",
        "t={now},t={now},v1={right}",
        "t={now},v0={right}",
        "t={now}",
        "nonsense",
        "t=soon,v1={right}",
    ],
)
def test_stripe_a_header_that_is_not_whole_is_refused(header: str) -> None:
    right = _hex(f"{NOW}.".encode() + BODY)

    with pytest.raises(WebhookRefusedError):
        verify("stripe", {"stripe-signature": header.format(now=NOW, right=right)})


def test_stripe_one_of_several_signatures_is_enough() -> None:
    right = _hex(f"{NOW}.".encode() + BODY)

    assert verify("stripe", {"stripe-signature": f"t={NOW},v1={'0' * 64},v1={right}"}).delivery_id


def test_stripe_an_event_without_an_id_is_refused() -> None:
    with pytest.raises(WebhookRefusedError, match="no id"):
        verify("stripe", stripe(b"{}"), b"{}")


def test_slack_a_new_address_answers_the_challenge() -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a"}).encode()

    received = verify("slack", slack(body), body)

    assert (received.reply, received.delivery_id) == (b"3eZbrw1a", "")
