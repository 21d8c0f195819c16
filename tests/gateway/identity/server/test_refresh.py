"""Refresh tokens, AS-05: rotated, ended by reuse, and forgiving when two requests meet."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.identity.clients import ClientRegistry
from gateway.identity.keys import KeyRing
from gateway.identity.server.users import Users
from tests.gateway.identity.server.deployment import (
    CLIENTS,
    PEOPLE,
    Pair,
    ask,
    assert_refused,
    authorize,
    deploy,
    question,
    redeem,
    refresh,
)

if TYPE_CHECKING:
    import httpx

    from portico.redis.client import RedisClient
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio
SHORT_GRACE_SECONDS = 0.1


async def first_token(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, client_id: str = "shop"
) -> str:
    pair = Pair()
    parameters = question(client_id, pair, scope="orders:read orders:write")
    code = (await authorize(browser, parameters))["code"]
    return str((await redeem(http, client_id, code, pair)).json()["refresh_token"])


async def test_as_05_a_refresh_token_is_rotated(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    for client_id in ("shop", "spa"):
        first = await first_token(browser, http, client_id)
        answer = (await refresh(http, client_id, first)).json()

        assert answer["refresh_token"] != first
        assert answer["scope"] == "orders:read orders:write"
        assert (await refresh(http, client_id, answer["refresh_token"])).status_code == 200


@pytest.mark.parametrize("client_id", ["shop", "spa"])
async def test_as_05_of_twenty_refreshes_at_once_all_get_the_same_next_token(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, client_id: str
) -> None:
    token = await first_token(browser, http, client_id)

    answers = await asyncio.gather(*(refresh(http, client_id, token) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    following = {answer.json()["refresh_token"] for answer in answers}
    assert len(following) == 1
    assert len({answer.json()["access_token"] for answer in answers}) == 20
    assert (await refresh(http, client_id, following.pop())).status_code == 200


async def test_as_05_a_token_that_comes_back_later_ends_the_family(
    redis: RedisClient, ring: KeyRing
) -> None:
    deployment = deploy(redis, ring, time.time, grace_seconds=SHORT_GRACE_SECONDS)
    async with deployment.http() as browser, deployment.http() as http:
        first = await first_token(browser, http)
        second = (await refresh(http, "shop", first)).json()
        await asyncio.sleep(SHORT_GRACE_SECONDS * 2)

        assert_refused(await refresh(http, "shop", first), 400, "invalid_grant")

        assert_refused(await refresh(http, "shop", second["refresh_token"]), 400, "invalid_grant")
        told = await ask(http, "shop", {"token": second["access_token"]}, "/oauth2/introspect")
        assert told.json() == {"active": False}


async def test_as_05_a_token_of_two_generations_ago_has_no_grace(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    first = await first_token(browser, http)
    second = (await refresh(http, "shop", first)).json()["refresh_token"]
    third = (await refresh(http, "shop", second)).json()["refresh_token"]

    assert_refused(await refresh(http, "shop", first), 400, "invalid_grant")
    assert_refused(await refresh(http, "shop", third), 400, "invalid_grant")


async def test_as_05_a_forged_token_ends_nothing(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    """A token that we did not make is no reuse: nobody can end what they do not have."""
    token = await first_token(browser, http)
    family, generation, proof = token.split(".")

    for forged in (
        f"{family}.0.{'A' * 43}",
        f"{family}.7.{proof}",
        f"{family}.00.{proof}",
        f"{family}.-1.{proof}",
        f"{family}.{proof}",
        f"{family}.{generation}.{proof}=",
        f"{family}.{generation}.{proof}\n",
        f"{family}.99999999999999999999.{proof}",
        "",
        "." * 5000,
        "\x00",
        "é",
    ):
        response = await refresh(http, "shop", forged)
        expected = "invalid_request" if not forged else "invalid_grant"
        assert_refused(response, 400, expected)
    assert_refused(await refresh(http, "other-shop", token), 400, "invalid_grant")
    assert_refused(await refresh(http, "spa", token), 400, "invalid_grant")
    assert (await refresh(http, "shop", token)).status_code == 200


async def test_as_05_scopes_may_be_fewer_for_one_token_and_never_more(
    browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    token = await first_token(browser, http)
    fewer = (await refresh(http, "shop", token, scope="orders:read")).json()
    more = await refresh(http, "shop", fewer["refresh_token"], scope="orders:read stock:read")
    again = (await refresh(http, "shop", fewer["refresh_token"])).json()

    assert fewer["scope"] == "orders:read"
    assert_refused(more, 400, "invalid_scope")
    assert again["scope"] == "orders:read orders:write"


async def test_what_the_client_or_the_person_lost_is_lost_to_refreshed_tokens(
    redis: RedisClient, ring: KeyRing
) -> None:
    before = deploy(redis, ring, time.time)
    async with before.http() as browser, before.http() as http:
        token = await first_token(browser, http)
    without_ada = deploy(redis, ring, time.time, users=Users(PEOPLE[1:]))
    async with without_ada.http() as http:
        assert_refused(await refresh(http, "shop", token), 400, "invalid_grant")
    other = replace(PEOPLE[0], password_hash=PEOPLE[1].password_hash)
    with_another_password = deploy(redis, ring, time.time, users=Users([other]))
    async with with_another_password.http() as http:
        assert_refused(await refresh(http, "shop", token), 400, "invalid_grant")
    poorer = [replace(record, scopes=frozenset({"orders:write"})) for record in CLIENTS]
    narrowed = deploy(redis, ring, time.time, clients=ClientRegistry(poorer))
    async with narrowed.http() as http:
        assert (await refresh(http, "shop", token)).json()["scope"] == "orders:write"


async def test_as_05_what_was_allowed_ends_however_often_it_is_refreshed(
    redis: RedisClient, ring: KeyRing
) -> None:
    deployment = deploy(redis, ring, time.time, grant_seconds=2)
    async with deployment.http() as browser, deployment.http() as http:
        pair = Pair()
        code = (await authorize(browser, question("shop", pair)))["code"]
        answer = (await redeem(http, "shop", code, pair)).json()
        assert answer["expires_in"] <= 2
        await asyncio.sleep(2.1)

        assert_refused(await refresh(http, "shop", answer["refresh_token"]), 400, "invalid_grant")


async def test_redis_holds_nothing_that_can_be_presented(
    browser: httpx.AsyncClient, http: httpx.AsyncClient, redis_server: Server
) -> None:
    """AS-12: whoever reads the store gets no code, token or session."""
    pair = Pair()
    page = await authorize(browser, question("shop", pair))
    answer = (await redeem(http, "shop", page["code"], pair)).json()

    names = redis_server.ask("KEYS", "*")
    assert isinstance(names, list)
    everything = b"".join(name + (redis_server.ask("DUMP", name) or b"") for name in names)
    sessions = [value.encode() for value in browser.cookies.values()]
    for secret in (
        page["code"].split(".")[1].encode(),
        answer["refresh_token"].split(".")[2].encode(),
        answer["access_token"].encode(),
        pair.verifier.encode(),
        *sessions,
    ):
        assert secret not in everything
