from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.identity.errors import IssuerError
from gateway.identity.issuer import checked_issuer, metadata_path
from gateway.identity.tokens import TokenIssuer
from tests.gateway.identity.forging import ISSUER, NOW

if TYPE_CHECKING:
    from gateway.identity.keys import KeyRing


def decoded(keys: KeyRing, token: str) -> jwt.Token:
    key_set = KeySet.import_key_set(dict(keys.public_document()))  # type: ignore[arg-type]  # the document is JSON
    return jwt.decode(token, key_set, algorithms=["ES256"])


def test_a_token_has_the_header_and_claims_of_rfc_9068(issuer: TokenIssuer, keys: KeyRing) -> None:
    token = decoded(
        keys, issuer.mint("ann", "warehouse", ISSUER, {"orders:write", "orders:read"}, 600)
    )

    assert token.header == {"alg": "ES256", "typ": "at+jwt", "kid": keys.snapshot.signing.kid}
    jti = token.claims.pop("jti")
    assert len(jti) >= 20
    assert token.claims == {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": "ann",
        "client_id": "warehouse",
        "iat": int(NOW),
        "exp": int(NOW) + 600,
        "scope": "orders:read orders:write",
    }


def test_every_token_has_an_id_of_its_own(issuer: TokenIssuer, keys: KeyRing) -> None:
    tokens = [issuer.mint("ann", "warehouse", ISSUER, (), 60) for _ in range(50)]

    assert len({decoded(keys, token).claims["jti"] for token in tokens}) == 50


def test_a_token_without_scopes_has_no_scope_claim(issuer: TokenIssuer, keys: KeyRing) -> None:
    assert "scope" not in decoded(keys, issuer.mint("ann", "shop", ISSUER, (), 60)).claims


def test_the_actor_is_the_act_claim(issuer: TokenIssuer, keys: KeyRing) -> None:
    token = issuer.mint("ann", "shop", "process/orders.v1", (), 60, actor={"sub": "storefront"})

    assert decoded(keys, token).claims["act"] == {"sub": "storefront"}


@pytest.mark.parametrize("lifetime", [0, -1, 3601])
def test_a_token_for_the_gateway_lives_an_hour_at_most(issuer: TokenIssuer, lifetime: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 3600"):
        issuer.mint("ann", "shop", ISSUER, (), lifetime)


def test_a_token_for_a_tier_lives_five_minutes_at_most(issuer: TokenIssuer) -> None:
    issuer.mint("ann", "shop", "process/orders.v1", (), 300)

    with pytest.raises(ValueError, match="expected 1 to 300"):
        issuer.mint("ann", "shop", "process/orders.v1", (), 301)


def test_authlib_accepts_the_token_as_a_resource_server(keys: KeyRing) -> None:
    class Validator(JWTBearerTokenValidator):  # type: ignore[misc]  # Authlib ships no types
        def get_jwks(self) -> Any:
            return KeySet.import_key_set(dict(keys.public_document()))  # type: ignore[arg-type]

    token = TokenIssuer(keys, issuer=ISSUER, audience=ISSUER).mint(
        "ann", "shop", ISSUER, {"orders:read"}, 60
    )
    validator = Validator(issuer=ISSUER, resource_server=ISSUER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        claims = validator.authenticate_token(token)
        validator.validate_token(claims, ["orders:read"], None)

    assert claims["client_id"] == "shop"


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "gateway",
        "http://gateway.example",
        "ftp://gateway.example",
        "https://",
        "https://gateway.example/",
        "https://gateway.example?x=1",
        "https://gateway.example?",
        "https://gateway.example#x",
        "https://user@gateway.example",
    ],
)
def test_as_11_an_issuer_that_metadata_may_not_carry_is_refused(issuer: str) -> None:
    with pytest.raises(IssuerError) as caught:
        checked_issuer(issuer)
    assert "https://api.example.com" in caught.value.hint


@pytest.mark.parametrize(
    "issuer",
    ["https://gateway.example", "https://gateway.example:8443/a/b", "http://127.0.0.1:8080"],
)
def test_https_and_loopback_issuers_are_accepted(issuer: str) -> None:
    assert checked_issuer(issuer) == issuer


def test_as_11_the_metadata_path_is_inserted_before_the_issuers_path() -> None:
    prefix = "/.well-known/oauth-authorization-server"

    assert metadata_path("https://gateway.example") == prefix
    assert metadata_path("https://gateway.example/tenant/a") == f"{prefix}/tenant/a"
