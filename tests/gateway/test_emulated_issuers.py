"""Independent peers: Okta and Entra as emulate has them, trusted by their addresses alone.

emulate's access tokens are opaque. Okta's are accepted by asking its introspection endpoint, which
discovery names; Entra has none, so what is shown of it is that its keys are found and that its ID
tokens, which are genuine JWTs for the same audience, are no access tokens.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.identity.compact import read_compact
from gateway.identity.issuers.fetching import Fetcher
from gateway.identity.issuers.remote_keys import RemoteKeys
from tests.support.emulate import emulating, missing
from tests.support.serving import in_process

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it is there")

CHOICE = "/experience/kiosk/v1/choices/a"
MIXED = "/experience/kiosk/v1/mixed"
TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
REDIRECT = "http://localhost:3000/callback"
CLIENT = ("partner", "partner-secret")
SEED: dict[str, Any] = {
    "microsoft": {
        "users": [{"email": "ada@example.com", "name": "Ada"}],
        "oauth_clients": [
            {
                "client_id": CLIENT[0],
                "client_secret": CLIENT[1],
                "name": "Partner",
                "redirect_uris": [REDIRECT],
            }
        ],
    },
    "okta": {
        "authorization_servers": [
            {"id": "default", "name": "default", "audiences": ["api://default"]}
        ],
        "oauth_clients": [
            {
                "client_id": CLIENT[0],
                "client_secret": CLIENT[1],
                "name": "Partner",
                "redirect_uris": [REDIRECT],
                "auth_server_id": "default",
            }
        ],
    },
}


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    seed = tmp_path_factory.mktemp("emulate") / "seed.json"
    seed.write_text(json.dumps(SEED))
    with emulating(["microsoft", "okta"], seed) as urls:
        yield dict(zip(("microsoft", "okta"), urls, strict=True))


def test_an_access_token_of_okta_is_accepted_by_discovery_and_introspection(
    peers: dict[str, str], tmp_path: Path
) -> None:
    issuer = f"{peers['okta']}/oauth2/default"
    (tmp_path / "secret").write_text(CLIENT[1])
    settings = {
        "issuer": issuer,
        "audience": "api://default",
        "legacy_typ": True,
        "introspection": {
            "client_id": CLIENT[0],
            "client_secret": f"file:{tmp_path / 'secret'}",
        },
    }
    granted = httpx.post(
        f"{issuer}/v1/token",
        data={"grant_type": "client_credentials", "scope": "kiosk:use"},
        auth=CLIENT,
    ).json()
    with in_process(tmp_path, identity={"issuers": {"okta": settings}}) as served:
        token = granted["access_token"]
        assert served.request("GET", CHOICE, token=token).status_code == 200
        found = served.request("GET", MIXED, token=token).json()
        assert found == {"client": f"okta:{CLIENT[0]}"}
        assert served.request("GET", CHOICE, token=f"{token}x").status_code == 401

    elsewhere = {**settings, "audience": "api://another"}
    with in_process(tmp_path, identity={"issuers": {"okta": elsewhere}}) as served:
        assert served.request("GET", CHOICE, token=token).status_code == 401


def id_token(peers: dict[str, str]) -> str:
    """Return an ID token of Entra, as an application gets it for a person who signs in."""
    base = peers["microsoft"]
    with httpx.Client() as browser:
        page = browser.get(
            f"{base}/oauth2/v2.0/authorize",
            params={
                "client_id": CLIENT[0],
                "redirect_uri": REDIRECT,
                "response_type": "code",
                "scope": "openid profile",
                "nonce": "n-1",
            },
        )
        form = dict(re.findall(r'<input[^>]+name="([^"]+)"[^>]+value="([^"]*)"', page.text))
        action = re.search(r'<form[^>]+action="([^"]+)"', page.text)
        assert action is not None
        chosen = browser.post(f"{base}{action[1]}", data=form)
        code = parse_qs(urlsplit(chosen.headers["location"]).query)["code"][0]
        answer = browser.post(
            f"{base}/oauth2/v2.0/token",
            data={"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT},
            auth=CLIENT,
        )
    found: str = answer.json()["id_token"]
    return found


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


@pytest.mark.anyio
async def test_the_keys_of_entra_are_found_and_verify_what_it_signs(peers: dict[str, str]) -> None:
    fetcher = Fetcher()
    keys = RemoteKeys(f"{peers['microsoft']}/{TENANT}/v2.0", fetcher)
    token = read_compact(id_token(peers).encode())

    found = await keys.find(token.header["kid"])

    assert found is not None
    assert found.verifies("RS256", token.signing_input, token.signature)
    await keys.aclose()
    await fetcher.aclose()


def test_an_id_token_of_entra_is_no_access_token(peers: dict[str, str], tmp_path: Path) -> None:
    token = id_token(peers)
    assert claims_of(token)["aud"] == CLIENT[0]
    settings = {
        "issuer": f"{peers['microsoft']}/{TENANT}/v2.0",
        "audience": CLIENT[0],
        "legacy_typ": True,
        "scope_claims": ["scp", "roles"],
    }
    with in_process(tmp_path, identity={"issuers": {"entra": settings}}) as served:
        response = served.request("GET", CHOICE, token=token)

    assert response.status_code == 401
    assert response.json()["detail"] == "the token is not an access token"
