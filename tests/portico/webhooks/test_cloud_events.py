"""CloudEvents as webhooks: the token, both modes, and the question before the first event."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from portico.problems import Problem
from portico.webhooks.cloud_events import CLOUD_EVENTS, allowance
from portico.webhooks.received import Received, WebhookRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "a-token-of-the-tests"
BEARER = {"authorization": f"Bearer {TOKEN}"}
BINARY = {
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "/shop",
    "ce-type": "shop.thing.made",
}
DOCUMENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "shop.thing.made"}
STRUCTURED = {"content-type": "application/cloudevents+json"}


def receive(headers: Mapping[str, str], body: bytes, token: str = TOKEN) -> Received:
    secrets = [CLOUD_EVENTS.decode_secret("the-token-before-it"), token.encode()]
    return CLOUD_EVENTS.verify(headers, body, secrets, time.time())


def test_both_modes_are_one_delivery_and_reach_the_workflow_alike() -> None:
    event = json.dumps({**DOCUMENT, "datacontenttype": "application/json", "data": {"of": 1}})
    structured = receive({**BEARER, **STRUCTURED}, event.encode())
    binary = receive({**BEARER, **BINARY}, b'{"of": 1}')

    assert structured == binary
    assert structured.topic == "shop.thing.made"
    assert json.loads(binary.body or b"")["data"] == {"of": 1}


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
)
def test_another_token_is_refused(authorization: str) -> None:
    with pytest.raises(WebhookRefusedError):
        receive({**BINARY, "authorization": authorization}, b"{}")


def test_a_token_that_protects_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="16"):
        CLOUD_EVENTS.decode_secret("short")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({**BINARY, "ce-id": ""}, b"{}", 400),
        ({**BINARY, "ce-id": "%FF"}, b"{}", 400),
        (BINARY, b"{", 400),
        ({}, b"{}", 400),
        ({"content-type": "application/cloudevents+avro"}, b"", 415),
        ({"content-type": "application/cloudevents-batch+json"}, b"[]", 415),
    ],
)
def test_what_is_no_event_is_refused_precisely(
    headers: Mapping[str, str], body: bytes, status: int
) -> None:
    """CE-04 and CE-06: a batch nobody asked for and an unknown format are 415."""
    with pytest.raises(Problem) as refusal:
        receive({**BEARER, **headers}, body)

    assert refusal.value.status == status


def test_a_sender_that_asks_is_told_whether_it_may_send() -> None:
    asked = {"webhook-request-origin": "Events.Example.com"}
    granted = [("webhook-allowed-origin", "events.example.com"), ("allow", "POST")]

    assert allowance(asked, ["events.example.com"]) == granted
    assert allowance(asked, ["*"]) == granted
    assert allowance({**asked, "webhook-request-rate": "120"}, ["*"]) == [
        *granted,
        ("webhook-allowed-rate", "*"),
    ]
    assert allowance(asked, ["other.example.com"]) is None
    assert allowance(asked, []) is None
    assert allowance({}, ["*"]) is None
