"""What customers may see of a contract, and that its renderings say the same."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from portico.contract.publish import dump_json, dump_yaml, publish

PUBLIC_URL = "https://api.example.com"
BASE_PATH = "/process/orders/v1"


def contract(**members: Any) -> dict[str, Any]:
    return {"openapi": "3.1.1", "info": {"title": "Orders", "version": "1.0.0"}, **members}


def published(document: dict[str, Any]) -> dict[str, Any]:
    return publish(document, public_url=PUBLIC_URL, base_path=BASE_PATH)


def schema_published(schema: dict[str, Any]) -> Any:
    document = contract(components={"schemas": {"Order": schema}})
    return published(document)["components"]["schemas"]["Order"]


@pytest.mark.parametrize(
    "name", ["x-owner", "x-lifecycle", "x-slo", "x-calls", "x-layer-waivers", "x-never-heard-of"]
)
def test_internal_members_of_the_document_are_removed(name: str) -> None:
    shown = published(contract(**{name: {"team": "fulfilment"}}))

    assert list(shown) == ["openapi", "info", "servers"]


def test_internal_members_are_removed_at_every_depth() -> None:
    operation = {
        "operationId": "listOrders",
        "x-internal": 1,
        "parameters": [{"name": "q", "in": "query", "x-internal": 1, "schema": {"x-internal": 1}}],
        "responses": {
            "x-internal": 1,
            "default": {"description": "bad", "x-internal": 1},
            "200": {
                "description": "ok",
                "x-internal": 1,
                "content": {
                    "application/json": {
                        "x-internal": 1,
                        "schema": {"items": {"allOf": [{"x-data-class": "pii"}]}},
                    }
                },
            },
        },
        "callbacks": {"x-paid": {"x-internal": 1, "{$url}": {"post": {"x-internal": 1}}}},
    }
    document = contract(
        tags=[{"name": "orders", "x-internal": 1}],
        paths={"x-internal": 1, "/orders": {"x-internal": 1, "get": operation}},
    )

    text = json.dumps(published(document))

    assert "x-internal" not in text
    assert "x-data-class" not in text
    assert "x-paid" in text


def test_deprecation_extensions_are_shown() -> None:
    shown = {"x-deprecated-at": "2026-01-01", "x-sunset-at": "2027-01-01", "x-successor": "/v2"}
    document = contract(paths={"/orders": {"get": {"deprecated": True, **shown, "x-slo": "99"}}})

    operation = published(document)["paths"]["/orders"]["get"]

    assert operation == {"deprecated": True, **shown}


@pytest.mark.parametrize("keyword", ["example", "default", "enum", "const", "examples"])
def test_values_of_the_author_are_kept_whole(keyword: str) -> None:
    value: Any = {"x-owner": {"x-deep": [{"x-deeper": 1}]}}
    schema = {keyword: [value] if keyword in {"enum", "examples"} else value, "x-owner": "gone"}

    assert schema_published(schema) == {keyword: schema[keyword]}


@pytest.mark.parametrize(
    "keyword", ["properties", "patternProperties", "$defs", "dependentSchemas"]
)
def test_names_that_begin_with_x_are_kept_and_their_schemas_cleaned(keyword: str) -> None:
    schema = {keyword: {"x-rate": {"type": "string", "x-data-class": "pii"}}}

    assert schema_published(schema) == {keyword: {"x-rate": {"type": "string"}}}


def test_properties_named_like_keywords_are_schemas() -> None:
    names = ("default", "example", "examples", "enum", "const", "value", "properties", "links")
    schema = {"properties": {name: {"type": "string", "x-owner": "gone"} for name in names}}

    assert schema_published(schema) == {"properties": {name: {"type": "string"} for name in names}}


def test_header_component_and_security_names_that_begin_with_x_are_kept() -> None:
    document = contract(
        security=[{"x-key": []}],
        paths={"/a": {"get": {"responses": {"200": {"headers": {"x-request-id": {}}}}}}},
        components={
            "x-internal": {},
            "schemas": {"x-order": {"type": "object"}},
            "responses": {"x-fine": {"description": "fine", "x-internal": 1}},
            "securitySchemes": {"x-key": {"type": "apiKey", "x-internal": 1}},
        },
    )

    shown = published(document)

    assert shown["security"] == [{"x-key": []}]
    assert shown["paths"]["/a"]["get"]["responses"]["200"]["headers"] == {"x-request-id": {}}
    assert shown["components"] == {
        "schemas": {"x-order": {"type": "object"}},
        "responses": {"x-fine": {"description": "fine"}},
        "securitySchemes": {"x-key": {"type": "apiKey"}},
    }


def test_example_objects_lose_their_extensions_but_not_their_values() -> None:
    example = {"summary": "one", "value": {"x-kept": 1}, "x-reviewed-by": "gone"}
    media_type = {"examples": {"x-first": example}}
    document = contract(
        paths={"/a": {"post": {"requestBody": {"content": {"application/json": media_type}}}}}
    )

    body = published(document)["paths"]["/a"]["post"]["requestBody"]

    assert body["content"]["application/json"] == {
        "examples": {"x-first": {"summary": "one", "value": {"x-kept": 1}}}
    }


def test_links_keep_their_arguments_and_lose_their_server() -> None:
    link = {"operationId": "getOrder", "parameters": {"x-id": "$response.body#/id"}}
    internal = {**link, "server": {"url": "http://10.0.0.1"}, "x-internal": 1}
    document = contract(
        paths={"/a": {"get": {"responses": {"200": {"links": {"x-order": internal}}}}}},
        components={"links": {"order": internal}},
    )

    shown = published(document)

    assert shown["paths"]["/a"]["get"]["responses"]["200"]["links"] == {"x-order": link}
    assert shown["components"]["links"] == {"order": link}


def test_every_server_gives_way_to_the_public_one() -> None:
    internal = [{"url": "http://orders.internal:8080"}]
    document = contract(
        paths={"/a": {"servers": internal, "get": {"servers": internal}}}, servers=internal
    )

    shown = published(document)

    assert list(shown) == ["openapi", "info", "servers", "paths"]
    assert shown["servers"] == [{"url": "https://api.example.com/process/orders/v1"}]
    assert shown["paths"] == {"/a": {"get": {}}}


def test_relative_token_addresses_become_absolute() -> None:
    flow = {"tokenUrl": "/oauth2/token", "scopes": {"x-read": "Read"}}
    schemes = {
        "oauth2": {"type": "oauth2", "flows": {"clientCredentials": flow}},
        "foreign": {"type": "openIdConnect", "openIdConnectUrl": "https://id.example.org/c"},
    }

    shown = published(contract(components={"securitySchemes": schemes}))

    assert shown["components"]["securitySchemes"] == {
        "oauth2": {
            "type": "oauth2",
            "flows": {
                "clientCredentials": {
                    "tokenUrl": "https://api.example.com/oauth2/token",
                    "scopes": {"x-read": "Read"},
                }
            },
        },
        "foreign": schemes["foreign"],
    }


def test_the_document_itself_is_left_alone() -> None:
    flow = {"tokenUrl": "/oauth2/token", "scopes": {}}
    scheme = {"type": "oauth2", "flows": {"clientCredentials": flow}}
    document = contract(
        **{"x-owner": "a"}, security=[{"o": []}], components={"securitySchemes": {"o": scheme}}
    )
    before = copy.deepcopy(document)

    shown = published(document)
    shown["security"][0]["o"].append("changed")

    assert document == before


@pytest.mark.parametrize(
    "members",
    [
        {"paths": None},
        {"paths": []},
        {"components": "text"},
        {"components": {"securitySchemes": [1], "links": {"a": 1}, "callbacks": {"a": None}}},
        {"components": {"securitySchemes": {"o": {"flows": {"implicit": 3}}}}},
    ],
)
def test_parts_of_the_wrong_kind_are_passed_on(members: dict[str, Any]) -> None:
    shown = published(contract(**members))

    assert {key: shown[key] for key in members} == members


def test_renderings_keep_the_order_of_the_document() -> None:
    document = contract(zebra=1, apple={"z": 1, "a": 2})

    assert list(yaml.safe_load(dump_yaml(document))) == ["openapi", "info", "zebra", "apple"]
    assert list(json.loads(dump_json(document))["apple"]) == ["z", "a"]
    assert dump_yaml(document) == dump_yaml(copy.deepcopy(document))


def test_yaml_writes_lines_as_a_block_and_repeats_instead_of_anchors() -> None:
    shared = {"type": "string"}

    assert dump_yaml({"text": "one\ntwo\n", "a": shared, "b": shared}) == (
        "text: |\n  one\n  two\na:\n  type: string\nb:\n  type: string\n"
    )


@pytest.mark.parametrize("text", ["1e3", "0o17", "0x1F", "1.", ".5", "y", "N", "+1E-2", "yes"])
def test_text_that_some_yaml_reader_takes_for_another_type_is_quoted(text: str) -> None:
    assert dump_yaml({"version": text}) == f"version: '{text}'\n"


JSON_DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON_DATA))
def test_both_renderings_read_back_as_the_document(document: dict[str, Any]) -> None:
    assert yaml.safe_load(dump_yaml(document)) == document
    assert json.loads(dump_json(document)) == document


def test_a_public_address_with_a_path_is_kept_in_every_address() -> None:
    flow = {"tokenUrl": "/oauth2/token", "scopes": {}}
    document = contract(
        components={"securitySchemes": {"o": {"flows": {"clientCredentials": flow}}}}
    )

    shown = publish(document, public_url="https://example.com/apis/", base_path=BASE_PATH)

    assert shown["servers"] == [{"url": "https://example.com/apis/process/orders/v1"}]
    flows = shown["components"]["securitySchemes"]["o"]["flows"]
    assert flows["clientCredentials"]["tokenUrl"] == "https://example.com/apis/oauth2/token"
