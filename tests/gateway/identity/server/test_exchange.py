"""Token exchange (RFC 8693): who acts for whom, for what, and for how long at most."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.identity.clients import TOKEN_EXCHANGE
from gateway.identity.tokens import AccessToken
from tests.gateway.identity.server.deployment import (
    ORDERS,
    STOCK,
    TIER,
    Deployment,
    ask,
    assert_refused,
)

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.anyio
ACCESS = "urn:ietf:params:oauth:token-type:access_token"


def subject_token(deployment: Deployment, **changes: Any) -> str:
    members: dict[str, Any] = {
        "subject": "u-1",
        "client_id": "shop",
        "audiences": ("portico",),
        "scopes": ["orders:read", "stock:read"],
        "lifetime_seconds": 300,
        **changes,
    }
    return deployment.issuer.issue(AccessToken(**members))


def asking(token: str, **changes: Any) -> dict[str, Any]:
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": token,
        "subject_token_type": ACCESS,
        **changes,
    }
    return {name: value for name, value in form.items() if value is not None}


def claims_of(deployment: Deployment, response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    keys = KeySet.import_key_set({"keys": deployment.keys.public_document()["keys"]})
    return dict(jwt.decode(response.json()["access_token"], keys, algorithms=["ES256"]).claims)


async def test_a_service_acts_for_the_person_who_called_it(
    deployment: Deployment, http: httpx.AsyncClient
) -> None:
    token = subject_token(deployment, authenticated_at=1_700_000_000)
    response = await ask(http, "broker", asking(token, audience=TIER))

    body, claims = response.json(), claims_of(deployment, response)
    assert body["issued_token_type"] == ACCESS
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] <= 300
    assert (claims["sub"], claims["client_id"], claims["aud"]) == ("u-1", "broker", TIER)
    assert claims["act"] == {"sub": "broker"}
    assert claims["auth_time"] == 1_700_000_000
    # What both the token and the client may do.
    assert claims["scope"] == "orders:read"


async def test_those_who_acted_before_stay_in_the_chain(
    deployment: Deployment, http: httpx.AsyncClient
) -> None:
    first = subject_token(deployment, actor={"sub": "web", "act": {"sub": "app"}})
    actor = subject_token(deployment, subject="partner", client_id="partner-app")
    form = asking(first, actor_token=actor, actor_token_type=ACCESS, resource=ORDERS)

    claims = claims_of(deployment, await ask(http, "broker", form))

    assert claims["aud"] == ORDERS
    assert claims["act"] == {
        "sub": "partner",
        "client_id": "partner-app",
        "act": {"sub": "web", "act": {"sub": "app"}},
    }


async def test_an_exchanged_token_does_not_outlive_the_first(
    deployment: Deployment, http: httpx.AsyncClient
) -> None:
    first = subject_token(deployment, lifetime_seconds=20)

    claims = claims_of(deployment, await ask(http, "broker", asking(first)))

    assert claims["exp"] <= time.time() + 20


async def test_a_token_for_one_resource_does_not_become_one_for_another(
    deployment: Deployment, http: httpx.AsyncClient
) -> None:
    narrow = subject_token(deployment, audiences=(ORDERS,))

    same = await ask(http, "broker", asking(narrow, resource=ORDERS))
    for beyond in ({"resource": STOCK}, {"audience": "portico"}, {}):
        assert_refused(await ask(http, "broker", asking(narrow, **beyond)), 400, "invalid_target")
    assert claims_of(deployment, same)["aud"] == ORDERS


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"subject_token": None}, "invalid_request"),
        ({"subject_token": "x.y.z"}, "invalid_request"),
        ({"subject_token": "x" * 9000}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        (
            {"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
            "invalid_request",
        ),
        ({"requested_token_type": "urn:x"}, "invalid_request"),
        ({"actor_token": "x.y.z", "actor_token_type": ACCESS}, "invalid_request"),
        ({"actor_token_type": ACCESS}, "invalid_request"),
        ({"audience": "process/stock.v1"}, "invalid_target"),
        ({"audience": "system/erp.v1"}, "invalid_target"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ({"scope": "orders:write"}, "invalid_scope"),
        ({"scope": "stock:read"}, "invalid_scope"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_what_cannot_be_exchanged_is_refused(
    deployment: Deployment, http: httpx.AsyncClient, changes: dict[str, Any], error: str
) -> None:
    form = asking(subject_token(deployment), **changes)

    assert_refused(await ask(http, "broker", form), 400, error)


async def test_only_clients_with_the_grant_exchange(
    deployment: Deployment, http: httpx.AsyncClient
) -> None:
    form = asking(subject_token(deployment))

    assert_refused(await ask(http, "service", form), 400, "unauthorized_client")
    assert_refused(await ask(http, "spa", form), 401, "invalid_client")


async def test_a_revoked_or_expired_token_is_not_exchanged(
    deployment: Deployment, http: httpx.AsyncClient
) -> None:
    revoked = subject_token(deployment, token_id="t-1")
    await deployment.state.revocations.revoke("t-1", time.time() + 300)
    short = subject_token(deployment, lifetime_seconds=1)
    await asyncio.sleep(1.1)

    for token in (revoked, short):
        assert_refused(await ask(http, "broker", asking(token)), 400, "invalid_request")


async def test_a_chain_that_is_a_loop_ends(deployment: Deployment, http: httpx.AsyncClient) -> None:
    chain: dict[str, Any] = {"sub": "a"}
    for _ in range(10):
        chain = {"sub": "a", "act": chain}

    answer = await ask(http, "broker", asking(subject_token(deployment, actor=chain)))

    assert_refused(answer, 400, "invalid_request")
