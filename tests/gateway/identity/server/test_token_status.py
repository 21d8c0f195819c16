"""Introspection (RFC 7662) and revocation (RFC 7009), AS-09."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from gateway.identity.tokens import AccessToken
from tests.gateway.identity.server.deployment import (
    ISSUER,
    Deployment,
    Pair,
    ask,
    assert_refused,
    authorize,
    question,
    redeem,
    refresh,
)

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.anyio
INTROSPECT, REVOKE = "/oauth2/introspect", "/oauth2/revoke"
MADE_UP = ["made-up", "x.y.z", "é", "x" * 9000, "\x00", " "]


async def tokens_of(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, client_id: str = "shop"
) -> dict[str, str]:
    pair = Pair()
    code = (await authorize(browser, question(client_id, pair)))["code"]
    return dict((await redeem(http, client_id, code, pair)).json())


async def told(http: httpx.AsyncClient, client_id: str, token: str) -> dict[str, object]:
    response = await ask(http, client_id, {"token": token}, INTROSPECT)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    return dict(response.json())


async def test_a_client_is_told_of_its_own_tokens(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    tokens = await tokens_of(browser, http)

    access = await told(http, "shop", tokens["access_token"])
    refreshing = await told(http, "shop", tokens["refresh_token"])

    assert access["active"] is True
    assert (access["sub"], access["client_id"], access["iss"]) == ("u-1", "shop", ISSUER)
    assert (access["scope"], access["token_type"], access["aud"]) == (
        "orders:read",
        "Bearer",
        "portico",
    )
    assert refreshing["active"] is True
    assert (refreshing["sub"], refreshing["client_id"]) == ("u-1", "shop")


async def test_a_resource_server_is_told_of_access_tokens_of_others(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    tokens = await tokens_of(browser, http)

    assert (await told(http, "resource", tokens["access_token"]))["active"] is True
    assert await told(http, "resource", tokens["refresh_token"]) == {"active": False}


async def test_nothing_is_told_of_tokens_of_others_and_of_none(
    deployment: Deployment, browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    tokens = await tokens_of(browser, http)
    expired = deployment.issuer.issue(
        AccessToken(
            subject="u", client_id="shop", audiences=("portico",), scopes=(), lifetime_seconds=1
        )
    )
    time.sleep(1.1)  # noqa: ASYNC251 - nothing else runs

    for client_id, token in (
        ("other-shop", tokens["access_token"]),
        ("other-shop", tokens["refresh_token"]),
        ("shop", expired),
        *(("shop", token) for token in MADE_UP),
    ):
        assert await told(http, client_id, token) == {"active": False}


async def test_who_asks_has_to_prove_itself(http: httpx.AsyncClient) -> None:
    assert_refused(await http.post(INTROSPECT, data={"token": "x"}), 401, "invalid_client")
    assert_refused(await ask(http, "spa", {"token": "x"}, INTROSPECT), 401, "invalid_client")
    assert_refused(await ask(http, "shop", {}, INTROSPECT), 400, "invalid_request")


async def test_as_09_a_revoked_refresh_token_takes_its_access_tokens_along(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    for client_id in ("shop", "spa"):
        tokens = await tokens_of(browser, http, client_id)
        newer = (await refresh(http, client_id, tokens["refresh_token"])).json()

        form = {"token": newer["refresh_token"], "token_type_hint": "refresh_token"}
        response = await ask(http, client_id, form, REVOKE)

        assert response.status_code == 200
        assert_refused(await refresh(http, client_id, newer["refresh_token"]), 400, "invalid_grant")
        for answer in (tokens, newer):
            assert await told(http, "resource", answer["access_token"]) == {"active": False}


async def test_as_09_a_revoked_access_token_is_told_to_every_process(
    deployment: Deployment, browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    tokens = await tokens_of(browser, http)
    token_id = str((await told(http, "shop", tokens["access_token"]))["jti"])

    response = await ask(http, "shop", {"token": tokens["access_token"]}, REVOKE)

    assert response.status_code == 200
    left = await deployment.state.redis.execute("PTTL", f"portico:revoked:{{{token_id}}}")
    assert isinstance(left, int)
    assert 600_000 <= left <= 661_000
    assert await told(http, "shop", tokens["access_token"]) == {"active": False}
    # The refresh token is another one and stays.
    assert (await refresh(http, "shop", tokens["refresh_token"])).status_code == 200


async def test_as_09_what_is_not_known_is_revoked_already(http: httpx.AsyncClient) -> None:
    for token in MADE_UP:
        assert (await ask(http, "shop", {"token": token}, REVOKE)).status_code == 200


async def test_as_09_a_token_of_another_client_is_not_revoked(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    tokens = await tokens_of(browser, http)

    for name in ("access_token", "refresh_token"):
        response = await ask(http, "other-shop", {"token": tokens[name]}, REVOKE)
        assert_refused(response, 400, "invalid_grant")
        assert (await told(http, "shop", tokens[name]))["active"] is True


async def test_as_09_another_type_is_unsupported(http: httpx.AsyncClient) -> None:
    form = {"token": "x", "token_type_hint": "id_token"}

    assert_refused(await ask(http, "shop", form, REVOKE), 400, "unsupported_token_type")
