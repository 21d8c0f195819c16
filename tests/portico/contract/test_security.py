"""OA-13: security requirements: OR of ANDs, anonymous, scopes, and schemes not enforced here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from portico.contract import ANYONE, ContractError, Operation, Requirement, load_foreign
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
    "tls": {"type": "mutualTLS"},
}
INSTEAD = Requirement((frozenset({"instead"}),))


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
        ([{"key": []}], INSTEAD),
        ([{"basic": []}, {"tls": []}], INSTEAD),
        ([{"oauth2": ["read"]}, {"key": []}], Requirement((frozenset({"read"}),))),
        ([{"oauth2": ["read"], "key": []}], Requirement((frozenset({"read"}),))),
        ([{"key": []}, {}], ANYONE),
        ([{"oauth2": ["read"]}], Requirement((frozenset({"read"}),))),
        ([], ANYONE),
    ],
)
def test_oa_13_a_scheme_that_is_not_enforced_never_opens_an_operation(
    tmp_path: Path, security: Any, expected: Requirement
) -> None:
    assert secured(tmp_path, security).security == expected


@pytest.mark.parametrize(
    "security", [[{"key": []}], [{"oauth2": ["read"]}, {"basic": []}], [{"tls": [], "oauth2": []}]]
)
def test_oa_13_no_scheme_is_without_effect(tmp_path: Path, security: Any) -> None:
    with pytest.raises(ContractError, match="unsupported-security-scheme"):
        secured(tmp_path, security, unsecured=None)


def test_oa_13_scopes_of_every_flow_are_declared(tmp_path: Path) -> None:
    assert secured(tmp_path, [{"oauth2": ["read", "admin"]}]).security.scopes() == {"read", "admin"}
    with pytest.raises(ContractError, match="unknown-scope"):
        secured(tmp_path, [{"oauth2": ["reed"]}])


def test_a_requirement_without_alternatives_lets_nobody_in() -> None:
    assert not Requirement(()).allows(frozenset({"read"}))
    assert Requirement(()).scopes() == frozenset()
