"""What an entry takes from a contract."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.portal import Operation, describe


def entry_of(**members: Any) -> Any:
    document = {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, **members}
    return describe("process/things.v1", document, base_path="/process/things/v1")


def operation_of(operation: dict[str, Any], **members: Any) -> Operation:
    entry = entry_of(paths={"/things": {"get": operation}}, **members)
    found: Operation = entry.operations[0]
    return found


def test_an_entry_knows_its_name_its_place_and_its_contract() -> None:
    entry = entry_of(**{"x-lifecycle": "experimental"})

    assert (entry.tier, entry.api, entry.title) == ("process", "things.v1", "T")
    assert (entry.version, entry.lifecycle, entry.openapi) == ("1", "experimental", "3.1")


def test_the_summary_falls_back_to_the_first_paragraph_of_the_description() -> None:
    info = {"title": "T", "version": "1", "description": "First\nlines.\n\nSecond."}

    assert entry_of(info=info).summary == "First lines."


def test_operations_are_listed_in_the_order_of_the_contract() -> None:
    paths = {
        "/b": {"post": {"operationId": "b"}, "get": {"operationId": "a"}, "parameters": []},
        "x-notes": {"get": {"operationId": "not-a-path"}},
        "/a": {"delete": {"operationId": "c", "deprecated": True, "tags": ["T", "U"]}},
    }

    operations = entry_of(paths=paths).operations

    assert [(found.method, found.path, found.operation_id) for found in operations] == [
        ("GET", "/b", "a"),
        ("POST", "/b", "b"),
        ("DELETE", "/a", "c"),
    ]
    assert operations[2].deprecated
    assert operations[2].tag == "T"


def test_scopes_of_all_alternatives_are_listed_once() -> None:
    operation = operation_of({"security": [{"a": ["r", "w"]}, {"b": ["w"], "c": []}]})

    assert operation.scopes == ("r", "w")
    assert not operation.anonymous


def test_an_operation_inherits_the_security_of_the_document_unless_it_has_its_own() -> None:
    assert operation_of({}, security=[{"a": ["r"]}]).scopes == ("r",)
    assert operation_of({"security": []}, security=[{"a": ["r"]}]).anonymous


@pytest.mark.parametrize("security", [[], [{}], [{"a": ["r"]}, {}]])
def test_an_operation_is_anonymous_where_a_requirement_asks_for_nothing(security: Any) -> None:
    assert operation_of({"security": security}).anonymous


def test_scopes_come_with_what_the_contract_says_about_them() -> None:
    flow = {"tokenUrl": "/t", "scopes": {"r": "Read.", "unused": "Nothing."}}
    entry = entry_of(
        paths={"/a": {"get": {"security": [{"o": ["r", "undescribed"]}]}}},
        components={"securitySchemes": {"o": {"flows": {"clientCredentials": flow}}}},
    )

    assert entry.scopes == {"r": "Read.", "undescribed": ""}
    assert entry.token_urls == {"o": {"clientCredentials": "/t"}}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"info": None, "paths": None, "components": None, "security": None},
        {"info": [], "paths": {"/a": None}, "components": {"securitySchemes": 3}},
        {
            "info": {"title": 1, "summary": 2, "description": 3},
            "paths": {"/a": {"get": {"security": [1, {"a": 2}], "tags": 3}}},
            "components": {"securitySchemes": {"a": {"flows": {"f": {"scopes": 1}}}}},
        },
    ],
)
def test_a_document_with_parts_missing_or_of_the_wrong_kind_is_described(document: Any) -> None:
    entry = describe("partner/odd.v1", document, base_path="/odd")

    assert entry.title == "partner/odd.v1"
    assert entry.description == ""
    assert entry.scopes == {}
