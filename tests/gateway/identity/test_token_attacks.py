"""Attacks that need more than one changed member, and tokens nobody thought of."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from portico.problems import Problem
from tests.gateway.identity.forging import ISSUER, Forger, bearer, encode

if TYPE_CHECKING:
    from gateway.identity.keys import KeyRing
    from gateway.identity.tokens import TokenIssuer
    from tests.gateway.identity.checking import Checker

API = "process/orders.v1"
MANY = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def assert_refused(verifier: Checker, token: str | bytes) -> None:
    with pytest.raises(Problem) as caught:
        verifier.verify(bearer(token), API, "192.0.2.1")
    assert caught.value.status == 401
    assert 'error="invalid_token"' in caught.value.headers[0][1]


def public_key_spellings(keys: KeyRing) -> list[bytes]:
    key = keys.snapshot.signing.public_key
    (jwk,) = keys.public_document()["keys"]
    return [
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        json.dumps(jwk).encode(),
        str(jwk["x"]).encode(),
    ]


def test_at_02_hs256_with_the_public_key_as_secret_is_refused(
    verifier: Checker, forger: Forger, keys: KeyRing
) -> None:
    header = {**forger.header, "alg": "HS256"}
    signing_input = ".".join(encode(json.dumps(part).encode()) for part in (header, forger.claims))
    for secret in public_key_spellings(keys):
        mac = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
        assert_refused(verifier, f"{signing_input}.{encode(mac)}")


def test_at_02_a_mac_under_an_honest_looking_header_is_refused(
    verifier: Checker, forger: Forger, keys: KeyRing
) -> None:
    signing_input = forger.token().rpartition(".")[0]
    for secret in public_key_spellings(keys):
        mac = hmac.new(secret, signing_input.encode(), hashlib.sha512).digest()
        assert_refused(verifier, f"{signing_input}.{encode(mac)}")


@pytest.mark.parametrize(
    "signature",
    [b"", b"\x00", b"\x00" * 64, b"\xff" * 64, b"\x00" * 63 + b"\x01", b"\x01" * 63, b"\x00" * 65],
    ids=["none", "one", "zeros", "ones", "r_zero", "short", "long"],
)
def test_at_02_signatures_that_are_no_signature_are_refused(
    verifier: Checker, forger: Forger, signature: bytes
) -> None:
    signing_input = forger.token().rpartition(".")[0]

    assert_refused(verifier, f"{signing_input}.{encode(signature)}")


def test_at_03_keys_of_another_curve_or_type_are_refused(verifier: Checker, forger: Forger) -> None:
    for algorithm, key in (
        ("ES384", ECKey.generate_key("P-384")),
        ("ES512", ECKey.generate_key("P-521")),
        ("RS256", RSAKey.generate_key(2048)),
        ("HS256", OctKey.generate_key(256)),
    ):
        header = {**forger.header, "alg": algorithm}
        token = jwt.encode(header, forger.claims, key, algorithms=[algorithm])
        assert_refused(verifier, token)
        # The same signature, claimed to be of the kind that is expected.
        honest = encode(json.dumps(forger.header).encode())
        assert_refused(verifier, f"{honest}.{token.partition('.')[2]}")


def test_at_09_an_encrypted_token_is_refused_whatever_is_inside(
    verifier: Checker, forger: Forger, keys: KeyRing
) -> None:
    public = keys.snapshot.signing.as_dict(private=False)
    recipient = ECKey.import_key({name: public[name] for name in ("kty", "crv", "x", "y")})
    parts = ({"alg": "none", "typ": "at+jwt"}, forger.claims)
    unsigned = ".".join(encode(json.dumps(part).encode()) for part in parts) + "."
    for inner in (unsigned, forger.token()):
        header = {"alg": "ECDH-ES", "enc": "A128CBC-HS256", "cty": "JWT", "typ": "at+jwt"}
        token = jwe.encrypt_compact(header, inner, recipient)
        assert_refused(verifier, token)
        assert_refused(verifier, ".".join(token.split(".")[:3]))


def test_an_id_token_of_the_same_issuer_is_not_an_access_token(
    verifier: Checker, forger: Forger
) -> None:
    assert_refused(verifier, forger.token({"typ": "JWT"}, {"nonce": "n", "azp": "shop"}))


def test_parts_of_two_tokens_do_not_make_one(verifier: Checker, issuer: TokenIssuer) -> None:
    small = issuer.mint("ann", "shop", ISSUER, {"orders:read"}, 60).split(".")
    large = issuer.mint("root", "admin", ISSUER, {"orders:write"}, 60).split(".")

    assert_refused(verifier, ".".join((small[0], large[1], small[2])))
    assert_refused(verifier, ".".join((large[1], large[0], large[2])))


@MANY
@given(data=st.data())
def test_no_single_changed_byte_goes_unnoticed(
    verifier: Checker, issuer: TokenIssuer, data: st.DataObject
) -> None:
    token = issuer.mint("ann", "shop", ISSUER, {"orders:read"}, 60).encode()
    verifier.verify(bearer(token), API)
    position = data.draw(st.integers(0, len(token) - 1))
    byte = data.draw(st.integers(1, 255).filter(lambda value: value != token[position]))
    changed = token[:position] + bytes([byte]) + token[position + 1 :]

    assert_refused(verifier, changed)


@MANY
@given(values=st.lists(st.one_of(st.binary(max_size=200), st.just(b"Bearer ")), max_size=3))
def test_any_header_bytes_end_in_a_400_or_401_and_never_in_an_error(
    verifier: Checker, values: list[bytes]
) -> None:
    for authorization in (values, [b"Bearer " + b".".join(values)]):
        with pytest.raises(Problem) as caught:
            verifier.verify(authorization, API, "192.0.2.1")
        assert caught.value.status in {400, 401}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["iss", "aud", "sub", "client_id", "exp", "iat", "nbf", "jti", "scope", "act", "typ", "kid"]
)


@MANY
@given(header=st.dictionaries(NAMES, JSON), claims=st.dictionaries(NAMES, JSON))
def test_any_signed_members_end_in_a_caller_or_a_401(
    verifier: Checker, forger: Forger, header: dict[str, object], claims: dict[str, object]
) -> None:
    authorization = bearer(forger.token(header, claims))
    try:
        caller = verifier.verify(authorization, API, "192.0.2.1")
    except Problem:
        assert_refused(verifier, authorization[0].removeprefix(b"Bearer "))
    else:
        assert caller.subject
        assert caller.audiences & {ISSUER, API}
