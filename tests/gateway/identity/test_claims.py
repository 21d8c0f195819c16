"""Claims of issuers that do not follow RFC 9068, as far as one claim decides."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.identity.claims import TokenCaller, check_header, read_caller
from gateway.identity.compact import InvalidTokenError
from gateway.identity.token_policy import TokenPolicy, claim_path
from tests.gateway.identity.forging import ISSUER, NOW

POLICY = TokenPolicy(
    issuer=ISSUER,
    algorithms=frozenset({"RS256"}),
    audience="api://portico",
    stands_for="portico",
    profile=False,
    scope_claims=(("scp",), ("realm_access", "roles")),
    scope_names={"Orders.Read": ("orders:read",), "admin": ("orders:read", "orders:write")},
    prefix="corp:",
)
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "api://portico",
    "sub": "ada",
    "iat": int(NOW),
    "exp": int(NOW) + 300,
    "azp": "shop",
    "scp": "Orders.Read profile",
}


def read(policy: TokenPolicy = POLICY, /, **changes: Any) -> TokenCaller:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return read_caller(claims, policy=policy, now=NOW)


def test_what_an_issuer_calls_a_caller_gets_its_prefix() -> None:
    caller = read()

    assert (caller.subject, caller.client_id) == ("corp:ada", "corp:shop")
    assert caller.audiences == {"portico"}
    assert read(replace(POLICY, prefix="")).subject == "ada"


@pytest.mark.parametrize("name", ["client_id", "azp", "appid", "cid"])
def test_the_client_is_in_one_of_the_usual_claims(name: str) -> None:
    assert read(**{"azp": None, name: "shop"}).client_id == "corp:shop"


def test_without_a_client_there_is_no_caller() -> None:
    with pytest.raises(InvalidTokenError, match="client_id"):
        read(azp=None)


@pytest.mark.parametrize(
    ("claims", "token_id"), [({}, ""), ({"jti": "j"}, "j"), ({"uti": "u"}, "u")]
)
def test_the_id_of_a_token_may_be_missing(claims: dict[str, str], token_id: str) -> None:
    assert read(**claims).token_id == token_id


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scp": "Orders.Read profile"}, {"orders:read", "profile"}),
        ({"scp": ["admin", "Orders.Read"]}, {"orders:read", "orders:write"}),
        ({"scp": "", "realm_access": {"roles": ["admin"]}}, {"orders:read", "orders:write"}),
        ({"scp": None, "realm_access": {"roles": []}}, set()),
        ({"scp": "", "realm_access": "admin"}, set()),
        ({"scp": "", "realm_access": {"roles": {"admin": 1}}}, None),
        ({"scp": 7}, None),
        ({"scp": ["admin", 7]}, None),
        ({"scp": {"admin": True}}, None),
    ],
    ids=lambda value: None if isinstance(value, set) else repr(value),
)
def test_at_10_scopes_are_texts_or_lists_of_them(
    claims: dict[str, Any], scopes: set[str] | None
) -> None:
    if scopes is None:
        with pytest.raises(InvalidTokenError):
            read(**claims)
    else:
        assert read(**claims).scopes == scopes


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("scope", ("scope",)),
        ("https://example.com/roles", ("https://example.com/roles",)),
        ("/realm_access/roles", ("realm_access", "roles")),
        ("/resource_access/a~1b~0c/roles", ("resource_access", "a/b~c", "roles")),
    ],
)
def test_a_claim_is_named_or_pointed_at(text: str, path: tuple[str, ...]) -> None:
    assert claim_path(text) == path


@pytest.mark.parametrize(
    ("act", "actors"),
    [
        ({"sub": "shop"}, ()),
        ({"sub": "shop", "act": {"sub": "a", "act": {"sub": "b"}}}, ("a", "b")),
        ({"sub": "other"}, ("other",)),
        ({"iss": "x"}, ()),
        ({"sub": "shop", "act": "a"}, ()),
        ({"sub": "shop", "act": {"sub": 7}}, ()),
        ({"sub": "shop", "act": {"sub": "\ud800"}}, ()),
    ],
    ids=repr,
)
def test_who_acted_before_is_the_chain_of_act(act: Any, actors: tuple[str, ...]) -> None:
    assert read(act=act).actors == actors


def test_a_chain_of_actors_is_bounded() -> None:
    act: dict[str, Any] = {"sub": "last"}
    for number in range(200):
        act = {"sub": f"a-{number}", "act": act}

    assert len(read(act=act).actors) == 16


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["iss", "aud", "sub", "azp", "exp", "iat", "nbf", "jti", "scp", "act", "cnf", "realm_access"]
    + ["acr", "auth_time", "typ", "token_use", "nonce", "cid", "uti"]
)


@settings(max_examples=200, deadline=None)
@given(changes=st.dictionaries(NAMES, JSON))
@example(changes={"typ": []})
def test_any_claims_end_in_a_caller_or_are_refused(changes: dict[str, Any]) -> None:
    claims = json.loads(json.dumps({**CLAIMS, **changes}))
    try:
        caller = read_caller(claims, policy=POLICY, now=NOW)
    except InvalidTokenError:
        return
    assert caller.subject.startswith("corp:")
    assert caller.audiences == {"portico"}


@settings(max_examples=100, deadline=None)
@given(header=st.dictionaries(st.sampled_from(["typ", "alg", "crit", "b64", "kid"]), JSON))
def test_any_header_is_read_or_refused(header: dict[str, Any]) -> None:
    try:
        check_header(header, POLICY)
    except InvalidTokenError:
        return
    assert header["alg"] == "RS256"
