"""RS-01 to RS-10 and RFC 9728 as a client over HTTP sees them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config import External
from gateway.identity.tokens import AccessToken
from portico.contract import ContractError
from tests.gateway.identity.provider import Provider, providing
from tests.support.serving import (
    KIOSK,
    PUBLIC_URL,
    Served,
    in_process,
    network_config,
    serving,
)
from tests.support.upstreams import Upstream, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

BASE = "/experience/kiosk/v1"
CHOICE = f"{BASE}/choices/a"
METADATA = f"{PUBLIC_URL}/.well-known/oauth-protected-resource{BASE}"


def challenge(response: httpx.Response) -> str:
    found: str = response.headers["www-authenticate"]
    return found


def test_rs_01_without_credentials_the_challenge_says_where_to_get_some(gateway: Served) -> None:
    response = gateway.request("GET", CHOICE, token="")

    assert response.status_code == 401
    assert challenge(response) == f'Bearer realm="portico", resource_metadata="{METADATA}"'
    assert "error" not in challenge(response).replace("resource_metadata", "")


def test_rs_02_and_rs_03_name_their_error_and_the_metadata(gateway: Served) -> None:
    invalid = gateway.request("GET", CHOICE, token="a.b.c")
    lacking = gateway.request("GET", CHOICE, token=gateway.token("other"))

    assert invalid.status_code == 401
    assert 'error="invalid_token"' in challenge(invalid)
    assert lacking.status_code == 403
    assert 'error="insufficient_scope"' in challenge(lacking)
    assert 'scope="kiosk:use"' in challenge(lacking)
    for response in (invalid, lacking):
        assert challenge(response).endswith(f', resource_metadata="{METADATA}"')
        assert response.headers["content-type"] == "application/problem+json"


def test_rs_05_a_token_in_the_query_is_ignored_and_not_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with in_process(tmp_path, access_log="stdout") as served:
        token = served.token()
        response = served.request("GET", f"{CHOICE}?access_token={token}", token="")

    assert response.status_code == 401
    assert challenge(response) == f'Bearer realm="portico", resource_metadata="{METADATA}"'
    assert token not in response.text
    logged = "".join(capfd.readouterr())
    assert response.headers["x-request-id"] in logged
    assert token not in logged


def test_rs_06_the_scheme_is_read_in_any_case(gateway: Served) -> None:
    token = gateway.token()
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer  "):
        fields = {"Authorization": f"{scheme} {token}"}
        assert gateway.client.get(gateway.url + CHOICE, headers=fields).status_code == 200


def test_rs_09_answers_to_whoever_has_shown_credentials_are_not_for_others(
    gateway: Served,
) -> None:
    for token in (gateway.token(), gateway.token("other"), "a.b.c"):
        response = gateway.request("GET", CHOICE, token=token)
        assert "no-store" in response.headers["cache-control"]
    for method, path, status in (
        ("GET", f"{BASE}/nothing", 404),
        ("DELETE", CHOICE, 405),
        ("POST", f"{BASE}/notes", 400),
        ("HEAD", CHOICE, 200),
    ):
        response = gateway.request(method, path, token=gateway.token())
        assert response.status_code == status
        assert "no-store" in response.headers["cache-control"]


def test_rs_09_what_an_upstream_lets_everybody_keep_is_private_to_a_caller(
    upstream: Upstream, tmp_path: Path
) -> None:
    contract = stepping_up(tmp_path, {"maxAgeSeconds": 300})
    contract.write_text(contract.read_text().replace("/open", "/kept"))
    partner = External(contract=contract, base_path="/partner", urls=[upstream.url])
    with serving(network_config(tmp_path, external={"partner": partner})) as served:
        response = served.request("GET", "/partner/kept", token=signed_in(served, 10))

    assert response.headers["cache-control"] == "private, max-age=60"


def test_rs_10_a_token_in_a_form_is_not_read(gateway: Served) -> None:
    response = gateway.request(
        "POST", f"{BASE}/notes", token="", data={"access_token": gateway.token()}
    )

    assert response.status_code == 401
    assert challenge(response) == f'Bearer realm="portico", resource_metadata="{METADATA}"'


# RS-08: a newer or stronger sign-in.


def stepping_up(folder: Path, step_up: object) -> Path:
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Partner", "version": "1"},
        "paths": {
            "/open": {
                "get": {
                    "security": [{"oauth": ["pay"]}],
                    "x-step-up": step_up,
                    "responses": {
                        "200": {"description": "Fine.", "content": {"application/json": {}}}
                    },
                }
            }
        },
        "components": {
            "securitySchemes": {
                "oauth": {
                    "type": "oauth2",
                    "flows": {"clientCredentials": {"tokenUrl": "/t", "scopes": {"pay": ""}}},
                }
            }
        },
    }
    path = folder / "partner.json"
    path.write_text(json.dumps(document, indent=1))
    return path


def external(folder: Path, url: str, step_up: object) -> dict[str, External]:
    contract = stepping_up(folder, step_up)
    return {"partner": External(contract=contract, base_path="/partner", urls=[url])}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running() as upstream:
        yield upstream


def signed_in(served: Served, seconds_ago: int) -> str:
    return served.issuer.issue(
        AccessToken(
            subject="ada",
            client_id="shop",
            audiences=("portico",),
            scopes=("pay",),
            lifetime_seconds=300,
            authenticated_at=int(time.time()) - seconds_ago,
        )
    )


def test_rs_08_a_sign_in_that_is_too_old_has_to_be_repeated(
    upstream: Upstream, tmp_path: Path
) -> None:
    config = network_config(
        tmp_path, external=external(tmp_path, upstream.url, {"maxAgeSeconds": 300})
    )
    with serving(config) as served:
        recent = signed_in(served, 10)
        for _ in range(2):  # before and after it is remembered
            assert served.request("GET", "/partner/open", token=recent).status_code == 200
        for token in (signed_in(served, 400), served.token("pay")):
            for _ in range(2):
                response = served.request("GET", "/partner/open", token=token)
                assert response.status_code == 401
                assert 'error="insufficient_user_authentication"' in challenge(response)
                assert "max_age=300" in challenge(response)
                assert response.json()["type"].endswith("/insufficient-user-authentication")


def test_rs_08_a_sign_in_that_is_too_weak_has_to_be_stronger(
    upstream: Upstream, tmp_path: Path
) -> None:
    step_up = {"acrValues": ["mfa", "phr"], "maxAgeSeconds": 300}
    with providing() as provider:
        config = network_config(
            tmp_path,
            external=external(tmp_path, upstream.url, step_up),
            identity={"issuers": {"corp": {"issuer": provider.url, "audience": "api://portico"}}},
        )
        with serving(config) as served:
            strong = pay(provider, acr="phr", auth_time=int(time.time()))
            assert served.request("GET", "/partner/open", token=strong).status_code == 200
            for claims in (
                {"acr": "pwd", "auth_time": int(time.time())},
                {"auth_time": int(time.time())},
                {"acr": "mfa", "auth_time": 1},
                {"acr": "mfa"},
            ):
                response = served.request("GET", "/partner/open", token=pay(provider, **claims))
                assert response.status_code == 401
                assert 'acr_values="mfa phr", max_age=300' in challenge(response)


def pay(provider: Provider, **claims: Any) -> str:
    return provider.token(scope="pay", **claims)


@pytest.mark.parametrize(
    "step_up",
    [
        {},
        [],
        "mfa",
        {"acrValues": "mfa"},
        {"acrValues": [7]},
        {"acrValues": [""]},
        {"acrValues": ["two words"]},
        {"acrValues": ['a "quote"']},
        {"maxAgeSeconds": "300"},
        {"maxAgeSeconds": -1},
        {"maxAgeSeconds": True},
        {"maxAge": 300},
    ],
    ids=repr,
)
def test_rs_08_a_step_up_that_cannot_be_read_does_not_start(
    tmp_path: Path, step_up: object
) -> None:
    config = network_config(tmp_path, external=external(tmp_path, "http://127.0.0.1:9", step_up))

    with pytest.raises(ContractError) as raised, serving(config):
        pass

    (finding,) = raised.value.findings
    assert finding.rule == "malformed-step-up"
    line = (tmp_path / "partner.json").read_text().splitlines()[finding.position.line - 1]
    assert "x-step-up" in line


# RFC 9728: what an API says of itself.


def test_9728_each_api_describes_itself(gateway: Served) -> None:
    response = gateway.request("GET", f"/.well-known/oauth-protected-resource{BASE}", token="")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "resource": PUBLIC_URL + BASE,
        "resource_name": "Kiosk",
        "authorization_servers": [PUBLIC_URL],
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{PUBLIC_URL}/portal/",
        "dpop_signing_alg_values_supported": [
            "ES256",
            "ES384",
            "EdDSA",
            "Ed25519",
            "PS256",
            "RS256",
        ],
        "dpop_bound_access_tokens_required": False,
        "tls_client_certificate_bound_access_tokens": False,
        "scopes_supported": ["kiosk:one", "kiosk:two", "kiosk:use"],
    }


def test_9728_the_challenge_leads_to_the_metadata_of_the_same_resource(gateway: Served) -> None:
    refused = gateway.request("GET", CHOICE, token="")
    url = challenge(refused).partition('resource_metadata="')[2].partition('"')[0]

    document = gateway.request("GET", url.removeprefix(PUBLIC_URL), token="").json()

    # The resource is a prefix of what the client asked for (section 3.3), code point by code point.
    assert (PUBLIC_URL + CHOICE).startswith(document["resource"])


def test_9728_the_gateway_as_a_whole_has_all_scopes_and_issuers(tmp_path: Path) -> None:
    issuers = {"corp": {"issuer": "https://127.0.0.1:1", "audience": "api://portico"}}
    with in_process(tmp_path, identity={"issuers": issuers}) as served:
        document = served.request("GET", "/.well-known/oauth-protected-resource", token="").json()

    assert document["resource"] == PUBLIC_URL
    assert document["authorization_servers"] == [PUBLIC_URL, "https://127.0.0.1:1"]
    assert set(document["scopes_supported"]) >= {"kiosk:use", "basket:use"}


def test_9728_pages_of_any_origin_may_read_it(gateway: Served) -> None:
    response = gateway.request(
        "GET",
        f"/.well-known/oauth-protected-resource{BASE}",
        token="",
        headers={"Origin": "https://shop.example.com"},
    )

    assert response.headers["access-control-allow-origin"] == "*"


def test_9728_there_is_none_for_what_is_no_api(gateway: Served) -> None:
    for path in ("/experience/nothing/v1", "/system/shelf/v1", f"{BASE}/choices", "/"):
        url = f"/.well-known/oauth-protected-resource{path}"
        assert gateway.request("GET", url, token="").status_code == 404


@pytest.mark.parametrize("audience", [PUBLIC_URL + BASE, PUBLIC_URL, "portico"])
def test_9728_a_token_for_the_resource_is_accepted_there(gateway: Served, audience: str) -> None:
    assert gateway.request("GET", CHOICE, token=gateway.token(audience=audience)).status_code == 200


@pytest.mark.parametrize(
    "audience",
    [
        PUBLIC_URL + "/process/basket/v1",
        PUBLIC_URL + BASE + "/",
        PUBLIC_URL + BASE.upper(),
        PUBLIC_URL + "/",
        "process/basket.v1",
    ],
)
def test_9728_a_token_for_another_resource_is_not(gateway: Served, audience: str) -> None:
    response = gateway.request("GET", CHOICE, token=gateway.token(audience=audience))

    assert response.status_code == 401
    assert 'error="invalid_token"' in challenge(response)


def test_a_client_with_a_token_for_an_api_by_name_is_no_tier(gateway: Served) -> None:
    """It may call, if the name is what it has, and is believed no more than any client."""
    response = gateway.request(
        "GET",
        CHOICE,
        token=gateway.token(audience=KIOSK, client_id="tests"),
        headers={"X-Request-Id": "chosen"},
    )

    assert response.status_code == 200
    assert response.headers["x-request-id"] != "chosen"
