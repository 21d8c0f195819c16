"""Web pages of the origins that are configured may call the APIs; no other page may."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.config import CORS
from gateway.cors import CORSPolicy
from tests.support.serving import Served, network_config, serving

SHOP = "https://shop.example"
BASE = "/experience/kiosk/v1"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    cors = CORS(origins=[SHOP], max_age_seconds=300)
    with serving(network_config(tmp_path_factory.mktemp("cors"), cors=cors)) as served:
        yield served


def preflight(served: Served, path: str, origin: str) -> dict[str, str]:
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    response = served.request("OPTIONS", path, token="", headers=headers)
    assert response.status_code == 204
    return dict(response.headers)


def test_a_preflight_is_answered_without_credentials(shop: Served) -> None:
    headers = preflight(shop, f"{BASE}/choices/a", SHOP)

    assert headers["access-control-allow-origin"] == SHOP
    assert headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert headers["access-control-max-age"] == "300"
    assert headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in headers


def test_a_preflight_allows_the_headers_that_contracts_declare(shop: Served) -> None:
    allowed = preflight(shop, f"{BASE}/choices/a", SHOP)["access-control-allow-headers"]

    names = allowed.split(", ")
    assert {"Authorization", "Content-Type", "Idempotency-Key", "X-Color"} <= set(names)
    assert len(names) == len({name.lower() for name in names})


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{SHOP}.evil.example", ""])
def test_another_origin_gets_nothing(shop: Served, origin: str) -> None:
    headers = preflight(shop, f"{BASE}/choices/a", origin)
    answer = shop.request("GET", f"{BASE}/public", token="", headers={"Origin": origin})

    assert "access-control-allow-origin" not in headers
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", [f"{BASE}/public", f"{BASE}/choices/a", f"{BASE}/crash"])
def test_every_answer_of_an_operation_may_be_read(shop: Served, path: str) -> None:
    for token in ("", None):
        answer = shop.request("GET", path, token=token, headers={"Origin": SHOP})
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert "X-Request-Id" in answer.headers["access-control-expose-headers"]


def test_without_a_policy_nothing_is_said(gateway: Served) -> None:
    answer = gateway.request("GET", f"{BASE}/public", token="", headers={"Origin": SHOP})

    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "vary" not in answer.headers


def test_any_origin_is_a_star() -> None:
    policy = CORSPolicy(["*"], 0)

    fields = dict(policy.applied({b"origin": b"https://anybody.example"}, []))

    assert fields[b"access-control-allow-origin"] == b"*"


def test_what_an_upstream_says_about_origins_gives_way() -> None:
    policy = CORSPolicy([SHOP], 0)
    answer = [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-credentials", b"true"),
        (b"etag", b'"1"'),
    ]

    assert policy.applied({b"origin": SHOP.encode()}, answer)[:3] == [
        (b"etag", b'"1"'),
        (b"vary", b"Origin"),
        (b"access-control-allow-origin", SHOP.encode()),
    ]
