"""Tokens of other issuers at the gateway: found by discovery, read by their own claims."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt

from gateway.config import ConfigError
from tests.gateway.identity.forging import encode
from tests.gateway.identity.provider import CLIENT, Provider, new_key, providing
from tests.support.serving import BASKET, KIOSK, PUBLIC_URL, Served, eventually, in_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

CHOICE = "/experience/kiosk/v1/choices/a"
MIXED = "/experience/kiosk/v1/mixed"
AUDIENCE = "api://portico"
DOCUMENT = Path(__file__).parents[2] / "docs" / "identity-providers.md"
# What tests give a provider of their own, whatever the vendor's address and audience are.
OWN = ("issuer", "audience", "algorithms")


def documented(name: str, **changes: Any) -> dict[str, Any]:
    """Return the settings that the document shows for a vendor."""
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    for block in blocks:
        found |= yaml.safe_load(block)["identity"]["issuers"]
    settings = {key: value for key, value in found[name].items() if key not in OWN}
    return {**settings, **changes}


ENTRA = documented("entra", scope_names={"Kiosk.Use": ["kiosk:use"]})
KEYCLOAK = documented("keycloak")
OKTA = documented("okta")


@contextlib.contextmanager
def trusting(folder: Path, **settings: Any) -> Iterator[tuple[Served, Provider]]:
    """Run the network with one provider as a trusted issuer."""
    with providing() as provider:
        issuer = {"issuer": provider.url, "audience": AUDIENCE, **settings}
        with in_process(folder, identity={"issuers": {"corp": issuer}}) as served:
            yield served, provider


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Provider]]:
    with trusting(tmp_path_factory.mktemp("trusted")) as both:
        yield both


def ask(served: Served, token: str, path: str = CHOICE) -> httpx.Response:
    return served.request("GET", path, token=token)


def assert_invalid(response: httpx.Response) -> None:
    assert response.status_code == 401, response.text
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_token_of_a_trusted_issuer_is_accepted(trusted: tuple[Served, Provider]) -> None:
    served, provider = trusted

    assert ask(served, provider.token()).status_code == 200
    # And those of the built-in one as well.
    assert ask(served, served.token("kiosk:use")).status_code == 200


def test_callers_of_an_issuer_have_its_name_before_theirs(
    trusted: tuple[Served, Provider],
) -> None:
    served, provider = trusted

    assert ask(served, provider.token(client_id="tests"), MIXED).json() == {"client": "corp:tests"}


def test_rs_03_a_scope_that_the_issuer_did_not_give_is_missing(
    trusted: tuple[Served, Provider],
) -> None:
    served, provider = trusted

    response = ask(served, provider.token(scope="kiosk:one"))

    assert response.status_code == 403
    assert 'scope="kiosk:use"' in response.headers["www-authenticate"]


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "api://another"},
        {"aud": ["api://another"]},
        {"aud": "portico"},
        {"aud": [BASKET]},
        {"aud": None},
        {"iss": "URL/"},
        {"iss": "https://elsewhere.example"},
        {"iss": PUBLIC_URL},
        {"iss": None},
        {"iss": ["URL"]},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"exp": True},
        {"iat": 9_999_999_999},
        {"nbf": 9_999_999_999},
        {"sub": None},
        {"jti": None},
        {"client_id": None},
        {"scope": ["kiosk:use"]},
        {"cnf": {"jwk": {}}},
        {"cnf": "a key"},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": None}},
        {"header": {"kid": "unknown"}},
        {"header": {"kid": None}},
        {"header": {"x": 1, "crit": ["x"]}},
    ],
    ids=repr,
)
def test_rs_02_a_token_that_is_not_for_here_or_now_is_invalid(
    trusted: tuple[Served, Provider], changes: dict[str, Any]
) -> None:
    """RS-02, AT-07: for tokens of a trusted issuer as for our own."""
    served, provider = trusted
    given = dict(changes)
    if isinstance(given.get("iss"), str):
        given["iss"] = given["iss"].replace("URL", provider.url)

    assert_invalid(ask(served, provider.token(**given)))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "HS256", "ES384", "RS256"])
def test_at_02_another_algorithm_is_refused(
    trusted: tuple[Served, Provider], algorithm: str
) -> None:
    served, provider = trusted
    token = provider.token(header={"alg": algorithm})

    assert_invalid(ask(served, token))
    assert_invalid(ask(served, token.rpartition(".")[0] + "."))


def test_at_02_an_algorithm_that_was_not_chosen_for_the_issuer_is_refused(tmp_path: Path) -> None:
    with trusting(tmp_path, algorithms=["RS256"]) as (served, provider):
        rsa = new_key("RS256")
        provider.publish(provider.key, rsa)
        assert_invalid(ask(served, provider.token()))
        assert ask(served, provider.token(key=rsa)).status_code == 200


def test_at_02_hs256_with_the_public_rsa_key_as_secret_is_refused(tmp_path: Path) -> None:
    with trusting(tmp_path, algorithms=["RS256"]) as (served, provider):
        rsa = new_key("RS256")
        provider.publish(rsa)
        payload = provider.token().split(".")[1]
        spellings = [
            rsa.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            rsa.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            json.dumps(rsa.as_dict(private=False)).encode(),
        ]
        for secret in spellings:
            for algorithm in ("HS256", "RS256"):
                header = {"alg": algorithm, "typ": "at+jwt", "kid": rsa.kid}
                signing_input = f"{encode(json.dumps(header).encode())}.{payload}"
                mac = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
                assert_invalid(ask(served, f"{signing_input}.{encode(mac)}"))


def test_at_02_an_algorithm_that_does_not_count_makes_nobody_look_for_a_key(
    tmp_path: Path,
) -> None:
    with trusting(tmp_path) as (served, provider):
        assert ask(served, provider.token()).status_code == 200
        asked = len(provider.asked)
        for algorithm in ("none", "nOnE", "HS256", "RS256x", "dir"):
            header = {"alg": algorithm, "kid": f"unknown-{algorithm}"}
            assert_invalid(ask(served, provider.token(header=header)))
        assert len(provider.asked) == asked
        assert_invalid(ask(served, provider.token(header={"kid": "unknown"})))
        assert "/keys" in provider.asked[asked:]


@pytest.mark.parametrize("kind", ["ES384", "RS256", "Ed25519"])
def test_at_03_a_key_is_not_used_for_another_algorithm(tmp_path: Path, kind: str) -> None:
    """The issuer publishes a key of each kind; a token names one and is signed by the other."""
    with trusting(tmp_path) as (served, provider):
        other = new_key(kind)
        provider.publish(provider.key, other)
        assert_invalid(ask(served, provider.token(header={"kid": other.kid})))


def test_at_03_keys_of_one_issuer_do_not_sign_for_another(
    trusted: tuple[Served, Provider],
) -> None:
    served, provider = trusted
    # Signed by the provider, and said to be of the built-in issuer.
    assert_invalid(ask(served, provider.token(iss=PUBLIC_URL, aud="portico")))
    # Signed by the built-in issuer, and said to be of the provider.
    key = served.issuer._keys.snapshot.signing
    claims: dict[str, Any] = {
        "iss": provider.url,
        "aud": AUDIENCE,
        "sub": "a",
        "client_id": "a",
        "jti": "j",
    }
    claims |= {"iat": int(time.time()), "exp": int(time.time()) + 60, "scope": "kiosk:use"}
    header = {"alg": "ES256", "typ": "at+jwt", "kid": key.kid}
    assert_invalid(ask(served, jwt.encode(header, claims, key)))


def test_at_04_a_key_that_comes_with_the_token_is_not_used(
    trusted: tuple[Served, Provider],
) -> None:
    served, provider = trusted
    stranger = new_key()
    provider.answer("/theirs", {"keys": [stranger.as_dict(private=False)]})
    for members in (
        {"jwk": stranger.as_dict(private=False)},
        {"jku": f"{provider.url}/theirs"},
        {"x5u": f"{provider.url}/theirs"},
        {"x5c": ["MIIB"]},
    ):
        forged = provider.token(key=stranger, header={**members, "kid": provider.key.kid})
        assert_invalid(ask(served, forged))
        assert_invalid(ask(served, provider.token(key=stranger, header=members)))
    assert set(provider.asked) == {"/keys", "/.well-known/oauth-authorization-server"}


def test_an_issuer_cannot_make_a_token_of_a_tier(trusted: tuple[Served, Provider]) -> None:
    """Whatever it says, its tokens are for the gateway and its clients are clients."""
    served, provider = trusted
    for audience in (BASKET, [AUDIENCE, BASKET]):
        token = provider.token(
            aud=audience, client_id=KIOSK, act={"sub": KIOSK}, scope="basket:use"
        )
        response = served.request(
            "POST",
            "/process/basket/v1/relay",
            json={"operation": "echo", "arguments": {"name": "n"}},
            token=token,
            headers={"X-Request-Id": "chosen"},
        )
        assert response.headers["x-request-id"] != "chosen"
        assert response.status_code == (200 if AUDIENCE in audience else 401)


# Claims of issuers that do not follow RFC 9068.


def assert_scopes(folder: Path, settings: dict[str, Any], claims: dict[str, Any]) -> None:
    """Check that claims give the scope of an operation, and that without them it is missing."""
    absent = dict.fromkeys(("client_id", "jti", "scope"))
    with trusting(folder, **settings) as (served, provider):
        for typ in ("JWT", None):
            token = provider.token(header={"typ": typ}, **{**absent, **claims})
            assert ask(served, token).status_code == 200
        name = next(iter(settings["scope_claims"])).strip("/").partition("/")[0]
        empty = {**absent, **claims, name: ""}
        for other in ("scp", "roles", "realm_access", "resource_access"):
            if other != name:
                empty.pop(other, None)
        assert ask(served, provider.token(header={"typ": "JWT"}, **empty)).status_code == 403


def test_at_10_entra_scopes_of_a_user_are_in_scp(tmp_path: Path) -> None:
    claims = {"azp": "client", "uti": "u", "scp": "User.Read Kiosk.Use", "tid": "t", "ver": "2.0"}
    assert_scopes(tmp_path, ENTRA, claims)


def test_at_10_entra_permissions_of_an_application_are_roles(tmp_path: Path) -> None:
    claims: dict[str, Any] = {
        "azp": "client",
        "uti": "u",
        "roles": ["Kiosk.Use"],
        "idtyp": "app",
        "scp": None,
    }
    with trusting(tmp_path, **ENTRA) as (served, provider):
        absent = dict.fromkeys(("client_id", "jti", "scope"))
        token = provider.token(header={"typ": "JWT"}, **{**absent, **claims})
        assert ask(served, token).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"realm_access": {"roles": ["kiosk:use", "offline_access"]}},
        {"resource_access": {"portico": {"roles": ["kiosk:use"]}}},
        {"scope": "profile kiosk:use"},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_at_10_keycloak_roles_of_realm_and_client_are_scopes(
    tmp_path: Path, claims: dict[str, Any]
) -> None:
    with trusting(tmp_path, **KEYCLOAK) as (served, provider):
        base = {"client_id": None, "azp": "shop", "typ": "Bearer", "scope": "profile"}
        token = provider.token(header={"typ": "JWT"}, **{**base, **claims})
        assert ask(served, token).status_code == 200
        elsewhere: dict[str, Any] = {"resource_access": {"another": {"roles": ["kiosk:use"]}}}
        token = provider.token(header={"typ": "JWT"}, **{**base, **elsewhere})
        assert ask(served, token).status_code == 403


def test_at_10_okta_scopes_are_a_list(tmp_path: Path) -> None:
    assert_scopes(tmp_path, OKTA, {"cid": "client", "scp": ["kiosk:use"], "uid": "u", "ver": 1})


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "n"},
        {"at_hash": "h"},
        {"c_hash": "h"},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"token_use": "id"},
        {"scope": None},
    ],
    ids=repr,
)
def test_at_01_an_id_token_is_no_access_token_where_the_header_does_not_tell(
    tmp_path: Path, claims: dict[str, Any]
) -> None:
    with trusting(tmp_path, legacy_typ=True) as (served, provider):
        assert ask(served, provider.token(header={"typ": "JWT"})).status_code == 200
        assert_invalid(ask(served, provider.token(header={"typ": "JWT"}, **claims)))
        for typ in ("id+jwt", "dpop+jwt", "logout+jwt", 7):
            assert_invalid(ask(served, provider.token(header={"typ": typ})))


def test_at_07_the_clock_of_an_issuer_may_differ_as_much_as_configured(tmp_path: Path) -> None:
    with trusting(tmp_path, clock_skew_seconds=30.0) as (served, provider):
        now = int(time.time())
        assert ask(served, provider.token(exp=now - 20)).status_code == 200
        assert ask(served, provider.token(iat=now + 20)).status_code == 200
        assert_invalid(ask(served, provider.token(exp=now - 40)))


# An issuer that is away.


def test_jk_04_an_issuer_that_was_never_reached_is_a_503_and_no_401(tmp_path: Path) -> None:
    with providing() as provider:
        pass  # it has stopped by now
    issuer = {"issuer": provider.url, "audience": AUDIENCE}
    with in_process(tmp_path, identity={"issuers": {"corp": issuer}}) as served:
        response = ask(served, provider.token())
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        assert response.json()["type"].endswith("/identity-unavailable")
        assert ask(served, served.token("kiosk:use")).status_code == 200


def test_jk_05_a_key_that_is_withdrawn_ends_the_tokens_that_were_verified_with_it(
    tmp_path: Path,
) -> None:
    with trusting(tmp_path) as (served, provider):
        token = provider.token()
        assert ask(served, token).status_code == 200
        new = new_key()
        provider.publish(new)
        # A token of the new key makes the gateway look.
        assert ask(served, provider.token(key=new)).status_code == 200
        assert_invalid(ask(served, token))


# Opaque tokens.


def introspecting(folder: Path, **settings: Any) -> Any:
    secret = folder / "secret"
    secret.write_text(CLIENT[1])
    asked = {"client_id": CLIENT[0], "client_secret": f"file:{secret}"}
    return trusting(folder, introspection=asked, **settings)


def active(**members: Any) -> dict[str, Any]:
    return {
        "active": True,
        "aud": AUDIENCE,
        "sub": "ada",
        "client_id": "shop",
        "scope": "kiosk:use",
        **members,
    }


def test_7662_an_active_token_is_accepted_and_asked_about_once(tmp_path: Path) -> None:
    with introspecting(tmp_path) as (served, provider):
        provider.tokens["opaque"] = active()
        for _ in range(3):
            assert ask(served, "opaque", MIXED).json() == {"client": "corp:shop"}
        assert ask(served, "opaque").status_code == 200
        assert provider.count("/introspect") == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"active": False},
        {"active": "true"},
        {"active": 1},
        {},
        active(aud="api://another"),
        active(aud=None),
        active(iss="https://elsewhere.example"),
        active(exp=1),
        active(exp="soon"),
        active(nbf=9_999_999_999),
        active(cnf={"unknown": "binding"}),
        active(sub=None, client_id=None),
        active(scope=7),
    ],
    ids=repr,
)
def test_7662_what_the_answer_says_is_checked_as_a_jwt_would_be(
    tmp_path: Path, answer: dict[str, Any]
) -> None:
    with introspecting(tmp_path) as (served, provider):
        provider.tokens["opaque"] = answer
        assert_invalid(ask(served, "opaque"))
        assert_invalid(ask(served, "unknown"))


def test_7662_a_bound_opaque_token_does_not_come_alone(tmp_path: Path) -> None:
    with introspecting(tmp_path) as (served, provider):
        provider.tokens["opaque"] = active(cnf={"jkt": "a-thumbprint"})
        response = ask(served, "opaque")
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("DPoP ")


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500, "document": {}},
        {"status": 401, "document": {"error": "invalid_client"}},
        {"status": 200, "document": b"<html>"},
        {"status": 302, "document": b"", "headers": {"location": "/keys"}},
    ],
    ids=["error", "refused", "nonsense", "redirect"],
)
def test_7662_an_issuer_that_does_not_say_is_a_503(tmp_path: Path, answer: dict[str, Any]) -> None:
    with introspecting(tmp_path) as (served, provider):
        provider.answer("/introspect", **answer)
        response = ask(served, "opaque")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"


def test_7662_an_answer_counts_no_longer_than_its_token(tmp_path: Path) -> None:
    with introspecting(tmp_path, clock_skew_seconds=0.0) as (served, provider):
        provider.tokens["opaque"] = active(exp=int(time.time()) + 2)
        assert ask(served, "opaque").status_code == 200
        assert eventually(lambda: ask(served, "opaque").status_code == 401, 5.0)


# Configurations that do not start.


def test_the_built_in_issuer_is_not_configured_again(tmp_path: Path) -> None:
    issuer = {"issuer": PUBLIC_URL, "audience": AUDIENCE}
    with (
        pytest.raises(ConfigError, match="built-in"),
        in_process(tmp_path, identity={"issuers": {"corp": issuer}}),
    ):
        pass


def test_a_file_of_certificates_that_is_none_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    issuer = {"issuer": "https://id.example", "audience": AUDIENCE}
    for path in ("ca.pem", "absent.pem"):
        named = {**issuer, "ca_file": str(tmp_path / path)}
        with (
            pytest.raises(ConfigError, match="cannot be read"),
            in_process(tmp_path, identity={"issuers": {"corp": named}}),
        ):
            pass
