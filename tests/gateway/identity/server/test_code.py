"""Authorization codes, line by line: AS-01 to AS-03 and what a code is good for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.gateway.identity.server.deployment import (
    CALLBACK,
    ISSUER,
    ORDERS,
    STOCK,
    Deployment,
    Pair,
    answer_of,
    ask,
    assert_refused,
    authorize,
    basic,
    deploy,
    hidden,
    question,
    redeem,
    refresh,
    sign_in,
)
from tests.portico.redis.servers import opened

if TYPE_CHECKING:
    import httpx

    from gateway.identity.keys import KeyRing
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio


def claims_of(deployment: Deployment, response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    keys = KeySet.import_key_set({"keys": deployment.keys.public_document()["keys"]})
    return dict(jwt.decode(response.json()["access_token"], keys, algorithms=["ES256"]).claims)


async def test_a_person_allows_a_client_and_it_gets_tokens(
    deployment: Deployment, browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    """AS-02: the answer with the code names the issuer."""
    pair = Pair()
    answer = await authorize(browser, question("shop", pair))

    response = await redeem(http, "shop", answer["code"], pair, redirect_uri=CALLBACK)

    assert answer == {"code": answer["code"], "state": "the-state", "iss": ISSUER}
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["token_type"] == "Bearer"
    assert body["scope"] == "orders:read"
    assert body["expires_in"] == 600
    claims = claims_of(deployment, response)
    assert (claims["sub"], claims["client_id"], claims["aud"]) == ("u-1", "shop", "portico")
    assert claims["scope"] == "orders:read"
    assert abs(claims["auth_time"] - time.time()) < 60
    assert "refresh_token" in body


async def test_as_02_every_answer_names_the_issuer_and_is_a_303(
    browser: httpx.AsyncClient,
) -> None:
    page = await sign_in(browser, question("shop", Pair()))

    denied = await browser.post(
        "/oauth2/consent", data={"interaction": hidden(page), "decision": "deny"}
    )
    wrong = await browser.get("/oauth2/authorize", params=question("shop", Pair(), scope="no"))

    assert answer_of(denied)["error"] == "access_denied"
    assert answer_of(wrong)["error"] == "invalid_scope"
    for response in (denied, wrong):
        answer = answer_of(response)
        assert response.headers["location"].startswith(f"{CALLBACK}?")
        assert answer["iss"] == ISSUER
        assert answer["state"] == "the-state"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge_method": "s256"},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": "short"},
        {"code_challenge": "x" * 44},
        {"code_challenge": "é" * 43},
    ],
    ids=str,
)
@pytest.mark.parametrize("client_id", ["shop", "spa", "trusted"])
async def test_as_01_a_code_needs_a_challenge_of_method_s256(
    browser: httpx.AsyncClient, client_id: str, changes: dict[str, Any]
) -> None:
    response = await browser.get("/oauth2/authorize", params=question(client_id, Pair(), **changes))

    assert answer_of(response)["error"] == "invalid_request"


@pytest.mark.parametrize("response_type", ["token", "id_token", "code token", "none", "", None])
async def test_as_01_there_is_no_other_response_type(
    browser: httpx.AsyncClient, response_type: str | None
) -> None:
    parameters = question("shop", Pair(), response_type=response_type)

    response = await browser.get("/oauth2/authorize", params=parameters)

    assert answer_of(response)["error"] == "unsupported_response_type"
    assert answer_of(response)["error_description"] == "the response_type is code"


@pytest.mark.parametrize(
    "uri",
    [
        "https://shop.example/cb/",
        "https://shop.example/cb?",
        "https://shop.example/cb?x=1",
        "https://shop.example/cb#f",
        "https://shop.example:443/cb",
        "https://SHOP.example/cb",
        "http://shop.example/cb",
        "https://shop.example/CB",
        "https://shop.example/c%62",
        "https://shop.example/x/../cb",
        "https://shop.example/cb%00",
        "https://shop.example.attacker.example/cb",
        "https://shop.example@attacker.example/cb",
        "https://attacker.example/https://shop.example/cb",
        "//shop.example/cb",
        "javascript:alert(1)//https://shop.example/cb",
        "https://shop.example/cb2",
        " https://shop.example/cb",
        "https://shop.example/cb\r\nLocation: https://attacker.example",
        "https://shop.example/cb\\@attacker.example",
        "x" * 10_000,
    ],
    ids=lambda uri: uri[:40],
)
async def test_as_02_the_redirect_uri_is_compared_as_text(
    browser: httpx.AsyncClient, uri: str
) -> None:
    response = await browser.get(
        "/oauth2/authorize", params=question("shop", Pair(), redirect_uri=uri)
    )

    assert response.status_code == 400
    assert "location" not in response.headers
    assert "attacker" not in response.text


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:53124/cb",
        "http://127.0.0.1/cb",
        "com.example.app:/cb",
    ],
)
async def test_as_02_a_native_application_has_any_port_on_loopback(
    browser: httpx.AsyncClient, uri: str
) -> None:
    parameters = question("native", Pair(), redirect_uri=uri)

    assert (await browser.get("/oauth2/authorize", params=parameters)).status_code == 200


@pytest.mark.parametrize(
    ("client_id", "uri"),
    [
        ("native", "http://127.0.0.1:53124/other"),
        ("native", "http://127.0.0.2:53124/cb"),
        ("native", "http://localhost:53124/cb"),
        ("native", "https://127.0.0.1:53124/cb"),
        ("native", "http://x@127.0.0.1:53124/cb"),
        ("native", "http://127.0.0.1:99999/cb"),
        ("native", "com.example.app:/cb2"),
        ("native", "com.example.other:/cb"),
    ],
)
async def test_as_02_the_port_is_all_that_may_differ(
    browser: httpx.AsyncClient, client_id: str, uri: str
) -> None:
    parameters = question(client_id, Pair(), redirect_uri=uri)

    assert (await browser.get("/oauth2/authorize", params=parameters)).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "",
        "client_id=nobody&response_type=code",
        "client_id=shop&client_id=spa",
        f"client_id=shop&redirect_uri={CALLBACK}&redirect_uri=https://attacker.example",
        "client_id=%ff",
        "client_id=service&response_type=code",
        "client_id=two-ways&response_type=code",
        "&".join(f"p{number}=1" for number in range(50)),
        "client_id=shop&request_uri=urn:ietf:params:oauth:request_uri:unknown",
        "client_id=shop&request_uri=https://attacker.example/request.jwt",
    ],
    ids=lambda query: query[:40],
)
async def test_as_02_nothing_is_redirected_to_who_is_not_known(
    browser: httpx.AsyncClient, query: str
) -> None:
    """AS-02, AS-12: such an error is a page of our own."""
    response = await browser.get(f"/oauth2/authorize?{query}")

    assert response.status_code == 400
    assert "location" not in response.headers
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


async def test_as_03_a_code_is_good_once_and_its_return_ends_what_it_led_to(
    deployment: Deployment, browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    pair = Pair()
    code = (await authorize(browser, question("shop", pair)))["code"]
    first = await redeem(http, "shop", code, pair)
    assert first.status_code == 200

    again = await redeem(http, "shop", code, pair)

    assert_refused(again, 400, "invalid_grant")
    token_id = claims_of(deployment, first)["jti"]
    assert await deployment.state.revocations.is_revoked(token_id)
    assert_refused(await refresh(http, "shop", first.json()["refresh_token"]), 400, "invalid_grant")


async def test_as_03_of_twenty_that_present_a_code_one_gets_tokens(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    pair = Pair()
    code = (await authorize(browser, question("shop", pair)))["code"]

    answers = await asyncio.gather(*(redeem(http, "shop", code, pair) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 19


async def test_as_03_a_code_is_good_once_among_processes_of_one_store(
    deployment: Deployment, browser: httpx.AsyncClient, redis_server: Server, ring: KeyRing
) -> None:
    pair = Pair()
    code = (await authorize(browser, question("shop", pair)))["code"]
    async with opened(redis_server.url) as redis:
        other = deploy(redis, ring, time.time)
        async with deployment.http() as one, other.http() as two:
            answers = await asyncio.gather(
                *(redeem(http, "shop", code, pair) for http in (one, two) * 5)
            )

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9


async def test_as_03_an_invalid_return_of_a_code_ends_nothing(
    deployment: Deployment, browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    """Otherwise whoever saw a code in a log could end the tokens of its owner."""
    pair = Pair()
    code = (await authorize(browser, question("shop", pair)))["code"]
    first = await redeem(http, "shop", code, pair)

    assert_refused(await redeem(http, "shop", code, Pair()), 400, "invalid_grant")
    assert_refused(await redeem(http, "other-shop", code, pair), 400, "invalid_grant")
    assert_refused(
        await redeem(http, "shop", code, pair, redirect_uri="https://x.example"),
        400,
        "invalid_grant",
    )
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": pair.verifier}
    wrong = await http.post("/oauth2/token", data=form, headers=basic("shop", "wrong" * 5))
    assert_refused(wrong, 401, "invalid_client")

    token_id = claims_of(deployment, first)["jti"]
    assert not await deployment.state.revocations.is_revoked(token_id)
    assert (await refresh(http, "shop", first.json()["refresh_token"])).status_code == 200


async def test_as_03_a_failed_attempt_does_not_use_the_code_up(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    pair = Pair()
    code = (await authorize(browser, question("shop", pair)))["code"]

    assert (await redeem(http, "shop", code, Pair())).status_code == 400
    assert (await redeem(http, "shop", code, pair)).status_code == 200


async def test_as_03_a_code_ends_after_a_minute(
    deployment: Deployment, browser: httpx.AsyncClient
) -> None:
    code = (await authorize(browser, question("shop", Pair())))["code"]
    family = code.partition(".")[0]

    left = await deployment.state.redis.execute("PTTL", f"portico:family:{{{family}}}")

    assert isinstance(left, int)
    assert 50_000 < left <= 60_000


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"code_verifier": "é" * 43}, "invalid_request"),
        ({"code": None}, "invalid_request"),
        ({"code": "made-up"}, "invalid_grant"),
        ({"code": "x" * 9000}, "invalid_grant"),
        ({"redirect_uri": "https://attacker.example/cb"}, "invalid_grant"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_as_01_a_code_alone_is_worth_nothing(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, changes: dict[str, Any], error: str
) -> None:
    pair = Pair()
    code = (await authorize(browser, question("shop", pair)))["code"]

    assert_refused(await redeem(http, "shop", code, pair, **changes), 400, error)


async def test_as_04_the_redirect_uri_may_be_left_out_of_the_token_request(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    pair = Pair()
    code = (await authorize(browser, question("spa", pair)))["code"]

    assert (await redeem(http, "spa", code, pair)).status_code == 200


async def test_a_code_that_is_injected_into_another_session_is_refused(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    """The attacker has the victim's code; the client sends the verifier of the attacker's own."""
    victim, attacker = Pair(), Pair()
    stolen = (await authorize(browser, question("shop", victim)))["code"]

    assert_refused(await redeem(http, "shop", stolen, attacker), 400, "invalid_grant")


async def test_a_code_of_one_client_is_no_code_of_another(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    """A mix-up: the code of an honest client reaches one that an attacker controls."""
    pair = Pair()
    code = (await authorize(browser, question("shop", pair)))["code"]

    assert_refused(await redeem(http, "spa", code, pair), 400, "invalid_grant")
    assert_refused(await redeem(http, "other-shop", code, pair), 400, "invalid_grant")
    assert (await redeem(http, "shop", code, pair)).status_code == 200


async def test_a_refresh_token_is_no_code_and_a_code_is_no_refresh_token(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    pair = Pair()
    code = (await authorize(browser, question("shop", pair)))["code"]
    assert_refused(await refresh(http, "shop", code), 400, "invalid_grant")
    token = (await redeem(http, "shop", code, pair)).json()["refresh_token"]

    assert_refused(await redeem(http, "shop", token, pair), 400, "invalid_grant")


async def test_a_client_without_refresh_tokens_gets_none(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    pair = Pair()
    code = (await authorize(browser, question("once", pair)))["code"]

    body = (await redeem(http, "once", code, pair)).json()

    assert "refresh_token" not in body


async def test_as_07_a_token_is_for_the_resources_that_were_asked_for(
    deployment: Deployment, browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    pair = Pair()
    parameters = question("shop", pair, resource=[ORDERS, STOCK])
    code = (await authorize(browser, parameters))["code"]
    both = await redeem(http, "shop", code, pair)
    token = both.json()["refresh_token"]
    one = await refresh(http, "shop", token, resource=ORDERS)

    assert claims_of(deployment, both)["aud"] == [ORDERS, STOCK]
    assert claims_of(deployment, one)["aud"] == ORDERS
    beyond = await refresh(http, "shop", one.json()["refresh_token"], resource=ISSUER)
    assert_refused(beyond, 400, "invalid_target")


@pytest.mark.parametrize(
    "resource",
    [
        "https://elsewhere.example",
        f"{ORDERS}#fragment",
        "https://[",
        "/process/orders/v1",
        "process/orders.v1",
        f"{ORDERS}/",
        ORDERS.upper(),
        "\x00",
        "x" * 5000,
    ],
    ids=lambda resource: resource[:30],
)
async def test_as_07_another_resource_is_an_invalid_target(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, resource: str
) -> None:
    asked = await browser.get(
        "/oauth2/authorize", params=question("shop", Pair(), resource=resource)
    )
    form = {"grant_type": "client_credentials", "resource": resource}

    assert answer_of(asked)["error"] == "invalid_target"
    assert_refused(await ask(http, "service", form), 400, "invalid_target")


async def test_parameters_of_the_redirect_uri_stay(browser: httpx.AsyncClient) -> None:
    uri = "com.example.app:/cb"
    parameters = question("native", Pair(), redirect_uri=uri, state=None, scope="no")

    response = await browser.get("/oauth2/authorize", params=parameters)

    location = response.headers["location"]
    assert location.startswith(f"{uri}?error=invalid_scope")
    assert parse_qs(urlsplit(location).query).keys() == {"error", "error_description", "iss"}
