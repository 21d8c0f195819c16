"""A write that is sent again takes effect once: the record of its key, on the running network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx

from tests.e2e.conftest import Network

ORDERS = "/experience/storefront/v1/orders"
ORDER = {"customerId": "C-1002", "items": [{"sku": "SCALE-S2", "quantity": 1}]}


def _order(network: Network, token: str, key: str | None, **changes: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    if key is not None:
        headers["idempotency-key"] = key
    return httpx.post(
        network.url + ORDERS, json={**ORDER, **changes}, headers=headers, timeout=30.0
    )


def test_a_repeat_gets_the_first_answer_byte_for_byte(network: Network) -> None:
    token, key = network.token(), str(uuid4())
    first = _order(network, token, key)
    again = _order(network, token, key)

    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


def test_a_quoted_key_is_the_same_key(network: Network) -> None:
    token, key = network.token(), str(uuid4())
    first = _order(network, token, key)
    again = _order(network, token, f'"{key}"')

    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]


def test_another_body_under_the_same_key_is_refused(network: Network) -> None:
    token, key = network.token(), str(uuid4())
    _order(network, token, key)
    other = _order(network, token, key, items=[{"sku": "SCALE-S2", "quantity": 2}])

    assert other.status_code == 422
    assert other.json()["type"].endswith("/idempotency-key-mismatch")


def test_a_missing_key_is_named(network: Network) -> None:
    refused = _order(network, network.token(), None)

    assert refused.status_code == 400
    assert refused.json()["type"].endswith("/idempotency-key-missing")
    assert 'rel="describedby"' in refused.headers["link"]


def test_a_refused_request_leaves_its_key_usable(network: Network) -> None:
    token, key = network.token(), str(uuid4())
    refused = _order(network, token, key, items=[])
    accepted = _order(network, token, key)

    assert refused.status_code == 422
    assert accepted.status_code == 201


def test_parallel_repeats_make_one_order(network: Network) -> None:
    token, key = network.token(), str(uuid4())
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: _order(network, token, key), range(12)))

    made = [answer for answer in answers if answer.status_code == 201]
    busy = [answer for answer in answers if answer.status_code == 409]
    assert len(made) + len(busy) == 12
    assert len({answer.json()["id"] for answer in made}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in made) == 1
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in busy)


def test_clients_do_not_share_keys(network: Network) -> None:
    key = str(uuid4())
    mine = _order(network, network.token(), key)
    theirs = _order(network, network.token("web-shop"), key)

    assert theirs.status_code == 201
    assert "idempotent-replayed" not in theirs.headers
    assert mine.json()["id"] != theirs.json()["id"]
