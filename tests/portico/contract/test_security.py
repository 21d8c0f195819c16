"""OA-13: security requirements: OR of ANDs, anonymous, scopes, and schemes not enforced here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from portico.contract import ANYONE, ContractError, Operation, Requirement, load_foreign
from portico.contract.security import Alternative, KeyNeed, needing
from tests.portico.contract.documents import OK, document

OAUTH2 = {
    "type": "oauth2",
    "flows": {
        "clientCredentials": {"tokenUrl": "/t", "scopes": {"read": "", "write": ""}},
        "authorizationCode": {"authorizationUrl": "/a", "tokenUrl": "/t", "scopes": {"admin": ""}},
    },
}
SCHEMES = {
    "oauth2": OAUTH2,
    "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://id.example.com"},
    "bearer": {"type": "http", "scheme": "Bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "query-key": {"type": "apiKey", "in": "query", "name": "key"},
    "cookie-key": {"type": "apiKey", "in": "cookie", "name": "key"},
    "in-authorization": {"type": "apiKey", "in": "header", "name": "Authorization"},
    "digest": {"type": "http", "scheme": "digest"},
    "tls": {"type": "mutualTLS"},
}
INSTEAD = needing({"instead"})
IN_HEADER = KeyNeed("header", "X-Key")


def secured(
    folder: Path, own: Any = None, whole: Any = None, unsecured: Requirement | None = INSTEAD
) -> Operation:
    node: dict[str, Any] = {"responses": OK}
    if own is not None:
        node["security"] = own
    more = {} if whole is None else {"security": whole}
    described = document(
        {"/things": {"get": node}}, components={"securitySchemes": SCHEMES}, **more
    )
    (folder / "openapi.json").write_text(json.dumps(described))
    loaded = load_foreign(folder / "openapi.json", name="x", base_path="/x", unsecured=unsecured)
    return next(iter(loaded.operations.values()))


@pytest.mark.parametrize(
    ("security", "scopes", "allowed"),
    [
        ([{"oauth2": ["read"]}], {"read"}, True),
        ([{"oauth2": ["read"]}], {"write"}, False),
        ([{"oauth2": ["read", "write"]}], {"read"}, False),
        ([{"oauth2": ["read", "write"]}], {"read", "write", "admin"}, True),
        ([{"oauth2": ["read"]}, {"oauth2": ["write"]}], {"write"}, True),
        ([{"oauth2": ["read"], "oidc": ["profile"]}], {"read"}, False),
        ([{"oauth2": ["read"], "oidc": ["profile"]}], {"read", "profile"}, True),
        ([{"bearer": []}], set(), True),
        ([{"oidc": ["profile"]}], {"profile"}, True),
    ],
)
def test_oa_13_a_list_is_or_and_an_object_is_and(
    tmp_path: Path, security: Any, scopes: set[str], allowed: bool
) -> None:
    requirement = secured(tmp_path, security).security

    assert requirement.allows(frozenset(scopes)) is allowed
    assert not requirement.anonymous


def test_oa_13_an_empty_alternative_means_that_anyone_may(tmp_path: Path) -> None:
    requirement = secured(tmp_path, [{"oauth2": ["read"]}, {}]).security

    assert requirement.anonymous
    assert requirement.allows(frozenset())
    assert requirement.scopes() == {"read"}


def test_oa_13_an_empty_list_removes_what_holds_for_all(tmp_path: Path) -> None:
    assert secured(tmp_path, [], [{"oauth2": ["read"]}]).security == ANYONE


def test_oa_13_what_holds_for_all_holds_where_nothing_else_is_said(tmp_path: Path) -> None:
    assert secured(tmp_path, None, [{"oauth2": ["read"]}]).security.scopes() == {"read"}
    assert secured(tmp_path, [{"oauth2": ["write"]}], [{"oauth2": ["read"]}]).security.scopes() == {
        "write"
    }


def test_oa_13_an_operation_without_security_gets_what_the_configuration_says(
    tmp_path: Path,
) -> None:
    assert secured(tmp_path).security == INSTEAD


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ([{"basic": []}], INSTEAD),
        ([{"basic": []}, {"digest": []}], INSTEAD),
        ([{"oauth2": ["read"]}, {"basic": []}], needing({"read"})),
        ([{"oauth2": ["read"], "basic": []}], needing({"read"})),
        ([{"basic": []}, {}], ANYONE),
        ([{"oauth2": ["read"]}], needing({"read"})),
        ([], ANYONE),
    ],
)
def test_oa_13_a_scheme_that_is_not_enforced_never_opens_an_operation(
    tmp_path: Path, security: Any, expected: Requirement
) -> None:
    assert secured(tmp_path, security).security == expected


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ([{"key": []}], Alternative(token=False, keys=(IN_HEADER,))),
        (
            [{"query-key": ["bulk"]}],
            Alternative(token=False, keys=(KeyNeed("query", "key", frozenset({"bulk"})),)),
        ),
        ([{"cookie-key": []}], Alternative(token=False, keys=(KeyNeed("cookie", "key"),))),
        ([{"tls": []}], Alternative(token=False, certificate=True)),
        (
            [{"oauth2": ["read"], "key": [], "tls": []}],
            Alternative(frozenset({"read"}), keys=(IN_HEADER,), certificate=True),
        ),
    ],
)
def test_oa_13_keys_and_certificates_are_asked_for(
    tmp_path: Path, security: Any, expected: Alternative
) -> None:
    requirement = secured(tmp_path, security, unsecured=None).security

    assert requirement == Requirement((expected,))
    # A token alone opens none of these.
    assert not requirement.allows(frozenset({"read", "write", "admin", "bulk"}))


def test_oa_13_a_token_is_enough_where_an_alternative_says_so(tmp_path: Path) -> None:
    requirement = secured(tmp_path, [{"key": []}, {"oauth2": ["read"]}], unsecured=None).security

    assert requirement.allows(frozenset({"read"}))
    assert not requirement.allows(frozenset())
    assert requirement.scopes() == {"read"}
    assert requirement.every_scope() == {"read"}


@pytest.mark.parametrize(
    ("security", "rule"),
    [
        ([{"basic": []}], "unsupported-security-scheme"),
        ([{"oauth2": ["read"]}, {"basic": []}], "unsupported-security-scheme"),
        ([{"digest": [], "oauth2": []}], "unsupported-security-scheme"),
        ([{"in-authorization": []}], "unsupported-security-scheme"),
        ([{"tls": ["read"]}], "scopes-of-a-certificate"),
    ],
)
def test_oa_13_no_scheme_is_without_effect(tmp_path: Path, security: Any, rule: str) -> None:
    with pytest.raises(ContractError, match=rule):
        secured(tmp_path, security, unsecured=None)


def test_oa_13_scopes_of_every_flow_are_declared(tmp_path: Path) -> None:
    assert secured(tmp_path, [{"oauth2": ["read", "admin"]}]).security.scopes() == {"read", "admin"}
    with pytest.raises(ContractError, match="unknown-scope"):
        secured(tmp_path, [{"oauth2": ["reed"]}])


def test_a_requirement_without_alternatives_lets_nobody_in() -> None:
    assert not Requirement(()).allows(frozenset({"read"}))
    assert Requirement(()).scopes() == frozenset()
