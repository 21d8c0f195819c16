"""The token endpoint over ASGI, line by line: AS as far as client credentials go."""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import httpx
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from starlette.applications import Starlette

from gateway.identity.brute_force import BruteForceGuard
from gateway.identity.clients import ClientRecord, ClientRegistry, hash_secret
from gateway.identity.server.forms import MAX_BODY_BYTES
from gateway.identity.server.routes import ServerParts, routes
from gateway.identity.tokens import TokenIssuer
from tests.gateway.identity.forging import ISSUER, NOW, Clock, bearer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.identity.keys import KeyRing
    from tests.gateway.identity.checking import Checker

pytestmark = pytest.mark.anyio

SECRET = "correct-horse-battery-staple"
ODD_ID = "shop floor:1/%+"
ODD_SECRET = "a b+c%25:d/e&f=g;h?i"
SCOPES = ["orders:read", "orders:write", "stock:read"]
FORM = "application/x-www-form-urlencoded"
GRANT = {"grant_type": "client_credentials"}

CLIENTS = [
    ClientRecord(
        client_id="warehouse",
        secret_hashes=(hash_secret(SECRET), hash_secret("the-second-secret-of-two")),
        scopes=frozenset({"orders:read", "orders:write"}),
    ),
    ClientRecord(
        client_id=ODD_ID,
        secret_hashes=(hash_secret(ODD_SECRET),),
        scopes=frozenset({"stock:read"}),
        subject="floor",
    ),
    ClientRecord(
        client_id="bare", secret_hashes=(hash_secret("no-scopes-at-all"),), scopes=frozenset()
    ),
]


def application(issuer: TokenIssuer, keys: KeyRing, clock: Clock, **guard: str) -> Starlette:
    parts = ServerParts(
        issuer=issuer,
        keys=keys,
        clients=ClientRegistry(CLIENTS),
        scopes=SCOPES,
        guard=BruteForceGuard(clock=clock, **guard),
        body_timeout_seconds=0.2,
        clock=clock,
    )
    return Starlette(routes=routes(parts))


