"""Dynamic registration (RFC 7591) and its management (RFC 7592), AS-10."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import ECKey

from tests.gateway.identity.provider import providing
from tests.gateway.identity.server.deployment import (
    INITIAL_TOKEN,
    ISSUER,
    Deployment,
    Pair,
    answer_of,
    assert_refused,
    basic,
    deploy,
    hidden,
    question,
    sign_in,
)

if TYPE_CHECKING:
    import httpx

    from gateway.identity.keys import KeyRing
    from portico.redis.client import RedisClient
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio
REGISTER = "/oauth2/register"
APP: dict[str, Any] = {
    "client_name": "Partner app",
    "redirect_uris": ["https://partner.example/cb"],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "orders:read",
}
KEY = ECKey.generate_key("P-256").as_dict(private=False)


async def register(
    http: httpx.AsyncClient, metadata: object, token: str = INITIAL_TOKEN
) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await http.post(REGISTER, content=json.dumps(metadata), headers=headers)


def bearer(registered: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {registered['registration_access_token']}"}


async def test_as_10_an_application_registers_and_its_people_sign_in(
    deployment: Deployment, browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    response = await register(http, APP)

    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    registered = response.json()
    assert registered["client_secret_expires_at"] == 0
    assert registered["client_id_issued_at"] > 0
    assert registered["token_endpoint_auth_method"] == "client_secret_basic"
    assert registered["response_types"] == ["code"]
    client_id, secret, pair = registered["client_id"], registered["client_secret"], Pair()
    parameters = question(client_id, pair, redirect_uri="https://partner.example/cb")
    page = await sign_in(browser, parameters)
    assert "Partner app" in page.text
    allowed = await browser.post(
        "/oauth2/consent", data={"interaction": hidden(page), "decision": "allow"}
    )
    form = {
        "grant_type": "authorization_code",
        "code": answer_of(allowed)["code"],
        "code_verifier": pair.verifier,
    }
    tokens = await http.post("/oauth2/token", data=form, headers=basic(client_id, secret))
    assert tokens.json()["scope"] == "orders:read"
    record = await deployment.state.registered.find(client_id)
    assert record is not None
    assert record.plan == "partners"


async def test_as_10_a_public_application_gets_no_secret(http: httpx.AsyncClient) -> None:
    response = await register(http, {**APP, "token_endpoint_auth_method": "none"})

    assert response.status_code == 201
    assert "client_secret" not in response.json()
    assert "client_secret_expires_at" not in response.json()


async def test_as_10_a_client_with_keys_and_a_native_one_register(http: httpx.AsyncClient) -> None:
    with_keys = {**APP, "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [KEY]}}
    native = {
        **APP,
        "application_type": "native",
        "token_endpoint_auth_method": "none",
        "redirect_uris": ["com.example.app:/cb", "http://127.0.0.1/cb"],
    }

    for metadata in (with_keys, native):
        response = await register(http, metadata)
        assert response.status_code == 201, response.text
        assert "client_secret" not in response.json()


@pytest.mark.parametrize("token", ["", "wrong", INITIAL_TOKEN + "x", INITIAL_TOKEN.upper(), "é"])
async def test_as_10_registering_needs_the_initial_token(
    http: httpx.AsyncClient, token: str
) -> None:
    headers = {b"authorization": f"Bearer {token}".encode("latin-1")} if token else {}
    response = await http.post(REGISTER, json=APP, headers=headers)

    assert_refused(response, 401, "invalid_token")
    assert response.headers["www-authenticate"].startswith("Bearer ")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no redirect uri": ({"redirect_uris": []}, "invalid_client_metadata"),
    "redirect uri that is http": ({"redirect_uris": ["http://x.example"]}, "invalid_redirect_uri"),
    "redirect uri with fragment": (
        {"redirect_uris": ["https://x.example/#a"]},
        "invalid_redirect_uri",
    ),
    "redirect uri that runs": ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
    "redirect uri of data": ({"redirect_uris": ["data:text/html,x"]}, "invalid_redirect_uri"),
    "relative redirect uri": ({"redirect_uris": ["/cb"]}, "invalid_redirect_uri"),
    "private scheme on the web": ({"redirect_uris": ["com.x:/cb"]}, "invalid_redirect_uri"),
    "redirect uri that is a number": ({"redirect_uris": [7]}, "invalid_redirect_uri"),
    "redirect uris that are text": ({"redirect_uris": "https://x.example"}, "invalid_redirect_uri"),
    "many redirect uris": (
        {"redirect_uris": [f"https://x.example/{number}" for number in range(50)]},
        "invalid_redirect_uri",
    ),
    "a scope that is not offered": ({"scope": "orders:write"}, "invalid_client_metadata"),
    "a scope that is a list": ({"scope": ["orders:read"]}, "invalid_client_metadata"),
    "a grant that is not offered": ({"grant_types": ["implicit"]}, "invalid_client_metadata"),
    "another response type": ({"response_types": ["token"]}, "invalid_client_metadata"),
    "refresh alone": ({"grant_types": ["refresh_token"]}, "invalid_client_metadata"),
    "an unknown method": ({"token_endpoint_auth_method": "magic"}, "invalid_client_metadata"),
    "keys to be fetched": ({"jwks_uri": "http://169.254.169.254/"}, "invalid_client_metadata"),
    "a software statement": ({"software_statement": "x.y.z"}, "invalid_client_metadata"),
    "a private key": (
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [ECKey.generate_key("P-256").as_dict(private=True)]},
        },
        "invalid_client_metadata",
    ),
    "keys that are text": (
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": "x"},
        "invalid_client_metadata",
    ),
    "keys of other spellings": (
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [{**KEY, "kid": "\ud800"}]},
        },
        "invalid_client_metadata",
    ),
    "a chain that is not one": (
        {"token_endpoint_auth_method": "none", "jwks": {"keys": [{**KEY, "x5c": [7]}]}},
        "invalid_client_metadata",
    ),
    "a chain that is a number": (
        {"token_endpoint_auth_method": "none", "jwks": {"keys": [{**KEY, "x5c": 7}]}},
        "invalid_client_metadata",
    ),
    "a flag that is text": ({"dpop_bound_access_tokens": "true"}, "invalid_client_metadata"),
    "no keys": ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    "a name of many lines": ({"client_name": "a\nb"}, "invalid_client_metadata"),
    "a long name": ({"client_name": "a" * 500}, "invalid_client_metadata"),
    "a public client for itself": (
        {"token_endpoint_auth_method": "none", "grant_types": ["client_credentials"]},
        "invalid_client_metadata",
    ),
}


@pytest.mark.parametrize(("changes", "error"), REFUSED.values(), ids=REFUSED.keys())
async def test_as_10_metadata_that_cannot_be_accepted_are_refused(
    http: httpx.AsyncClient, changes: dict[str, Any], error: str
) -> None:
    assert_refused(await register(http, {**APP, **changes}), 400, error)


async def test_as_10_no_address_of_a_registration_is_asked_for_anything(
    http: httpx.AsyncClient,
) -> None:
    with providing() as provider:
        logo = await register(http, {**APP, "logo_uri": f"{provider.url}/logo.png"})
        by_address = {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": f"{provider.url}/keys",
        }
        keys = await register(http, {**APP, **by_address})
        parameters = question(
            logo.json()["client_id"], Pair(), redirect_uri=APP["redirect_uris"][0]
        )
        page = await http.get("/oauth2/authorize", params=parameters)

    assert logo.status_code == 201
    assert_refused(keys, 400, "invalid_client_metadata")
    assert page.status_code == 200
    assert "logo.png" not in page.text
    assert provider.asked == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"a":1,"a":2}', b"\xff", b"{" * 10_000, b'"x"', b"{}"]
)
async def test_as_10_a_body_that_is_no_registration_is_refused(
    http: httpx.AsyncClient, body: bytes
) -> None:
    headers = {"authorization": f"Bearer {INITIAL_TOKEN}", "content-type": "application/json"}

    response = await http.post(REGISTER, content=body, headers=headers)

    assert_refused(response, 400, "invalid_client_metadata")


async def test_as_10_a_client_reads_changes_and_removes_itself(
    deployment: Deployment, http: httpx.AsyncClient
) -> None:
    registered = (await register(http, {**APP, "grant_types": [*APP["grant_types"]]})).json()
    own, client_id = bearer(registered), registered["client_id"]
    path = registered["registration_client_uri"].removeprefix(ISSUER)

    read = await http.get(path, headers=own)
    changed = await http.put(
        path,
        json={**APP, "client_id": client_id, "client_name": "Renamed", "scope": "stock:read"},
        headers=own,
    )

    assert read.status_code == 200
    assert read.json()["client_name"] == "Partner app"
    assert "client_secret" not in read.json()
    assert changed.json()["client_name"] == "Renamed"
    record = await deployment.state.registered.find(client_id)
    assert record is not None
    assert record.scopes == {"stock:read"}
    removed = await http.delete(path, headers=own)
    assert removed.status_code == 204
    assert removed.content == b""
    assert_refused(await http.get(path, headers=own), 401, "invalid_token")
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    secret = basic(client_id, registered["client_secret"])
    assert_refused(
        await http.post("/oauth2/token", data=form, headers=secret), 401, "invalid_client"
    )


async def test_as_10_with_a_client_its_tokens_end(
    deployment: Deployment, http: httpx.AsyncClient
) -> None:
    metadata = {"grant_types": ["client_credentials"], "scope": "orders:read"}
    registered = (await register(http, metadata)).json()
    secret = basic(registered["client_id"], registered["client_secret"])
    answer = await http.post(
        "/oauth2/token", data={"grant_type": "client_credentials"}, headers=secret
    )
    token = answer.json()["access_token"]
    path = registered["registration_client_uri"].removeprefix(ISSUER)

    await http.delete(path, headers=bearer(registered))

    told = await http.post("/oauth2/introspect", data={"token": token}, headers=basic("resource"))
    assert told.json() == {"active": False}
    assert await deployment.state.registered.list() == []


async def test_as_10_a_client_asks_for_more_than_is_needed(
    deployment: Deployment, http: httpx.AsyncClient
) -> None:
    flags = {"dpop_bound_access_tokens": True, "require_pushed_authorization_requests": True}
    registered = (await register(http, {**APP, **flags})).json()

    record = await deployment.state.registered.find(registered["client_id"])

    assert record is not None
    assert (record.dpop_bound, record.pushed_requests_only) == (True, True)
    assert registered | flags == registered


async def test_as_10_what_a_key_says_beyond_its_own_members_is_not_kept(
    http: httpx.AsyncClient,
) -> None:
    jwks = {"keys": [{**KEY, "huge": 10**30, "odd": {"deep": "\ud800"}}], "more": "\ud800"}
    metadata = {**APP, "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}
    headers = {"authorization": f"Bearer {INITIAL_TOKEN}"}

    answer = await http.post(REGISTER, content=json.dumps(metadata), headers=headers)

    assert answer.status_code == 201, answer.text
    assert set(answer.json()["jwks"]["keys"][0]) <= {"kty", "crv", "x", "y", "kid"}


async def test_as_10_only_its_own_token_manages_a_client(http: httpx.AsyncClient) -> None:
    one, other = (await register(http, APP)).json(), (await register(http, APP)).json()
    path = one["registration_client_uri"].removeprefix(ISSUER)

    for headers in (bearer(other), {}, {"authorization": f"Bearer {INITIAL_TOKEN}"}):
        for method in ("GET", "DELETE"):
            answer = await http.request(method, path, headers=headers)
            assert_refused(answer, 401, "invalid_token")
        changes = {**APP, "client_id": one["client_id"], "client_name": "Taken"}
        assert_refused(await http.put(path, json=changes, headers=headers), 401, "invalid_token")
    assert (await http.get(path, headers=bearer(one))).json()["client_name"] == "Partner app"
    unknown = await http.get(f"{REGISTER}/nobody", headers=bearer(one))
    assert_refused(unknown, 401, "invalid_token")


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "another"},
        {"registration_access_token": "x"},
        {"client_secret": "not-the-secret"},
        {"client_secret_expires_at": 0},
    ],
    ids=str,
)
async def test_as_10_a_change_has_the_client_id_and_nothing_that_was_issued(
    http: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    registered = (await register(http, APP)).json()
    path = registered["registration_client_uri"].removeprefix(ISSUER)
    members = {**APP, "client_id": registered["client_id"], **changes}
    kept = {name: value for name, value in members.items() if value is not None}

    answer = await http.put(path, json=kept, headers=bearer(registered))

    assert_refused(answer, 400, "invalid_request")


async def test_as_12_guesses_at_the_tokens_of_registration_are_limited(
    redis: RedisClient, ring: KeyRing
) -> None:
    guard = {"per_address": "3/minute", "per_client": "100/minute"}
    deployment = deploy(redis, ring, time.time, guard=guard)
    async with deployment.http() as http:
        statuses = [(await register(http, APP, f"guess-{n}")).status_code for n in range(5)]
        assert statuses == [401] * 3 + [429] * 2
        assert_refused(await register(http, APP), 429, "temporarily_unavailable")
        managed = await http.get(f"{REGISTER}/x", headers={"authorization": "Bearer x"})
        assert_refused(managed, 429, "temporarily_unavailable")


async def test_a_record_of_another_version_is_no_client(
    http: httpx.AsyncClient, redis_server: Server
) -> None:
    registered = (await register(http, APP)).json()
    client_id = registered["client_id"]
    key = f"portico:client:{{{client_id}}}"
    raw = redis_server.ask("GET", key)
    assert isinstance(raw, bytes)
    document = json.loads(raw)
    document["record"]["unheard_of"] = True
    redis_server.ask("SET", key, json.dumps(document))

    form = {"grant_type": "client_credentials"}
    secret = basic(client_id, registered["client_secret"])
    answer = await http.post("/oauth2/token", data=form, headers=secret)

    assert_refused(answer, 401, "invalid_client")


async def test_redis_holds_no_secret_of_a_client(
    http: httpx.AsyncClient, redis_server: Server
) -> None:
    """AS-12: only hashes of them."""
    registered = (await register(http, APP)).json()

    raw = redis_server.ask("GET", f"portico:client:{{{registered['client_id']}}}")

    assert isinstance(raw, bytes)
    assert json.loads(raw)["record"]["client_id"] == registered["client_id"]
    assert registered["client_secret"].encode() not in raw
    assert registered["registration_access_token"].encode() not in raw
