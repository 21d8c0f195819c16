"""How clients prove themselves, AS-04 and AS-06: assertions, certificates, and names alone."""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from gateway.identity.clients import (
    CLIENT_CREDENTIALS,
    SELF_SIGNED_TLS,
    TLS_CLIENT_AUTH,
    ClientRegistry,
)
from gateway.identity.dpop import ALGORITHMS, Nonces, ProofChecker
from gateway.identity.keys import KeyRing
from gateway.identity.server.assertions import ASSERTION_TYPE, MAX_LIFETIME_SECONDS
from tests.gateway.identity.server.deployment import (
    ISSUER,
    MACHINE_KEY,
    PROXY,
    SECRET,
    Deployment,
    Pair,
    ask,
    assert_refused,
    authorize,
    basic,
    client,
    deploy,
    question,
    redeem,
    refresh,
    without_secret,
)

if TYPE_CHECKING:
    import httpx

    from portico.redis.client import RedisClient

pytestmark = pytest.mark.anyio
GRANT = {"grant_type": "client_credentials"}


def assertion(
    key: ECKey | OctKey = MACHINE_KEY, header: dict[str, Any] | None = None, **changes: Any
) -> str:
    """Return an assertion of the client `machine`; a claim of None is left out."""
    now = int(time.time())
    claims = {
        "iss": "machine",
        "sub": "machine",
        "aud": ISSUER,
        "jti": secrets.token_hex(8),
        "iat": now,
        "exp": now + 60,
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    fields = {"alg": "ES256", **(header or {})}
    return jwt.encode(fields, kept, key, algorithms=[fields["alg"]])


async def present(http: httpx.AsyncClient, value: str, **changes: Any) -> httpx.Response:
    form = {
        **GRANT,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": value,
        **changes,
    }
    return await http.post("/oauth2/token", data={k: v for k, v in form.items() if v is not None})


async def test_as_06_an_assertion_proves_the_client_once(http: httpx.AsyncClient) -> None:
    value = assertion()

    first, again = await present(http, value), await present(http, value)

    assert first.status_code == 200, first.text
    assert_refused(again, 401, "invalid_client")
    assert (await present(http, assertion(), client_id="machine")).status_code == 200
    assert (await present(http, assertion(aud=[ISSUER]))).status_code == 200


WRONG: dict[str, dict[str, Any]] = {
    "for the token endpoint": {"aud": f"{ISSUER}/oauth2/token"},
    "for two servers": {"aud": [ISSUER, "https://elsewhere.example"]},
    "for another server": {"aud": "https://elsewhere.example"},
    "for nobody": {"aud": None},
    "from another client": {"iss": "shop"},
    "about another client": {"sub": "shop"},
    "about nobody": {"sub": None},
    "about a number": {"sub": 7},
    "expired": {"exp": int(time.time()) - 60},
    "too long": {"exp": int(time.time()) + MAX_LIFETIME_SECONDS + 900},
    "without end": {"exp": None},
    "end that is true": {"exp": True},
    "end that is text": {"exp": "9999999999"},
    "end beyond numbers": {"exp": 10**400},
    "from the future": {"iat": int(time.time()) + 86_400},
    "not yet": {"nbf": int(time.time()) + 86_400},
    "without an id": {"jti": None},
    "with an empty id": {"jti": ""},
    "with a long id": {"jti": "x" * 300},
    "with an id that is a list": {"jti": ["x"]},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG.keys())
async def test_as_06_an_assertion_for_anything_else_is_refused(
    http: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    assert_refused(await present(http, assertion(**changes)), 401, "invalid_client")


async def test_as_06_an_assertion_that_another_key_signed_is_refused_and_uses_up_nothing(
    http: httpx.AsyncClient,
) -> None:
    public = MACHINE_KEY.as_dict(private=False)
    hmac_key = OctKey.import_key(str(public["x"]).encode())
    forged = [
        assertion(ECKey.generate_key("P-256"), jti="the-id"),
        assertion(hmac_key, {"alg": "HS256"}, jti="the-id"),
        assertion(header={"kid": "another"}),
        assertion(header={"typ": "at+jwt"}),
        "a.b.c",
        "..",
        "é",
        "x" * 10_000,
        assertion() + "=",
    ]
    for value in forged:
        assert_refused(await present(http, value), 401, "invalid_client")

    assert (await present(http, assertion(jti="the-id"))).status_code == 200


async def test_as_04_an_assertion_needs_its_type_and_its_client(http: httpx.AsyncClient) -> None:
    wrong = await present(http, assertion(), client_assertion_type="urn:x")
    another = await present(http, assertion(), client_id="shop")
    secret_too = await present(http, assertion(), client_secret=SECRET)
    as_secret = await http.post(
        "/oauth2/token", data={**GRANT, "client_id": "machine", "client_secret": SECRET}
    )

    assert_refused(wrong, 401, "invalid_client")
    assert_refused(another, 400, "invalid_request")
    assert_refused(secret_too, 400, "invalid_request")
    assert_refused(as_secret, 401, "invalid_client")


async def test_as_04_a_name_alone_proves_only_public_clients(http: httpx.AsyncClient) -> None:
    code = {"grant_type": "authorization_code", "code": "x"}
    for client_id in ("shop", "machine", "nobody"):
        response = await http.post("/oauth2/token", data={**code, "client_id": client_id})
        assert_refused(response, 401, "invalid_client")
    public = await http.post("/oauth2/token", data={**code, "client_id": "spa"})
    with_secret = await http.post(
        "/oauth2/token", data={**code, "client_id": "spa", "client_secret": SECRET}
    )

    assert_refused(public, 400, "invalid_grant")
    assert_refused(with_secret, 401, "invalid_client")
    assert_refused(
        await http.post("/oauth2/token", data={**GRANT, "client_id": "spa"}), 401, "invalid_client"
    )


def certificate(common_name: str) -> x509.Certificate:
    import datetime as dt

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def as_field(shown: x509.Certificate) -> str:
    return f":{b64encode(shown.public_bytes(serialization.Encoding.DER)).decode()}:"


def as_pem(shown: x509.Certificate) -> str:
    return quote(shown.public_bytes(serialization.Encoding.PEM).decode())


@pytest.fixture(scope="session")
def own_certificate() -> x509.Certificate:
    return certificate("warehouse.example")


@pytest.fixture
def with_tls(redis: RedisClient, ring: KeyRing, own_certificate: x509.Certificate) -> Deployment:
    der = own_certificate.public_bytes(serialization.Encoding.DER)
    key = own_certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    jwk = {**ECKey.import_key(key).as_dict(), "x5c": [b64encode(der).decode()]}
    clients = [
        without_secret("by-subject", TLS_CLIENT_AUTH, tls_subject="CN=warehouse.example"),
        without_secret("self-signed", SELF_SIGNED_TLS, jwks={"keys": [jwk]}),
        client("plain", grant_types=frozenset({CLIENT_CREDENTIALS}), redirect_uris=()),
    ]
    return deploy(redis, ring, time.time, clients=ClientRegistry(clients))


@pytest.mark.parametrize("client_id", ["by-subject", "self-signed"])
@pytest.mark.parametrize("spelled", [as_field, as_pem])
async def test_a_certificate_from_the_proxy_proves_the_client_and_binds_its_tokens(
    with_tls: Deployment, own_certificate: x509.Certificate, client_id: str, spelled: Any
) -> None:
    headers = {"client-cert": spelled(own_certificate)}
    async with with_tls.http(peer=PROXY) as http:
        response = await http.post(
            "/oauth2/token", data={**GRANT, "client_id": client_id}, headers=headers
        )

    assert response.status_code == 200, response.text
    keys = KeySet.import_key_set({"keys": with_tls.keys.public_document()["keys"]})
    claims = jwt.decode(response.json()["access_token"], keys, algorithms=["ES256"]).claims
    assert set(claims["cnf"]) == {"x5t#S256"}


@pytest.mark.parametrize("client_id", ["by-subject", "self-signed"])
async def test_a_certificate_field_from_anybody_else_is_a_forgery(
    with_tls: Deployment, own_certificate: x509.Certificate, client_id: str
) -> None:
    form, field = {**GRANT, "client_id": client_id}, as_field(own_certificate)
    async with with_tls.http() as stranger, with_tls.http(peer=PROXY) as proxy:
        forged = await stranger.post("/oauth2/token", data=form, headers={"client-cert": field})
        assert_refused(forged, 401, "invalid_client")
        twin = certificate("warehouse.example" if client_id == "self-signed" else "other.example")
        for value in (as_field(twin), "", "::", ":AAAA:", "x" * 20_000, "%zz", field[:-9]):
            answer = await proxy.post("/oauth2/token", data=form, headers={"client-cert": value})
            assert_refused(answer, 401, "invalid_client")
        twice = [("client-cert", field), ("client-cert", field)]
        answer = await proxy.post("/oauth2/token", data=form, headers=twice)
        assert_refused(answer, 401, "invalid_client")
        assert_refused(await proxy.post("/oauth2/token", data=form), 401, "invalid_client")


async def test_a_token_is_bound_to_the_key_of_a_dpop_proof(
    deployment: Deployment, browser: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    key, pair = ECKey.generate_key("P-256"), Pair()
    code = (await authorize(browser, question("bound", pair)))["code"]
    assert_refused(await redeem(http, "bound", code, pair), 400, "invalid_dpop_proof")

    http.headers["dpop"] = proof(key)
    answer = await redeem(http, "bound", code, pair)

    assert answer.json()["token_type"] == "DPoP"
    keys = KeySet.import_key_set({"keys": deployment.keys.public_document()["keys"]})
    claims = jwt.decode(answer.json()["access_token"], keys, algorithms=["ES256"]).claims
    assert claims["cnf"] == {"jkt": key.thumbprint()}
    token = answer.json()["refresh_token"]
    assert_refused(await refresh(http, "bound", token), 400, "invalid_dpop_proof")
    http.headers["dpop"] = proof(ECKey.generate_key("P-256"))
    assert_refused(await refresh(http, "bound", token), 400, "invalid_grant")
    http.headers["dpop"] = proof(key)
    assert (await refresh(http, "bound", token)).status_code == 200


async def test_dp_02_a_proof_without_the_nonce_that_is_asked_for_is_400(
    redis: RedisClient, ring: KeyRing
) -> None:
    proofs = ProofChecker(redis, nonces=Nonces(b"a secret of the tests"))
    deployment = deploy(redis, ring, time.time, proofs=proofs)
    key = ECKey.generate_key("P-256")
    async with deployment.http() as http:
        http.headers["dpop"] = proof(key)
        first = await ask(http, "service", GRANT)
        assert_refused(first, 400, "use_dpop_nonce")
        http.headers["dpop"] = proof(key, nonce=first.headers["dpop-nonce"])

        assert (await ask(http, "service", GRANT)).json()["token_type"] == "DPoP"
        used = await ask(http, "service", GRANT)
        assert_refused(used, 400, "invalid_dpop_proof")
        http.headers["dpop"] = "x.y.z"
        assert_refused(await ask(http, "service", GRANT), 400, "invalid_dpop_proof")


def proof(key: ECKey, **changes: Any) -> str:
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    claims = {
        "htm": "POST",
        "htu": f"{ISSUER}/oauth2/token",
        "iat": int(time.time()),
        "jti": secrets.token_hex(8),
        **changes,
    }
    return jwt.encode(header, claims, key, algorithms=[ALGORITHMS[0]])


@pytest.mark.parametrize("path", ["token", "introspect", "revoke", "par"])
async def test_as_12_guesses_at_secrets_are_limited_everywhere(
    redis: RedisClient, ring: KeyRing, path: str
) -> None:
    guard = {"per_address": "5/minute", "per_client": "100/minute"}
    deployment = deploy(redis, ring, time.time, guard=guard)
    async with deployment.http() as http:
        statuses = [
            (
                await http.post(f"/oauth2/{path}", data=GRANT, headers=basic("shop", f"g{n}" * 9))
            ).status_code
            for n in range(8)
        ]

        assert statuses == [401] * 5 + [429] * 3
        assert_refused(await ask(http, "shop", GRANT), 429, "temporarily_unavailable")