def client_at(app: Starlette, address: str = "192.0.2.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 50000))
    return httpx.AsyncClient(transport=transport, base_url=ISSUER)


@pytest.fixture
def app(issuer: TokenIssuer, keys: KeyRing, clock: Clock) -> Starlette:
    return application(issuer, keys, clock, per_address="1000/minute", per_client="1000/minute")


@pytest.fixture
async def http(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with client_at(app) as client:
        yield client


def basic(client_id: str, secret: str) -> dict[str, str]:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}


async def ask(
    http: httpx.AsyncClient, form: dict[str, Any] | None = None, /, **headers: str
) -> httpx.Response:
    data = GRANT if form is None else form
    return await http.post("/oauth2/token", data=data, headers=headers)


def assert_refused(response: httpx.Response, status: int, error: str) -> None:
    """Assert the shape that RFC 6749 section 5.2 gives every error."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["error"] == error
    assert set(body) == {"error", "error_description"}
    assert all(character not in '"\\' for character in body["error_description"])
    assert body["error_description"].isascii()
    assert body["error_description"].isprintable()


async def test_as_04_basic_credentials_get_a_token(
    http: httpx.AsyncClient, verifier: Checker
) -> None:
    response = await ask(http, GRANT | {"scope": "orders:read"}, **basic("warehouse", SECRET))

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    token = body.pop("access_token")
    assert body == {"token_type": "Bearer", "expires_in": 600, "scope": "orders:read"}
    caller = verifier.verify(bearer(token))
    assert (caller.subject, caller.client_id) == ("warehouse", "warehouse")
    assert caller.scopes == {"orders:read"}
    assert caller.expires_at == NOW + 600


async def test_as_04_credentials_in_the_form_get_a_token(http: httpx.AsyncClient) -> None:
    form = GRANT | {"client_id": "warehouse", "client_secret": SECRET}

    assert (await ask(http, form)).status_code == 200


async def test_as_04_either_of_two_secrets_is_accepted(http: httpx.AsyncClient) -> None:
    header = basic("warehouse", "the-second-secret-of-two")

    assert (await ask(http, **header)).status_code == 200


async def test_as_04_basic_values_are_form_urldecoded(
    http: httpx.AsyncClient, verifier: Checker
) -> None:
    response = await ask(http, **basic(ODD_ID, ODD_SECRET))

    assert response.status_code == 200
    caller = verifier.verify(bearer(response.json()["access_token"]))
    assert (caller.subject, caller.client_id) == ("floor", ODD_ID)


async def test_without_a_scope_the_client_gets_all_of_its_own(http: httpx.AsyncClient) -> None:
    for form in (GRANT, GRANT | {"scope": ""}):
        response = await ask(http, form, **basic("warehouse", SECRET))
        assert response.json()["scope"] == "orders:read orders:write"


async def test_a_client_without_scopes_gets_a_token_without_scope(
    http: httpx.AsyncClient, verifier: Checker
) -> None:
    body = (await ask(http, **basic("bare", "no-scopes-at-all"))).json()

    assert "scope" not in body
    assert verifier.verify(bearer(body["access_token"])).scopes == frozenset()


@pytest.mark.parametrize(
    "scope",
    ["stock:read", "orders:read stock:read", "unknown", "orders:read  orders:write", " ", "\u00fc"],
)
async def test_a_scope_the_client_may_not_have_is_refused(
    http: httpx.AsyncClient, scope: str
) -> None:
    response = await ask(http, GRANT | {"scope": scope}, **basic("warehouse", SECRET))

    assert_refused(response, 400, "invalid_scope")


async def test_as_04_a_basic_failure_is_401_with_a_challenge(http: httpx.AsyncClient) -> None:
    wrong = await ask(http, **basic("warehouse", "wrong-secret-of-some-length"))
    unknown = await ask(http, **basic("nobody", SECRET))

    for response in (wrong, unknown):
        assert_refused(response, 401, "invalid_client")
        assert response.headers["www-authenticate"] == 'Basic realm="portico", charset="UTF-8"'
    assert wrong.content == unknown.content
    assert wrong.headers == unknown.headers


async def test_as_04_a_failure_in_the_form_is_401_invalid_client(http: httpx.AsyncClient) -> None:
    wrong = await ask(http, GRANT | {"client_id": "warehouse", "client_secret": "wrong"})
    unknown = await ask(http, GRANT | {"client_id": "nobody", "client_secret": SECRET})

    for response in (wrong, unknown):
        assert_refused(response, 401, "invalid_client")
    assert wrong.content == unknown.content


def raw_basic(value: bytes) -> str:
    return "Basic " + b64encode(value).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic d2FyZWhvdXNl",
        raw_basic(b"warehouse"),
        raw_basic(b""),
        raw_basic(b":"),
        raw_basic(b"warehouse:"),
        raw_basic(b"\xff\xfe:x"),
        raw_basic(b"warehouse:%ff%fe"),
        raw_basic(f"warehouse:{SECRET}".encode()) + "!",
        raw_basic(f"warehouse:{SECRET} ".encode()),
        raw_basic(f"WAREHOUSE:{SECRET}".encode()),
        "Basic " + "QUJD" * 2000,
        "Bearer abc",
        "Digest username=warehouse",
        "",
    ],
    ids=lambda value: value[:30],
)
async def test_as_04_credentials_that_cannot_be_read_are_401(
    http: httpx.AsyncClient, authorization: str
) -> None:
    response = await ask(http, authorization=authorization)

    assert_refused(response, 401, "invalid_client")
    assert "www-authenticate" in response.headers


@pytest.mark.parametrize(
    "form",
    [{}, {"client_id": "warehouse"}, {"client_secret": SECRET}, {"client_assertion": "x.y.z"}],
    ids=["none", "id_only", "secret_only", "assertion"],
)
async def test_as_04_missing_credentials_are_401(
    http: httpx.AsyncClient, form: dict[str, str]
) -> None:
    assert_refused(await ask(http, GRANT | form), 401, "invalid_client")


@pytest.mark.parametrize(
    "form",
    [
        {"client_id": "warehouse", "client_secret": SECRET},
        {"client_secret": SECRET},
        {"client_assertion": "x.y.z"},
        {"client_id": "bare"},
    ],
    ids=["both", "secret_too", "assertion_too", "another_client_id"],
)
async def test_as_04_two_methods_are_an_invalid_request(
    http: httpx.AsyncClient, form: dict[str, str]
) -> None:
    response = await ask(http, GRANT | form, **basic("warehouse", SECRET))

    assert_refused(response, 400, "invalid_request")


async def test_as_04_naming_the_same_client_in_the_form_is_no_second_method(
    http: httpx.AsyncClient,
) -> None:
    form = GRANT | {"client_id": "warehouse", "client_secret": ""}

    assert (await ask(http, form, **basic("warehouse", SECRET))).status_code == 200


async def test_as_04_two_authorization_headers_are_an_invalid_request(
    http: httpx.AsyncClient,
) -> None:
    header = basic("warehouse", SECRET)["authorization"]

    response = await http.post("/oauth2/token", data=GRANT, headers=[("Authorization", header)] * 2)

    assert_refused(response, 400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=client_credentials&grant_type=client_credentials",
        b"grant_type=client_credentials&scope=orders:read&scope=orders:read",
        b"grant_type=client_credentials&unknown=1&unknown=2",
        b"grant_type=client_credentials&scope=&scope=",
        b"grant_type=client_credentials&client_id=warehouse&client_id=warehouse",
        b"grant_type=client_credentials&" + b"&".join(b"p%d=1" % n for n in range(40)),
        b"grant_type=client_credentials&scope=%ff",
        b"grant_type=client_credentials&scope=\xff",
        b"",
        b"scope=orders:read",
        b"grant_type=",
        b'{"grant_type": "client_credentials"}',
    ],
    ids=lambda body: body[-40:].decode("latin-1"),
)
async def test_as_04_repeated_broken_and_missing_parameters_are_an_invalid_request(
    http: httpx.AsyncClient, body: bytes
) -> None:
    headers = basic("warehouse", SECRET) | {"content-type": FORM}

    response = await http.post("/oauth2/token", content=body, headers=headers)

    assert_refused(response, 400, "invalid_request")


@pytest.mark.parametrize(
    "media_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", "", ";"]
)
async def test_as_04_only_a_form_is_read(http: httpx.AsyncClient, media_type: str) -> None:
    headers = basic("warehouse", SECRET) | {"content-type": media_type}

    response = await http.post(
        "/oauth2/token", content=b"grant_type=client_credentials", headers=headers
    )

    assert_refused(response, 400, "invalid_request")


async def test_as_04_the_media_type_may_have_parameters_and_any_case(
    http: httpx.AsyncClient,
) -> None:
    headers = basic("warehouse", SECRET) | {"content-type": f"{FORM.title()} ;charset=UTF-8"}

    response = await http.post(
        "/oauth2/token", content=b"grant_type=client_credentials", headers=headers
    )

    assert response.status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
async def test_as_04_only_post_is_answered(http: httpx.AsyncClient, method: str) -> None:
    response = await http.request(method, "/oauth2/token", headers=basic("warehouse", SECRET))

    assert response.status_code == 405
    assert response.headers["allow"] == "POST, OPTIONS"
    assert response.headers["cache-control"] == "no-store"


async def test_as_04_parameters_in_the_address_are_refused(http: httpx.AsyncClient) -> None:
    response = await http.post(
        "/oauth2/token?client_id=warehouse", data=GRANT | {"client_secret": SECRET}
    )

    assert_refused(response, 400, "invalid_request")


@pytest.mark.parametrize(
    "grant_type",
    [
        "password",
        "authorization_code",
        "refresh_token",
        "implicit",
        'a"b\\c\r\nd\u00fc',
        "x" * 4000,
    ],
    ids=lambda grant_type: grant_type[:12],
)
async def test_as_01_no_other_grant_is_offered(http: httpx.AsyncClient, grant_type: str) -> None:
    form = {"grant_type": grant_type, "username": "ann", "password": "x"}

    response = await ask(http, form, **basic("warehouse", SECRET))

    assert_refused(response, 400, "unsupported_grant_type")
    assert len(response.content) < 400


async def test_as_07_a_resource_other_than_the_gateway_is_an_invalid_target(
    http: httpx.AsyncClient,
) -> None:
    header = basic("warehouse", SECRET)

    same = await ask(http, GRANT | {"resource": [ISSUER, ISSUER]}, **header)
    other = await ask(http, GRANT | {"resource": [ISSUER, "https://elsewhere.example"]}, **header)

    assert same.status_code == 200
    assert_refused(other, 400, "invalid_target")


async def test_a_body_beyond_the_limit_is_413(http: httpx.AsyncClient) -> None:
    form = GRANT | {"padding": "x" * MAX_BODY_BYTES}

    assert_refused(await ask(http, form, **basic("warehouse", SECRET)), 413, "invalid_request")


async def drive(app: Starlette, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send `messages` and then nothing, and return what the application answers."""
    sent: list[dict[str, Any]] = []
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop(0)
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/oauth2/token",
        "query_string": b"",
        "headers": [(b"content-type", FORM.encode())],
        "client": ("192.0.2.1", 1),
        "server": ("gateway.example", 443),
        "scheme": "https",
    }
    async with asyncio.timeout(5):
        await app(scope, receive, send)  # type: ignore[arg-type]
    return sent


