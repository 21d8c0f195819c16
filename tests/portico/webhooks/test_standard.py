"""Standard Webhooks: the lines WH-01 to WH-03 and the vector of the specification."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from portico.webhooks.received import Received, WebhookRefusedError
from portico.webhooks.standard import STANDARD, decode_secret, decode_signing_secret, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {
    "webhook-id": MESSAGE_ID,
    "webhook-timestamp": str(AT),
    "webhook-signature": SIGNATURE,
}


def verify(*secrets: str, now: float = AT, body: bytes = BODY, **headers: str | None) -> Received:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {name: value for name, value in {**HEADERS, **changed}.items() if value is not None}
    decoded = [decode_secret(secret) for secret in secrets or (SECRET,)]
    return STANDARD.verify(fields, body, decoded, now)


def test_WH_01_the_vector_of_the_specification() -> None:  # noqa: N802
    assert sign([decode_signing_secret(SECRET)], MESSAGE_ID, AT, BODY) == SIGNATURE
    assert verify().delivery_id == MESSAGE_ID


def test_WH_01_a_signature_of_ed25519_is_v1a() -> None:  # noqa: N802
    private = Ed25519PrivateKey.generate()
    signing = "whsk_" + base64.b64encode(private.private_bytes_raw()).decode()
    public = "whpk_" + base64.b64encode(private.public_key().public_bytes_raw()).decode()

    signature = sign([decode_signing_secret(signing)], MESSAGE_ID, AT, BODY)

    assert signature.startswith("v1a,")
    assert verify(public, webhook_signature=signature).delivery_id == MESSAGE_ID
    with pytest.raises(WebhookRefusedError):
        verify(public, webhook_signature=signature, body=BODY + b" ")


def test_WH_01_an_id_with_a_dot_is_refused() -> None:  # noqa: N802
    with pytest.raises(WebhookRefusedError, match="webhook-id cannot be"):
        verify(webhook_id="msg.1")


def test_WH_02_the_raw_bytes_are_what_is_signed() -> None:  # noqa: N802
    with pytest.raises(WebhookRefusedError, match="no signature matches"):
        verify(body=b'{"test":2432232314}')


@pytest.mark.parametrize(
    "signature",
    [
        f"v2,AAAA {SIGNATURE}",
        f"{SIGNATURE} v1,AAAA",
        f"v1a,AAAA {SIGNATURE}",
        f"nonsense {SIGNATURE}",
    ],
)
def test_WH_02_unknown_versions_are_skipped_and_any_match_passes(signature: str) -> None:  # noqa: N802
    assert verify(webhook_signature=signature).delivery_id == MESSAGE_ID


@pytest.mark.parametrize(
    "signature", ["v2," + SIGNATURE[3:], SIGNATURE[3:], "v1", "v1,", "v1,é", "v1," + "A" * 43 + "="]
)
def test_WH_02_a_signature_that_does_not_match_is_refused(signature: str) -> None:  # noqa: N802
    with pytest.raises(WebhookRefusedError, match="no signature matches"):
        verify(webhook_signature=signature)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_WH_02_the_tolerance_is_five_minutes_both_ways(seconds: int) -> None:  # noqa: N802
    assert verify(now=AT + (300 if seconds > 0 else -300)).delivery_id

    with pytest.raises(WebhookRefusedError, match="too far from now"):
        verify(now=AT + seconds)


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_WH_02_all_three_headers_are_required(name: str) -> None:  # noqa: N802
    without: dict[str, Any] = {name: None}
    with pytest.raises(WebhookRefusedError, match=f"{name} is missing"):
        verify(**without)


@pytest.mark.parametrize("timestamp", ["", "soon", "1614265330.5", "-1", "٣", "1" * 20])
def test_WH_02_the_timestamp_is_a_number_of_seconds(timestamp: str) -> None:  # noqa: N802
    signed = sign([decode_secret(SECRET)], MESSAGE_ID, 0, BODY)
    with pytest.raises(WebhookRefusedError):
        verify(webhook_timestamp=timestamp, webhook_signature=signed)


def test_WH_02_a_secret_is_read_with_and_without_prefix_and_padding() -> None:  # noqa: N802
    raw = bytes(range(25))
    padded = base64.b64encode(raw).decode()
    forms = [f"whsec_{padded}", padded, padded.rstrip("="), f"whsec_{padded.rstrip('=')}"]

    assert {decode_secret(form) for form in forms} == {b"s" + raw}


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_ö", "whpk_AAAA", "A" * 200])
def test_WH_02_a_secret_that_protects_nothing_is_refused(secret: str) -> None:  # noqa: N802
    with pytest.raises(ValueError, match="secret|key"):
        decode_secret(secret)


def test_WH_03_while_secrets_rotate_both_are_signed_with_and_accepted() -> None:  # noqa: N802
    other = "whsec_" + base64.b64encode(bytes(range(32))).decode()

    both = sign([decode_secret(other), decode_secret(SECRET)], MESSAGE_ID, AT, BODY)

    assert len(both.split(" ")) == 2
    for secrets in ([SECRET], [other], [other, SECRET]):
        assert verify(*secrets, webhook_signature=both).delivery_id == MESSAGE_ID


@given(st.binary(max_size=200), st.binary(min_size=24, max_size=64))
def test_what_is_signed_is_verified(body: bytes, secret: bytes) -> None:
    text = base64.b64encode(secret).decode()

    signature = sign([decode_signing_secret(text)], "msg_1", AT, body)

    headers: dict[str, Any] = {"webhook_id": "msg_1", "webhook_signature": signature}
    assert verify(text, body=body, **headers).delivery_id == "msg_1"
