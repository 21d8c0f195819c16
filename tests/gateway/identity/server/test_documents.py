"""What the server says about itself, AS-11, and what other origins may read."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from starlette.applications import Starlette

from gateway.identity.clients import GRANT_TYPES, ClientRegistry
from gateway.identity.issuers.remote_keys import Freshness
from gateway.identity.key_schedule import PUBLISH_SECONDS
from gateway.identity.keys import KeyRing
from gateway.identity.server.routes import ServerParts, routes
from gateway.identity.tokens import TokenIssuer
from tests.gateway.identity.server.deployment import (
    CLIENTS,
    INITIAL_TOKEN,
    ISSUER,
    SCOPES,
    Deployment,
    Pair,
    ask,
    deploy,
    question,
)

if TYPE_CHECKING:
    import httpx

    from portico.redis.client import RedisClient

pytestmark = pytest.mark.anyio
METADATA = "/.well-known/oauth-authorization-server"
ELSEWHERE = {"origin": "https://elsewhere.example"}


async def test_as_11_metadata_name_every_endpoint_there_is(http: httpx.AsyncClient) -> None:
    document = (await http.get(METADATA)).json()

    AuthorizationServerMetadata(document).validate()
    assert document["issuer"] == ISSUER
    assert document["scopes_supported"] == SCOPES
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["response_types_supported"] == ["code"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["tls_client_certificate_bound_access_tokens"] is True
    endpoints = {value for name, value in document.items() if name.endswith("_endpoint")}
    assert len(endpoints) == 6
    for endpoint in endpoints:
        path = endpoint.removeprefix(ISSUER)
        # Whatever it says to nothing at all, it is there.
        assert (await http.post(path)).status_code != 404


async def test_as_11_an_issuer_with_a_path_has_its_metadata_at_the_inserted_one(
    ring: KeyRing,
) -> None:
    issuer = f"{ISSUER}/tenant/one"
    parts = ServerParts(
        issuer=TokenIssuer(ring, issuer=issuer, audience="portico"),
        keys=ring,
        clients=ClientRegistry([]),
        scopes=[],
    )

    paths = [route.path for route in routes(parts)]

    assert get_well_known_url(issuer) in paths
    assert "/.well-known/oauth-authorization-server/tenant/one" in paths


async def test_as_11_documents_and_token_may_be_read_by_any_page(http: httpx.AsyncClient) -> None:
    for path in (METADATA, "/.well-known/jwks.json"):
        response = await http.get(path, headers=ELSEWHERE)
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers
    preflight = {**ELSEWHERE, "access-control-request-method": "POST"}
    for name in ("token", "revoke", "par", "introspect", "register"):
        response = await http.options(f"/oauth2/{name}", headers=preflight)
        assert response.headers["access-control-allow-origin"] == "*"
    answer = await http.post("/oauth2/token", data={"grant_type": "x"}, headers=ELSEWHERE)
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_as_11_pages_of_people_may_be_read_by_no_other_page(
    browser: httpx.AsyncClient,
) -> None:
    preflight = {**ELSEWHERE, "access-control-request-method": "GET"}
    for name in ("authorize", "sign-in", "consent", "sign-out"):
        answers = [
            await browser.get(
                f"/oauth2/{name}", params=question("shop", Pair()), headers=ELSEWHERE
            ),
            await browser.options(f"/oauth2/{name}", headers=preflight),
        ]
        for response in answers:
            assert "access-control-allow-origin" not in response.headers


async def test_keys_may_be_kept_for_less_than_a_new_one_is_published_ahead(
    http: httpx.AsyncClient,
) -> None:
    """JK-06: whoever keeps the keys that long knows a new one in time."""
    response = await http.get("/.well-known/jwks.json")

    assert response.headers["content-type"] == "application/jwk-set+json"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert max(300, Freshness().max_seconds) <= PUBLISH_SECONDS
    assert "d" not in response.json()["keys"][0]


HOSTILE = [
    b"",
    b"&&&===",
    b"client_id=shop&client_id=shop",
    b"client_id=%00&grant_type=%ff",
    b"grant_type=authorization_code&client_id=spa&code=" + b"x" * 20_000,
    b"grant_type=refresh_token&client_id=spa&refresh_token=%0a%0d",
    b"token=" + b"." * 5000 + b"&client_id=spa",
    b"interaction=" + b"A" * 43 + b"&username=ada&password=x",
    b"interaction[]=1&decision=allow",
    b"client_id=spa&scope=%22%5C&response_type=%22%5C&redirect_uri=%5C",
    b"{}",
    b"<xml/>",
    b"x" * 100_000,
]


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: body[:30].decode())
async def test_nothing_is_answered_with_500(redis: RedisClient, ring: KeyRing, body: bytes) -> None:
    deployment = deploy(redis, ring, time.time)
    names = [
        "token",
        "introspect",
        "revoke",
        "par",
        "register",
        "authorize",
        "sign-in",
        "consent",
        "sign-out",
    ]
    types = ["application/x-www-form-urlencoded", "application/json", "multipart/form-data"]
    async with deployment.http() as http:
        for path in [*(f"/oauth2/{name}" for name in names), "/oauth2/register/x"]:
            query = body[:4000].decode("latin-1").replace("<", "%3C")
            answers = [await http.get(f"{path}?{query}"), await http.put(path, content=body)]
            for kind in types:
                headers = {b"content-type": kind.encode(), b"authorization": b"Bearer \xff"}
                answers.append(await http.post(path, content=body, headers=headers))
            assert max(answer.status_code for answer in answers) < 500


async def test_a_client_that_leaves_is_no_failure(redis: RedisClient, ring: KeyRing) -> None:
    app = deploy(redis, ring, time.time).app

    async def leave() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def ignore(_: Any) -> None:
        """Nobody is there."""

    for path in ("/oauth2/token", "/oauth2/sign-in", "/oauth2/register"):
        headers = [(b"authorization", f"Bearer {INITIAL_TOKEN}".encode())]
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
        }
        scope |= {"headers": headers, "client": ("192.0.2.1", 1), "scheme": "https"}
        await app({**scope, "server": ("gateway.example", 443)}, leave, ignore)


NASTY = [
    *"\"\\\\'<>[]{}()#%&=+;:@/?.-_~^`| \x00\n\r\t\x7f",
    "é",
    "\u2028",
    "😀",
    "http://",
    "a",
    "0",
]
PARAMETERS = [
    "response_type client_id redirect_uri scope state code_challenge resource response_mode",
    "request_uri max_age grant_type code code_verifier refresh_token subject_token audience",
    "subject_token_type actor_token client_secret client_assertion token token_type_hint",
    "interaction username password decision",
]


async def test_no_parameter_of_any_spelling_is_answered_with_500(
    redis: RedisClient, ring: KeyRing
) -> None:
    chosen = random.Random(4)
    names = " ".join(PARAMETERS).split()
    deployment = deploy(redis, ring, time.time, begun_per_address="100000/minute")
    known = [*question("shop", Pair()).items(), ("grant_type", "refresh_token")]
    async with deployment.http() as http:
        for _ in range(300):
            text = "".join(chosen.choices(NASTY, k=chosen.randint(1, 12)))
            form = {**dict(known), chosen.choice(names): text}
            if chosen.random() < 0.5:
                form["grant_type"] = chosen.choice(GRANT_TYPES)
            path = chosen.choice(["token", "par", "introspect", "revoke", "sign-in", "consent"])
            answers = [
                await http.get("/oauth2/authorize", params=form),
                await ask(http, chosen.choice(["shop", "broker", "spa"]), form, f"/oauth2/{path}"),
            ]
            assert max(answer.status_code for answer in answers) < 500, form


async def test_a_server_without_a_store_gives_tokens_to_services(ring: KeyRing) -> None:
    issuer = TokenIssuer(ring, issuer=ISSUER, audience="portico")
    parts = ServerParts(issuer=issuer, keys=ring, clients=ClientRegistry(CLIENTS), scopes=SCOPES)
    deployment = Deployment(Starlette(routes=routes(parts)), None, ring, issuer)  # type: ignore[arg-type]
    async with deployment.http() as http:
        answer = await ask(http, "service", {"grant_type": "client_credentials"})
        told = await ask(
            http, "service", {"token": answer.json()["access_token"]}, "/oauth2/introspect"
        )
        assert told.json()["active"] is True
        for name in ("authorize", "par", "revoke", "register"):
            assert (await http.post(f"/oauth2/{name}")).status_code == 404
