"""The pages of people: who gets in, what they may be made to do, and what browsers are told."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.identity.errors import IdentityError
from gateway.identity.keys import KeyRing
from gateway.identity.server.errors import WaitError
from gateway.identity.server.sign_in_limits import SignInLimits, Standing
from gateway.identity.server.users import UserRecord, Users, hash_password
from portico.limits.engine import LimitEngine
from tests.gateway.identity.server.deployment import (
    ISSUER,
    PASSWORD,
    PEOPLE,
    Deployment,
    Pair,
    answer_of,
    ask,
    authorize,
    deploy,
    hidden,
    question,
    redeem,
    refresh,
    sign_in,
)

if TYPE_CHECKING:
    from portico.redis.client import RedisClient
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio


async def first_page(browser: httpx.AsyncClient, client_id: str = "shop") -> httpx.Response:
    return await browser.get("/oauth2/authorize", params=question(client_id, Pair()))


def policy(response: httpx.Response) -> dict[str, list[str]]:
    directives = response.headers["content-security-policy"].split("; ")
    return {words[0]: words[1:] for words in (directive.split() for directive in directives)}


async def test_as_12_pages_run_nothing_and_stand_in_no_frame(browser: httpx.AsyncClient) -> None:
    asked, consent = await first_page(browser), await sign_in(browser, question("shop", Pair()))
    failed = await browser.get("/oauth2/authorize")
    out = await browser.get("/oauth2/sign-out")

    for page in (asked, consent, failed, out):
        told = policy(page)
        assert told["default-src"] == ["'none'"]
        assert "script-src" not in told
        assert told["frame-ancestors"] == ["'none'"]
        assert told["base-uri"] == ["'none'"]
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in page.headers
        assert "<script" not in page.text
        assert " style=" not in page.text
    assert policy(asked)["form-action"] == ["'self'"]
    assert policy(consent)["form-action"] == ["'self'", "https:", "https://shop.example"]


async def test_what_a_client_calls_itself_is_text(browser: httpx.AsyncClient) -> None:
    page = await first_page(browser)

    assert "The &lt;Shop&gt;" in page.text
    assert "<Shop>" not in page.text


async def test_consent_says_who_asks_for_what(browser: httpx.AsyncClient) -> None:
    page = await sign_in(browser, question("shop", Pair()))

    for text in ("The &lt;Shop&gt;", "Ada Lovelace", "See your orders", "https://shop.example"):
        assert text in page.text


async def test_cookies_are_for_this_host_and_not_for_scripts(browser: httpx.AsyncClient) -> None:
    page = await first_page(browser)
    form = {"interaction": hidden(page), "username": "ada", "password": PASSWORD}
    answer = await browser.post("/oauth2/sign-in", data=form)

    for response, name in ((page, "browser"), (answer, "session")):
        cookie = response.headers["set-cookie"]
        assert cookie.startswith(f"__Host-portico-{name}=")
        for attribute in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
            assert attribute in cookie
        assert "Domain" not in cookie


async def test_who_is_signed_in_is_only_asked_for_consent(browser: httpx.AsyncClient) -> None:
    await sign_in(browser, question("shop", Pair()))

    page = await first_page(browser)

    assert 'name="password"' not in page.text
    assert 'value="allow"' in page.text


async def test_who_signed_in_too_long_ago_signs_in_again(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    """A step-up challenge (RFC 9470) leads here with a max_age."""
    await sign_in(browser, question("shop", Pair()))
    recent = await browser.get("/oauth2/authorize", params=question("shop", Pair(), max_age="3600"))
    assert 'value="allow"' in recent.text
    await asyncio.sleep(1.1)
    pair = Pair()
    parameters = question("shop", pair, max_age="0")
    page = await browser.get("/oauth2/authorize", params=parameters)
    assert 'name="password"' in page.text
    refused = await browser.post(
        "/oauth2/consent", data={"interaction": hidden(page), "decision": "allow"}
    )
    assert 'name="password"' in refused.text

    answer = await authorize(browser, parameters)

    assert (await redeem(http, "shop", answer["code"], pair)).status_code == 200
    for wrong in ("-1", "x", "1e3", "9" * 20, "²"):
        refused = await browser.get(
            "/oauth2/authorize", params=question("shop", Pair(), max_age=wrong)
        )
        assert answer_of(refused)["error"] == "invalid_request"


async def test_a_first_party_client_needs_no_consent(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    pair = Pair()
    answer = answer_of(await sign_in(browser, question("trusted", pair)))

    assert (await redeem(http, "trusted", answer["code"], pair)).status_code == 200
    again = await first_page(browser, "trusted")
    assert "code" in answer_of(again)


async def test_the_scopes_of_a_person_are_the_limit(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    pair = Pair()
    parameters = question("shop", pair, scope="orders:read orders:write")
    page = await sign_in(browser, parameters, "bob")
    assert "orders:write" not in page.text
    answer = answer_of(
        await browser.post(
            "/oauth2/consent", data={"interaction": hidden(page), "decision": "allow"}
        )
    )

    assert (await redeem(http, "shop", answer["code"], pair)).json()["scope"] == "orders:read"


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ada", "wrong"),
        ("ada", ""),
        ("", PASSWORD),
        ("nobody", PASSWORD),
        ("ada", PASSWORD + " "),
        ("ada", PASSWORD * 100),
        ("x" * 5000, PASSWORD),
        ("ada\x00", PASSWORD),
        ("'; DROP TABLE users; --", PASSWORD),
        ("\ud7ff", "\ufffe"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_wrong_name_and_a_wrong_password_look_the_same(
    browser: httpx.AsyncClient, username: str, password: str
) -> None:
    answer = await sign_in(browser, question("shop", Pair()), username, password)

    assert answer.status_code == 401
    assert "The user name or the password is wrong." in answer.text
    assert "portico-session" not in "".join(browser.cookies)
    assert PASSWORD not in answer.text


async def test_a_name_may_be_spelled_in_capitals(browser: httpx.AsyncClient) -> None:
    assert "Ada Lovelace" in (await sign_in(browser, question("shop", Pair()), " ADA ")).text


async def test_as_12_guesses_at_an_account_are_limited(deployment: Deployment) -> None:
    statuses = []
    for number in range(12):
        async with deployment.http(f"192.0.2.{number}") as browser:
            answer = await sign_in(browser, question("shop", Pair()), "ada", f"guess {number}")
            statuses.append(answer.status_code)
    assert statuses == [401] * 10 + [429] * 2
    async with deployment.http("203.0.113.9") as browser:
        right = await sign_in(browser, question("shop", Pair()))
        assert right.status_code == 429
        assert int(right.headers["retry-after"]) > 0
        other = await sign_in(browser, question("shop", Pair()), "bob")
        assert "Bob" in other.text


async def test_as_12_who_guesses_does_not_keep_the_owner_of_an_account_waiting(
    deployment: Deployment,
) -> None:
    async with deployment.http("203.0.113.9") as owner, deployment.http("203.0.113.9") as fresh:
        await sign_in(owner, question("shop", Pair()))
        await owner.post("/oauth2/sign-out", data={"go": "1"})
        for number in range(12):
            async with deployment.http(f"192.0.2.{number}") as guesser:
                guesser.cookies.set("__Host-portico-known", "A" * 43)
                await sign_in(guesser, question("shop", Pair()), "ada", f"guess {number}")

        assert (await sign_in(fresh, question("shop", Pair()))).status_code == 429
        assert "Ada Lovelace" in (await sign_in(owner, question("shop", Pair()))).text
        # It is known for this account only, and its own attempts are limited as well.
        await owner.post("/oauth2/sign-out", data={"go": "1"})
        statuses = [
            (await sign_in(owner, question("shop", Pair()), "ada", "guess")).status_code
            for _ in range(12)
        ]
        assert statuses[-2:] == [429] * 2


async def test_as_12_guesses_from_an_address_are_limited(redis: RedisClient, ring: KeyRing) -> None:
    limits = {"per_address": "5/minute"}
    deployment = deploy(redis, ring, time.time, sign_in_limits=limits)
    async with deployment.http() as browser, deployment.http("192.0.2.99") as other:
        answers = [
            (await sign_in(browser, question("shop", Pair()), f"name-{n}", "x")).status_code
            for n in range(7)
        ]
        assert answers == [401] * 5 + [429] * 2
        assert "Ada" in (await sign_in(other, question("shop", Pair()))).text


async def test_as_12_parallel_guesses_are_no_way_around_the_limit(deployment: Deployment) -> None:
    async def guess(number: int) -> int:
        async with deployment.http(f"192.0.2.{number}") as browser:
            page = await sign_in(browser, question("shop", Pair()), "ada", f"guess {number}")
            return page.status_code

    statuses = await asyncio.gather(*(guess(number) for number in range(20)))

    assert sorted(statuses) == [401] * 10 + [429] * 10


async def test_passwords_that_wait_to_be_checked_are_bounded() -> None:
    """Each check takes memory and a core; a crowd must not make everybody wait."""
    users = Users(PEOPLE, max_waiting=3)

    checks = [users.check("ada", PASSWORD) for _ in range(8)]
    found = await asyncio.gather(*checks, return_exceptions=True)

    refused = [outcome for outcome in found if isinstance(outcome, WaitError)]
    assert len(refused) == 5
    assert {error.status_code for error in refused} == {503}
    assert await users.check("ada", PASSWORD) == PEOPLE[0]


async def test_attempts_that_cannot_be_counted_are_not_made(
    redis: RedisClient, redis_server: Server
) -> None:
    engine = LimitEngine(redis)
    limits = SignInLimits(engine)
    assert (await limits.attempt("ada", "192.0.2.1")).standing is Standing.ALLOWED
    redis_server.kill()
    try:
        standings = [(await limits.attempt("ada", "192.0.2.1")).standing for _ in range(3)]
    finally:
        redis_server.start()
        await engine.close()

    assert standings == [Standing.UNKNOWN] * 3


async def test_without_redis_nobody_signs_in_and_services_go_on(
    deployment: Deployment, redis_server: Server
) -> None:
    """AS-12: an outage, in which nothing is counted, is no chance to guess."""
    async with deployment.http() as browser:
        pair = Pair()
        code = (await authorize(browser, question("shop", pair)))["code"]
        token = (await redeem(browser, "shop", code, pair)).json()["refresh_token"]
        page = await first_page(browser)
        redis_server.kill()
        try:
            form = {"interaction": hidden(page), "username": "ada", "password": PASSWORD}
            answers = [
                await browser.post("/oauth2/sign-in", data=form),
                await first_page(browser),
                await browser.get("/oauth2/consent", params={"interaction": hidden(page)}),
                await browser.post("/oauth2/token", data={**form, "client_id": "reg-x"}),
                await refresh(browser, "shop", token),
                await ask(browser, "shop", {"token": token}, "/oauth2/introspect"),
                await ask(browser, "shop", {"token": token}, "/oauth2/revoke"),
                await ask(browser, "shop", question("shop", Pair()), "/oauth2/par"),
            ]
            service = await ask(browser, "service", {"grant_type": "client_credentials"})
        finally:
            redis_server.start()

    for answer in answers:
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
    # A client of the configuration needs nothing of it.
    assert service.status_code == 200


async def test_requests_that_nobody_finishes_are_limited_by_address(
    redis: RedisClient, ring: KeyRing
) -> None:
    deployment = deploy(redis, ring, time.time, begun_per_address="3/minute")
    async with deployment.http() as browser, deployment.http("192.0.2.9") as other:
        answers = [await first_page(browser) for _ in range(5)]
        pushed = [
            (await ask(browser, "spa", question("spa", Pair()), "/oauth2/par")).status_code
            for _ in range(5)
        ]

        assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
        assert answers[-1].headers["retry-after"] == "20"
        assert pushed == [201] * 3 + [429] * 2
        assert (await first_page(other)).status_code == 200


async def test_a_request_that_is_too_large_is_not_kept(browser: httpx.AsyncClient) -> None:
    parameters = question("shop", Pair(), state="x" * 10_000)

    assert (await browser.get("/oauth2/authorize", params=parameters)).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://attacker.example"},
        {"origin": "null"},
        {"origin": f"{ISSUER}.attacker.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["sign-in", "consent", "sign-out"])
async def test_a_form_of_another_site_is_refused(
    browser: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    page = await sign_in(browser, question("shop", Pair()))
    form = {"interaction": hidden(page), "decision": "allow", "username": "ada", "password": "x"}

    answer = await browser.post(f"/oauth2/{path}", data=form, headers=headers)

    assert answer.status_code == 403
    assert "location" not in answer.headers


async def test_a_page_of_one_browser_is_worth_nothing_in_another(deployment: Deployment) -> None:
    """Neither signs a victim in as the attacker, nor lets it consent to the attacker's request."""
    async with deployment.http() as attacker, deployment.http() as victim:
        page = await sign_in(attacker, question("shop", Pair()))
        await sign_in(victim, question("shop", Pair()))
        fresh = await first_page(attacker, "spa")
        form = {"interaction": hidden(page), "decision": "allow"}
        enter = {"interaction": hidden(fresh), "username": "ada", "password": PASSWORD}

        for path, data in (("consent", form), ("sign-in", enter)):
            answer = await victim.post(f"/oauth2/{path}", data=data)
            assert answer.status_code == 400
            assert "location" not in answer.headers
            assert "set-cookie" not in answer.headers