async def test_a_body_that_does_not_arrive_is_408(app: Starlette) -> None:
    start, body = await drive(
        app, [{"type": "http.request", "body": b"grant_type=", "more_body": True}]
    )

    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert json.loads(body["body"])["error"] == "invalid_request"


async def test_a_body_without_end_is_cut_off_at_the_limit(app: Starlette) -> None:
    chunk = {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    start, _ = await drive(app, [chunk] * 100)

    assert start["status"] == 413


async def test_nothing_is_answered_to_a_client_that_is_gone(app: Starlette) -> None:
    assert await drive(app, [{"type": "http.disconnect"}]) == []


async def test_as_12_an_address_that_keeps_failing_has_to_wait(
    issuer: TokenIssuer, keys: KeyRing, clock: Clock
) -> None:
    app = application(issuer, keys, clock, per_address="3/minute")
    async with client_at(app) as http, client_at(app, "192.0.2.2") as other:
        for _ in range(3):
            assert (await ask(http, **basic("nobody", SECRET))).status_code == 401

        blocked = await ask(http, **basic("warehouse", SECRET))

        assert_refused(blocked, 429, "temporarily_unavailable")
        assert blocked.headers["retry-after"] == "60"
        assert (await ask(other, **basic("warehouse", SECRET))).status_code == 200
        clock.advance(61)
        assert (await ask(http, **basic("warehouse", SECRET))).status_code == 200


async def test_as_12_a_client_is_guarded_against_guesses_from_many_addresses(
    issuer: TokenIssuer, keys: KeyRing, clock: Clock
) -> None:
    app = application(issuer, keys, clock, per_client="3/minute")
    async with client_at(app, "203.0.113.7") as owner:
        assert (await ask(owner, **basic("warehouse", SECRET))).status_code == 200
        for number in range(3):
            async with client_at(app, f"198.51.100.{number}") as http:
                guess = await ask(http, **basic("warehouse", f"guess-number-{number:05}"))
                assert guess.status_code == 401
        async with client_at(app, "198.51.100.99") as http:
            right_too_late = await ask(http, **basic("warehouse", SECRET))

        assert_refused(right_too_late, 429, "temporarily_unavailable")
        assert (await ask(owner, **basic("warehouse", SECRET))).status_code == 200


async def test_as_12_a_client_that_does_not_exist_is_guarded_alike(
    issuer: TokenIssuer, keys: KeyRing, clock: Clock
) -> None:
    """Otherwise the 429 would tell which clients exist."""
    app = application(issuer, keys, clock, per_client="3/minute")
    for number in range(3):
        async with client_at(app, f"198.51.100.{number}") as http:
            await ask(http, **basic("nobody", SECRET))
    async with client_at(app, "198.51.100.99") as http:
        assert (await ask(http, **basic("nobody", SECRET))).status_code == 429


async def test_as_12_requests_that_wait_for_their_body_cannot_pass_the_limit_together(
    issuer: TokenIssuer, keys: KeyRing, clock: Clock
) -> None:
    app = application(issuer, keys, clock, per_address="3/minute")
    start_all = asyncio.Event()

    async def slow_body() -> AsyncIterator[bytes]:
        await start_all.wait()
        yield b"grant_type=client_credentials"

    async def guess(http: httpx.AsyncClient) -> int:
        headers = basic("warehouse", "wrong-secret-of-some-length") | {"content-type": FORM}
        response = await http.post("/oauth2/token", content=slow_body(), headers=headers)
        return response.status_code

    async with client_at(app) as http:
        guesses = [asyncio.create_task(guess(http)) for _ in range(20)]
        await asyncio.sleep(0.05)
        start_all.set()
        statuses = await asyncio.gather(*guesses)

    assert statuses.count(401) == 3
    assert statuses.count(429) == 17


async def test_failed_requests_without_credentials_count_too(
    issuer: TokenIssuer, keys: KeyRing, clock: Clock
) -> None:
    app = application(issuer, keys, clock, per_address="3/minute")
    async with client_at(app) as http:
        statuses = [(await ask(http)).status_code for _ in range(4)]

    assert statuses == [401, 401, 401, 429]


async def test_no_secret_and_no_token_is_logged_at_any_level(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = await ask(http, **basic("warehouse", SECRET))
        await ask(http, GRANT | {"client_id": "warehouse", "client_secret": "a-wrong-secret"})

    assert response.json()["access_token"] not in caplog.text
    assert SECRET not in caplog.text
    assert "a-wrong-secret" not in caplog.text


async def test_jk_the_key_set_is_public_and_cacheable(
    http: httpx.AsyncClient, keys: KeyRing
) -> None:
    response = await http.get("/.well-known/jwks.json")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/jwk-set+json"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert response.json() == keys.public_document()
    assert all("d" not in key for key in response.json()["keys"])


async def test_as_11_metadata_says_what_there_is(http: httpx.AsyncClient) -> None:
    response = await http.get("/.well-known/oauth-authorization-server")

    assert response.status_code == 200
    assert response.json() == {
        "issuer": ISSUER,
        "token_endpoint": f"{ISSUER}/oauth2/token",
        "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "introspection_endpoint": f"{ISSUER}/oauth2/introspect",
        "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
        ],
        "scopes_supported": SCOPES,
    }


async def test_as_11_authlib_finds_nothing_wrong_with_the_metadata(http: httpx.AsyncClient) -> None:
    document = (await http.get("/.well-known/oauth-authorization-server")).json()

    metadata = AuthorizationServerMetadata(document)

    # Authlib takes an empty list for a missing one; RFC 8414 requires the member as such.
    for name in set(metadata.REGISTRY_KEYS) - {"response_types_supported"}:
        getattr(metadata, f"validate_{name}")()


async def test_as_11_every_address_in_the_metadata_answers(http: httpx.AsyncClient) -> None:
    document = (await http.get("/.well-known/oauth-authorization-server")).json()

    assert (await http.get(document["jwks_uri"])).status_code == 200
    response = await http.post(
        document["token_endpoint"], data=GRANT, headers=basic("warehouse", SECRET)
    )
    assert response.status_code == 200


async def test_as_11_metadata_of_an_issuer_with_a_path_is_at_the_inserted_path(
    keys: KeyRing, clock: Clock
) -> None:
    issuer = TokenIssuer(keys, issuer=f"{ISSUER}/tenant", audience=ISSUER, clock=clock)
    async with client_at(application(issuer, keys, clock)) as http:
        inserted = await http.get("/.well-known/oauth-authorization-server/tenant")
        appended = await http.get("/tenant/.well-known/oauth-authorization-server")

    assert inserted.json()["issuer"] == f"{ISSUER}/tenant"
    assert appended.status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/oauth2/token", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server"],
)
async def test_as_11_pages_of_any_origin_may_call(http: httpx.AsyncClient, path: str) -> None:
    method = "POST" if path == "/oauth2/token" else "GET"
    origin = {"origin": "https://page.example"}
    preflight = await http.options(
        path,
        headers=origin
        | {
            "access-control-request-method": method,
            "access-control-request-headers": "authorization",
        },
    )
    answer = await http.request(method, path, headers=origin)

    assert preflight.status_code == 200
    for response in (preflight, answer):
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers
