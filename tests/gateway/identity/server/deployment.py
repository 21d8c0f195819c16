"""An authorization server over a real Redis, its clients, and a person with a browser."""

from __future__ import annotations

import html
import re
import secrets
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import httpx
from argon2 import PasswordHasher
from joserfc.jwk import ECKey
from starlette.applications import Starlette

from gateway.identity.brute_force import BruteForceGuard
from gateway.identity.certificate import ClientCertificates
from gateway.identity.clients import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    PRIVATE_KEY_JWT,
    PUBLIC,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
    ClientRecord,
    ClientRegistry,
    hash_secret,
)
from gateway.identity.keys import KeyRing
from gateway.identity.server.client_authentication import PEER
from gateway.identity.server.client_metadata import RegistrationPolicy
from gateway.identity.server.routes import ServerParts, routes
from gateway.identity.server.state import ServerState
from gateway.identity.server.users import UserRecord, Users
from gateway.identity.tokens import TokenIssuer
from gateway.upstream.origin import TrustedProxies
from portico.limits.engine import LimitEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portico.redis.client import RedisClient

ISSUER = "https://gateway.example"
SECRET = "correct-horse-battery-staple"
INITIAL_TOKEN = "the-initial-token-of-the-configuration"
PASSWORD = "a good long password"
ORDERS = f"{ISSUER}/process/orders/v1"
STOCK = f"{ISSUER}/process/stock/v1"
TIER = "process/orders.v1"
PROXY = "10.0.0.1"
SCOPES = ["orders:read", "orders:write", "stock:read"]
CALLBACK = "https://shop.example/cb"
# The least that is accepted, so that tests do not wait for argon2.
_QUICK = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
PEOPLE = [
    UserRecord(
        username="ada", subject="u-1", name="Ada Lovelace", password_hash=_QUICK.hash(PASSWORD)
    ),
    UserRecord(
        username="bob",
        subject="u-2",
        name="Bob",
        password_hash=_QUICK.hash(PASSWORD),
        scopes=frozenset({"orders:read"}),
    ),
]
MACHINE_KEY = ECKey.generate_key("P-256", {"kid": "m1"})
_CODE = frozenset({AUTHORIZATION_CODE, REFRESH_TOKEN})


def client(client_id: str, **changes: Any) -> ClientRecord:
    """Return a confidential client of authorization codes, with changes."""
    members: dict[str, Any] = {
        "secret_hashes": (hash_secret(SECRET),),
        "scopes": frozenset({"orders:read", "orders:write"}),
        "grant_types": _CODE,
        "redirect_uris": (CALLBACK,),
    }
    return ClientRecord(client_id=client_id, **{**members, **changes})


def public(client_id: str, **changes: Any) -> ClientRecord:
    members = {"secret_hashes": (), "auth_methods": frozenset({PUBLIC})}
    return client(client_id, **{**members, **changes})


def without_secret(client_id: str, method: str, **changes: Any) -> ClientRecord:
    return client(
        client_id,
        secret_hashes=(),
        auth_methods=frozenset({method}),
        grant_types=frozenset({CLIENT_CREDENTIALS}),
        redirect_uris=(),
        **changes,
    )


CLIENTS = [
    client("shop", name="The <Shop>"),
    client("other-shop", redirect_uris=("https://other.example/cb",)),
    client("once", grant_types=frozenset({AUTHORIZATION_CODE})),
    client("two-ways", redirect_uris=(CALLBACK, "https://shop.example/cb2")),
    client("trusted", first_party=True),
    client("pushed", pushed_requests_only=True),
    public("spa", redirect_uris=("https://spa.example/cb",)),
    public("native", native=True, redirect_uris=("http://127.0.0.1/cb", "com.example.app:/cb")),
    client("service", grant_types=frozenset({CLIENT_CREDENTIALS}), redirect_uris=()),
    client(
        "broker",
        grant_types=frozenset({TOKEN_EXCHANGE, CLIENT_CREDENTIALS}),
        redirect_uris=(),
        audiences=frozenset({TIER}),
    ),
    client("resource", grant_types=frozenset({CLIENT_CREDENTIALS}), introspects=True),
    without_secret("machine", PRIVATE_KEY_JWT, jwks={"keys": [MACHINE_KEY.as_dict(private=False)]}),
    public("bound", dpop_bound=True, redirect_uris=(CALLBACK,)),
]


@dataclass
class Deployment:
    """A server and what tests may turn."""

    app: Starlette
    state: ServerState
    keys: KeyRing
    issuer: TokenIssuer
    transports: dict[str, httpx.ASGITransport] = field(default_factory=dict)

    def http(self, address: str = "192.0.2.1", *, peer: str = "") -> httpx.AsyncClient:
        """Return a client at an address; `peer` is who the connection is from."""
        app = self.app

        async def through(scope: Any, receive: Any, send: Any) -> None:
            scope[PEER] = peer or address
            await app(scope, receive, send)

        transport = httpx.ASGITransport(through, client=(address, 50_000))
        return httpx.AsyncClient(transport=transport, base_url=ISSUER)


def deploy(
    redis: RedisClient,
    keys: KeyRing,
    clock: Callable[[], float],
    *,
    grace_seconds: float = 10.0,
    guard: Mapping[str, str] | None = None,
    **parts: Any,
) -> Deployment:
    issuer = TokenIssuer(keys, issuer=ISSUER, audience="portico", clock=clock)
    state = ServerState.over(redis, b"a secret of the tests", clock, grace_seconds=grace_seconds)
    generous = {"per_address": "100000/minute", "per_client": "100000/minute"}
    members: dict[str, Any] = {
        "issuer": issuer,
        "keys": keys,
        "clients": ClientRegistry(CLIENTS, state.registered),
        "scopes": SCOPES,
        "state": state,
        "limits": LimitEngine(redis),
        "users": Users(PEOPLE),
        "registration": RegistrationPolicy(
            initial_hash=sha256(INITIAL_TOKEN.encode()).hexdigest(),
            scopes=frozenset({"orders:read", "stock:read"}),
            grant_types=frozenset({AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS}),
            plan="partners",
        ),
        "certificates": ClientCertificates("client-cert", TrustedProxies([PROXY])),
        "guard": BruteForceGuard(clock=clock, **(guard or generous)),
        "scope_texts": {"orders:read": "See your orders"},
        "resources": [ISSUER, ORDERS, STOCK],
        "names": [TIER, "process/stock.v1"],
        "clock": clock,
    }
    app = Starlette(routes=routes(ServerParts(**{**members, **parts})))
    return Deployment(app, state, keys, issuer)


@dataclass
class Pair:
    """A PKCE verifier and its challenge."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        digest = sha256(self.verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


def question(client_id: str, pair: Pair, **changes: Any) -> dict[str, Any]:
    """Return the parameters of an authorization request; None leaves one out."""
    uris = {record.client_id: record.redirect_uris for record in CLIENTS}
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": next(iter(uris.get(client_id, ())), CALLBACK),
        "scope": "orders:read",
        "state": "the-state",
        "code_challenge": pair.challenge,
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def answer_of(response: httpx.Response) -> dict[str, str]:
    """Return what the client gets by redirect."""
    assert response.status_code == 303, response.text
    query = parse_qs(urlsplit(response.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


def hidden(page: httpx.Response, name: str = "interaction") -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


def basic(client_id: str, secret: str = SECRET) -> dict[str, str]:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}


async def sign_in(
    browser: httpx.AsyncClient,
    parameters: Mapping[str, Any],
    username: str = "ada",
    password: str = PASSWORD,
) -> httpx.Response:
    """Go from the application's link to the page of consent."""
    page = await browser.get("/oauth2/authorize", params=dict(parameters))
    assert page.status_code == 200, page.text
    form = {"interaction": hidden(page), "username": username, "password": password}
    answer = await browser.post("/oauth2/sign-in", data=form)
    if answer.status_code == 303 and answer.headers["location"].startswith(ISSUER):
        return await browser.get(answer.headers["location"])
    return answer


async def authorize(
    browser: httpx.AsyncClient, parameters: Mapping[str, Any], username: str = "ada"
) -> dict[str, str]:
    """Sign in, allow, and return what the client gets."""
    page = await sign_in(browser, parameters, username)
    form = {"interaction": hidden(page), "decision": "allow"}
    return answer_of(await browser.post("/oauth2/consent", data=form))


async def redeem(
    http: httpx.AsyncClient, client_id: str, code: str, pair: Pair, /, **changes: Any
) -> httpx.Response:
    """Ask for the tokens of a code, as a client of the tests does."""
    form: dict[str, Any] = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": pair.verifier,
        **changes,
    }
    return await ask(http, client_id, form)


async def refresh(
    http: httpx.AsyncClient, client_id: str, token: str, /, **changes: Any
) -> httpx.Response:
    return await ask(
        http, client_id, {"grant_type": "refresh_token", "refresh_token": token, **changes}
    )


async def ask(
    http: httpx.AsyncClient, client_id: str, form: Mapping[str, Any], path: str = "/oauth2/token"
) -> httpx.Response:
    """Post a form as a client: with its secret, or only its name where it is public."""
    record = next((record for record in CLIENTS if record.client_id == client_id), None)
    data = {name: value for name, value in form.items() if value is not None}
    if record is not None and PUBLIC in record.auth_methods:
        return await http.post(path, data={**data, "client_id": client_id})
    return await http.post(path, data=data, headers=basic(client_id))


def assert_refused(response: httpx.Response, status: int, error: str) -> None:
    """Assert the shape that RFC 6749 section 5.2 gives every error."""
    assert response.status_code == status, response.text
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["error"] == error
    assert set(body) == {"error", "error_description"}
    assert body["error_description"].isascii()
    assert body["error_description"].isprintable()
    assert not set(body["error_description"]) & set('"\\')
