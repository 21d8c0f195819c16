"""Pushed authorization requests (RFC 9126), AS-08."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.identity.server.deployment import (
    Pair,
    answer_of,
    ask,
    assert_refused,
    authorize,
    question,
    redeem,
)

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.anyio


async def push(
    http: httpx.AsyncClient, client_id: str, pair: Pair, **changes: Any
) -> httpx.Response:
    return await ask(http, client_id, question(client_id, pair, **changes), "/oauth2/par")


@pytest.mark.parametrize("client_id", ["shop", "spa", "pushed"])
async def test_as_08_what_is_pushed_is_what_is_asked(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, client_id: str
) -> None:
    pair = Pair()
    pushed = await push(http, client_id, pair)
    assert pushed.status_code == 201
    assert pushed.headers["cache-control"] == "no-store"
    assert set(pushed.json()) == {"request_uri", "expires_in"}
    assert pushed.json()["expires_in"] <= 600
    uri = pushed.json()["request_uri"]
    assert uri.startswith("urn:ietf:params:oauth:request_uri:")

    # What else the browser says does not count.
    parameters = {"client_id": client_id, "request_uri": uri, "scope": "orders:write"}
    answer = await authorize(browser, parameters)
    tokens = await redeem(http, client_id, answer["code"], pair)

    assert answer["state"] == "the-state"
    assert tokens.json()["scope"] == "orders:read"


async def test_as_08_a_request_uri_is_used_once_and_by_its_own_client(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    uri = (await push(http, "shop", Pair())).json()["request_uri"]
    used = {"client_id": "shop", "request_uri": uri}
    assert (await browser.get("/oauth2/authorize", params=used)).status_code == 200
    other = (await push(http, "shop", Pair())).json()["request_uri"]
    foreign = {"client_id": "spa", "request_uri": other}

    for parameters in (used, foreign):
        response = await browser.get("/oauth2/authorize", params=parameters)
        assert response.status_code == 400
        assert "location" not in response.headers


async def test_as_08_a_client_that_has_to_push_cannot_do_without(
    browser: httpx.AsyncClient,
) -> None:
    response = await browser.get("/oauth2/authorize", params=question("pushed", Pair()))

    assert response.status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"redirect_uri": "https://attacker.example"}, "invalid_request"),
        ({"scope": "unknown"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": 'a"\\b'}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
    ],
    ids=str,
)
async def test_as_08_errors_are_told_to_the_client_and_not_by_redirect(
    http: httpx.AsyncClient, changes: dict[str, Any], error: str
) -> None:
    response = await push(http, "shop", Pair(), **changes)

    assert_refused(response, 400, error)
    assert "location" not in response.headers


async def test_as_08_only_who_is_known_may_push(http: httpx.AsyncClient) -> None:
    form = question("shop", Pair())

    assert_refused(await http.post("/oauth2/par", data=form), 401, "invalid_client")
    assert_refused(await push(http, "service", Pair()), 400, "unauthorized_client")


async def test_the_response_mode_may_be_named(browser: httpx.AsyncClient) -> None:
    named = question("shop", Pair(), response_mode="query")
    other = question("shop", Pair(), response_mode="form_post")

    assert (await browser.get("/oauth2/authorize", params=named)).status_code == 200
    refused = await browser.get("/oauth2/authorize", params=other)
    assert answer_of(refused)["error"] == "invalid_request"