async def test_consent_is_given_once(browser: httpx.AsyncClient) -> None:
    page = await sign_in(browser, question("shop", Pair()))
    form = {"interaction": hidden(page), "decision": "allow"}

    answers = await asyncio.gather(*(browser.post("/oauth2/consent", data=form) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [303, 400, 400, 400, 400]


@pytest.mark.parametrize("decision", ["", "maybe", "allow deny"])
async def test_consent_is_a_decision(browser: httpx.AsyncClient, decision: str) -> None:
    page = await sign_in(browser, question("shop", Pair()))

    answer = await browser.post(
        "/oauth2/consent", data={"interaction": hidden(page), "decision": decision}
    )

    assert answer.status_code == 400


async def test_consent_needs_someone_who_is_signed_in(browser: httpx.AsyncClient) -> None:
    page = await first_page(browser)

    answer = await browser.post(
        "/oauth2/consent", data={"interaction": hidden(page), "decision": "allow"}
    )

    assert 'name="password"' in answer.text


async def test_a_session_gets_a_new_name_at_each_sign_in_and_ends_at_sign_out(
    deployment: Deployment, browser: httpx.AsyncClient
) -> None:
    await sign_in(browser, question("shop", Pair()))
    first = browser.cookies["__Host-portico-session"]
    page = await first_page(browser)
    form = {"interaction": hidden(page), "username": "bob", "password": PASSWORD}
    await browser.post("/oauth2/sign-in", data=form)
    second = browser.cookies["__Host-portico-session"]
    assert first != second

    async with deployment.http() as thief:
        thief.cookies.set("__Host-portico-session", first)
        assert 'name="password"' in (await first_page(thief)).text
        await browser.post("/oauth2/sign-out", data={"go": "1"})
        thief.cookies.set("__Host-portico-session", second)
        assert 'name="password"' in (await first_page(thief)).text


async def test_who_is_removed_or_has_another_password_is_not_signed_in_any_more(
    redis: RedisClient, ring: KeyRing
) -> None:
    before = deploy(redis, ring, time.time)
    async with before.http() as browser:
        await sign_in(browser, question("shop", Pair()))
        other = replace(PEOPLE[0], password_hash=PEOPLE[1].password_hash)
        for people in (PEOPLE[1:], [other]):
            after = deploy(redis, ring, time.time, users=Users(people))
            async with after.http() as same:
                same.cookies = browser.cookies
                assert 'name="password"' in (await first_page(same)).text


async def test_an_answer_goes_where_the_request_was_for(browser: httpx.AsyncClient) -> None:
    uri = "https://shop.example/cb2"
    answer = await authorize_at(browser, uri)

    assert answer.startswith(f"{uri}?")
    assert parse_qs(urlsplit(answer).query)["state"] == ["a b&c=d#e"]


async def authorize_at(browser: httpx.AsyncClient, uri: str) -> str:
    parameters = question("two-ways", Pair(), redirect_uri=uri, state="a b&c=d#e")
    page = await sign_in(browser, parameters)
    form = {"interaction": hidden(page), "decision": "allow"}
    return str((await browser.post("/oauth2/consent", data=form)).headers["location"])


async def test_the_style_sheet_is_served(browser: httpx.AsyncClient) -> None:
    page = await first_page(browser)
    assert 'href="/oauth2/style.css"' in page.text

    style = await browser.get("/oauth2/style.css")

    assert style.headers["content-type"] == "text/css; charset=utf-8"


@pytest.mark.parametrize(
    "wrong",
    [
        "a plain password",
        "$2b$12$abcdefghijklmnopqrstuu",
        "$argon2i$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA",
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$aGFzaA",
    ],
)
def test_a_password_that_is_not_hashed_well_does_not_start(wrong: str) -> None:
    """AS-12: what is kept of a password is a slow hash of it."""
    with pytest.raises(IdentityError, match="argon2id") as caught:
        UserRecord(username="eve", subject="eve", name="Eve", password_hash=wrong)
    assert wrong not in str(caught.value)


def test_a_short_password_is_not_hashed() -> None:
    with pytest.raises(IdentityError):
        hash_password("short")
    assert hash_password("long enough").startswith("$argon2id$")
