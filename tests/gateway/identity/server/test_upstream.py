"""Signing in at an OpenID Connect provider: what it says counts only for the sign-in it was for."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import ECKey

from gateway.identity.issuer import CALLBACK_PATH
from gateway.identity.issuers.fetching import Fetcher
from gateway.identity.keys import KeyRing
from gateway.identity.server.upstream import ProviderOptions, UpstreamProvider
from gateway.identity.server.users import Users
from tests.gateway.identity.server.deployment import (
    ISSUER,
    Deployment,
    Pair,
    answer_of,
    deploy,
    hidden,
    question,
    redeem,
)
from tests.gateway.identity.server.provider import CLIENT_ID, CLIENT_SECRET, Provider
from tests.support.loopback import on_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from portico.redis.client import RedisClient

pytestmark = pytest.mark.anyio


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    async with on_loopback(provider.app):
        yield provider


@contextlib.asynccontextmanager
async def upstream(provider: Provider, issuer: str = "") -> AsyncIterator[UpstreamProvider]:
    options = ProviderOptions(
        issuer=issuer or provider.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        name="Example Login",
        scopes=("openid", "profile"),
        redirect_uri=ISSUER + CALLBACK_PATH,
    )
    fetcher = Fetcher()
    yield UpstreamProvider(options, fetcher, time.time)
    await fetcher.aclose()


@pytest.fixture
async def deployment(
    redis: RedisClient, ring: KeyRing, provider: Provider
) -> AsyncIterator[Deployment]:
    async with upstream(provider) as known:
        yield deploy(redis, ring, time.time, users=Users([]), provider=known)


async def leave(browser: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    page = await browser.get("/oauth2/authorize", params=question("shop", Pair(), **changes))
    assert "Continue with Example Login" in page.text
    assert 'name="password"' not in page.text
    link = page.text.partition('href="/oauth2/sign-in/upstream?')[2].partition('"')[0]
    return await browser.get(f"/oauth2/sign-in/upstream?{link}")


async def come_back(
    browser: httpx.AsyncClient, provider: Provider, left: httpx.Response
) -> httpx.Response:
    assert left.status_code == 303, left.text
    back = provider.sign_in(left.headers["location"])
    return await browser.get(back.removeprefix(ISSUER))


async def test_a_person_of_the_provider_signs_in_and_consents(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, provider: Provider
) -> None:
    pair = Pair()
    page = await browser.get("/oauth2/authorize", params=question("shop", pair))
    link = page.text.partition('href="/oauth2/sign-in/upstream?')[2].partition('"')[0]
    left = await browser.get(f"/oauth2/sign-in/upstream?{link}")
    entered = await come_back(browser, provider, left)
    consent = await browser.get(entered.headers["location"])

    assert "Jane Doe" in consent.text
    form = {"interaction": hidden(consent), "decision": "allow"}
    code = answer_of(await browser.post("/oauth2/consent", data=form))["code"]
    tokens = await redeem(http, "shop", code, pair)
    told = await http.post(
        "/oauth2/introspect",
        data={
            "token": tokens.json()["access_token"],
            "client_id": "shop",
            "client_secret": "correct-horse-battery-staple",
        },
    )
    assert told.json()["sub"] == f"{provider.url}#248289761001"
    sent = answer_of(left)
    assert sent["code_challenge_method"] == "S256"
    assert sent["scope"] == "openid profile"


WRONG: dict[str, dict[str, Any]] = {
    "of another issuer": {"iss": "https://attacker.example"},
    "for another client": {"aud": "another"},
    "for several and not by us": {"aud": [CLIENT_ID, "another"]},
    "by another party": {"azp": "another"},
    "with another nonce": {"nonce": "another"},
    "without a nonce": {"nonce": None},
    "expired": {"exp": int(time.time()) - 120},
    "without an end": {"exp": None},
    "from the future": {"iat": int(time.time()) + 3600},
    "about nobody": {"sub": None},
    "about a number": {"sub": 7},
    "about many lines": {"sub": "a\nb"},
    "about a long name": {"sub": "x" * 300},
}


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG.keys())
async def test_an_id_token_that_is_not_for_this_sign_in_lets_nobody_in(
    browser: httpx.AsyncClient, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims

    answer = await come_back(browser, provider, await leave(browser))

    assert answer.status_code == 502
    assert "portico-session" not in "".join(browser.cookies)


async def test_an_id_token_that_another_key_signed_lets_nobody_in(
    browser: httpx.AsyncClient, provider: Provider
) -> None:
    provider.published = [ECKey.generate_key("P-256", {"kid": "p1"})]

    assert (await come_back(browser, provider, await leave(browser))).status_code == 502


@pytest.mark.parametrize("issuer", ["https://attacker.example", ""])
async def test_an_answer_of_another_provider_is_a_mix_up(
    browser: httpx.AsyncClient, provider: Provider, issuer: str
) -> None:
    left = await leave(browser)
    provider.answer = {"iss": issuer}

    answer = await come_back(browser, provider, left)

    assert answer.status_code == 502
    # The code was not taken to the token endpoint.
    assert len(provider.codes) == 1


async def test_an_answer_is_good_once_and_in_the_browser_that_left(
    deployment: Deployment, browser: httpx.AsyncClient, provider: Provider
) -> None:
    left = await leave(browser)
    back = provider.sign_in(left.headers["location"]).removeprefix(ISSUER)
    async with deployment.http() as victim:
        await leave(victim)
        stolen = await victim.get(back)
    assert stolen.status_code == 400
    assert "set-cookie" not in stolen.headers
    assert (await browser.get(back)).status_code == 400
    assert (await browser.get(f"{CALLBACK_PATH}?code=x&state=made-up")).status_code == 400
    assert (await browser.get(CALLBACK_PATH)).status_code == 400


async def test_a_person_who_turned_back_is_told(
    browser: httpx.AsyncClient, provider: Provider
) -> None:
    provider.answer = {"code": "", "error": "access_denied"}

    assert (await come_back(browser, provider, await leave(browser))).status_code == 502


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://attacker.example"},
        {"token_endpoint": "http://login.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
    ids=str,
)
async def test_a_provider_that_describes_another_is_not_believed(
    browser: httpx.AsyncClient, provider: Provider, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata

    assert (await leave(browser)).status_code == 502


async def test_a_provider_whose_name_ends_with_a_slash_keeps_it(
    redis: RedisClient, ring: KeyRing, provider: Provider
) -> None:
    name = f"{provider.url}/"
    provider.metadata, provider.claims = {"issuer": name}, {"iss": name}
    provider.answer = {"iss": name}
    async with upstream(provider, name) as known:
        deployment = deploy(redis, ring, time.time, users=Users([]), provider=known)
        async with deployment.http() as browser:
            entered = await come_back(browser, provider, await leave(browser))
    assert entered.status_code == 303


async def test_a_max_age_is_passed_on_and_what_the_provider_says_of_it_counts(
    browser: httpx.AsyncClient, provider: Provider
) -> None:
    left = await leave(browser, max_age="60")
    assert answer_of(left)["max_age"] == "60"
    provider.claims = {"auth_time": int(time.time()) - 3600}
    entered = await come_back(browser, provider, left)
    page = await browser.get(entered.headers["location"])
    assert "Continue with Example Login" in page.text

    provider.claims = {}
    refused = await come_back(browser, provider, await leave(browser, max_age="60"))
    assert refused.status_code == 502
    provider.claims = {"auth_time": int(time.time())}
    entered = await come_back(browser, provider, await leave(browser, max_age="60"))

    assert "Jane Doe" in (await browser.get(entered.headers["location"])).text


async def test_a_provider_that_is_down_is_a_page_and_is_asked_again(
    browser: httpx.AsyncClient, provider: Provider
) -> None:
    provider.status = 500
    assert (await leave(browser)).status_code == 502
    provider.status = 200

    assert (await leave(browser)).status_code == 303


async def test_what_the_provider_says_of_itself_is_kept(
    browser: httpx.AsyncClient, provider: Provider
) -> None:
    for _ in range(3):
        await come_back(browser, provider, await leave(browser))
        await browser.post("/oauth2/sign-out", data={"go": "1"})

    assert provider.asked == ["configuration", "keys"]
