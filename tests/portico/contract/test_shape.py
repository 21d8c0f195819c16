"""OA-11, OA-14: what is done to bodies: hidden members, and defaults."""

from __future__ import annotations

from typing import Any

import pytest

from portico.contract import Operation
from tests.portico.contract.documents import ask, refusal, with_answers, with_body

ID = {"type": "string", "readOnly": True}
PASSWORD = {"type": "string", "writeOnly": True}
NAME = {"type": "string"}


def sent(schema: Any, body: bytes, **components: Any) -> Any:
    return ask(with_body(schema, components={"schemas": components}), body=body)["body"]


def answered(schema: Any, body: Any, **components: Any) -> tuple[Any, list[dict[str, object]]]:
    media = {"application/json": {"schema": schema}}
    asked = with_answers(
        {"200": {"description": "Fine.", "content": media}}, components={"schemas": components}
    )
    answer = asked.find_answer(200)
    assert answer is not None
    shaper = answer.shapers.get("application/json")
    if shaper is not None:
        shaper.apply(body)
    return body, asked.check_response(200, "application/json", body)


REF = {"$ref": "#/components/schemas/Base"}
BASE = {
    "type": "object",
    "properties": {"id": ID, "password": PASSWORD, "name": NAME},
    "required": ["id", "password", "name"],
}
# The same members, written in the ways that documents write them.
NESTED = [
    (BASE, {}),
    (REF, {"Base": BASE}),
    ({"$ref": "#/components/schemas/Alias"}, {"Base": BASE, "Alias": REF}),
    ({"allOf": [REF]}, {"Base": BASE}),
    ({"allOf": [{"allOf": [REF]}, {"type": "object"}]}, {"Base": BASE}),
    ({"allOf": [REF, {"required": ["id", "password"]}]}, {"Base": {**BASE, "required": ["name"]}}),
    ({"allOf": [{"required": ["id", "password"]}, REF]}, {"Base": {**BASE, "required": ["name"]}}),
    ({**REF, "required": ["id", "password"]}, {"Base": {**BASE, "required": ["name"]}}),
    (
        {"properties": {"id": ID, "password": PASSWORD}, "allOf": [REF]},
        {"Base": {"properties": {"name": NAME}, "required": ["id", "password", "name"]}},
    ),
    (
        {"properties": {"id": ID, "password": PASSWORD}, **REF},
        {"Base": {"properties": {"name": NAME}, "required": ["id", "password", "name"]}},
    ),
    (
        {"allOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/B"}]},
        {
            "A": {"properties": {"id": ID, "password": PASSWORD}},
            "B": {"allOf": [REF], "required": ["password"]},
            "Base": {"properties": {"name": NAME}, "required": ["id", "name"]},
        },
    ),
    (
        {
            "type": "object",
            "required": ["id", "password", "name"],
            "properties": {
                "id": {"$ref": "#/components/schemas/Id"},
                "password": {"allOf": [{"$ref": "#/components/schemas/Secret"}]},
                "name": NAME,
            },
        },
        {"Id": ID, "Secret": PASSWORD},
    ),
    (
        {
            "type": "object",
            "required": ["id", "password", "name"],
            "properties": {
                "id": {"$ref": "#/components/schemas/Text", "readOnly": True},
                "password": {"$ref": "#/components/schemas/Text", "writeOnly": True},
                "name": NAME,
            },
        },
        {"Text": {"type": "string"}},
    ),
    ({"oneOf": [REF]}, {"Base": BASE}),
    ({"anyOf": [REF, {"type": "integer"}]}, {"Base": BASE}),
]


@pytest.mark.parametrize(("schema", "components"), NESTED)
def test_oa_11_requests_need_no_read_only_members(schema: Any, components: Any) -> None:
    body = sent(schema, b'{"password": "p", "name": "n"}', **components)

    assert body == {"password": "p", "name": "n"}


@pytest.mark.parametrize(("schema", "components"), NESTED)
def test_oa_11_requests_lose_read_only_members(schema: Any, components: Any) -> None:
    body = sent(schema, b'{"id": "1", "password": "p", "name": "n"}', **components)

    assert body == {"password": "p", "name": "n"}


@pytest.mark.parametrize(("schema", "components"), NESTED)
def test_oa_11_requests_still_need_the_rest(schema: Any, components: Any) -> None:
    asked = with_body(schema, components={"schemas": components})

    assert refusal(asked, body=b'{"id": "1", "name": "n"}').status == 422
    assert refusal(asked, body=b'{"id": "1", "password": "p"}').status == 422


@pytest.mark.parametrize(("schema", "components"), NESTED)
def test_oa_11_responses_never_carry_write_only_members(schema: Any, components: Any) -> None:
    body = {"id": "1", "password": "p", "name": "n"}

    assert answered(schema, body, **components) == ({"id": "1", "name": "n"}, [])


@pytest.mark.parametrize(("schema", "components"), NESTED)
def test_oa_11_a_write_only_member_that_was_sent_breaks_the_contract(
    schema: Any, components: Any
) -> None:
    media = {"application/json": {"schema": schema}}
    asked = with_answers(
        {"200": {"description": "Fine.", "content": media}}, components={"schemas": components}
    )
    body = {"id": "1", "name": "n"}

    assert asked.check_response(200, "application/json", body) == []
    assert asked.check_response(200, "application/json", {**body, "password": "p"})


@pytest.mark.parametrize(("schema", "components"), NESTED)
def test_oa_11_responses_still_need_the_rest(schema: Any, components: Any) -> None:
    assert answered(schema, {"password": "p", "name": "n"}, **components)[1]
    assert answered(schema, {"id": "1", "password": "p"}, **components)[1]


def test_oa_11_a_wrong_value_of_a_dropped_member_does_not_matter() -> None:
    assert sent(BASE, b'{"id": 5, "password": "p", "name": "n"}') == {"password": "p", "name": "n"}


def test_oa_11_hidden_members_are_dropped_wherever_they_nest() -> None:
    inner = {"type": "object", "properties": {"id": ID, "name": NAME}}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "one": inner,
            "many": {"type": "array", "items": inner},
            "first": {"type": "array", "prefixItems": [inner, {"type": "integer"}], "items": inner},
            "named": {"type": "object", "additionalProperties": inner},
        },
    }
    body = (
        b'{"one": {"id": "1", "name": "a"}, "many": [{"id": "1"}, {"name": "b"}, 5],'
        b' "first": [{"id": "1"}, 2, {"id": "3", "name": "c"}], "named": {"x": {"id": "1"}}}'
    )
    expected = {
        "one": {"name": "a"},
        "many": [{}, {"name": "b"}, 5],
        "first": [{}, 2, {"name": "c"}],
        "named": {"x": {}},
    }

    asked = with_body(
        {
            **schema,
            "properties": {
                **schema["properties"],
                "many": {
                    **schema["properties"]["many"],
                    "items": {**inner, "type": ["object", "integer"]},
                },
            },
        }
    )

    assert ask(asked, body=body)["body"] == expected


def test_oa_11_a_member_that_one_alternative_shows_stays() -> None:
    schema = {
        "oneOf": [
            {"properties": {"kind": {"const": "a"}, "id": ID}, "required": ["kind", "id"]},
            {"properties": {"kind": {"const": "b"}, "id": NAME}, "required": ["kind", "id"]},
        ]
    }

    assert sent(schema, b'{"kind": "b", "id": "1"}') == {"kind": "b", "id": "1"}
    assert sent(schema, b'{"kind": "a"}') == {"kind": "a"}


def test_oa_11_schemas_that_contain_themselves_are_shaped_to_any_depth() -> None:
    node = {
        "type": "object",
        "properties": {
            "id": ID,
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
        },
        "required": ["id"],
    }
    raw = b'{"children": [{"id": "1", "children": [{"id": "2", "children": []}]}]}'

    body = sent({"$ref": "#/components/schemas/Node"}, raw, Node=node)

    assert body == {"children": [{"children": [{"children": []}]}]}


DEFAULTS = {
    "type": "object",
    "properties": {
        "mode": {"type": "string", "default": "fast"},
        "tags": {"type": "array", "items": NAME, "default": ["a"]},
        "size": {"$ref": "#/components/schemas/Size"},
        "own": {"$ref": "#/components/schemas/Size", "default": 2},
        "id": {**ID, "default": "x"},
        "nested": {"type": "object", "properties": {"deep": {"default": None}}},
    },
}


def test_oa_14_defaults_of_bodies_are_filled_in() -> None:
    size = {"type": "integer", "default": 1}

    assert sent(DEFAULTS, b'{"nested": {}}', Size=size) == {
        "mode": "fast",
        "tags": ["a"],
        "size": 1,
        "own": 2,
        "nested": {"deep": None},
    }
    assert sent(DEFAULTS, b'{"mode": "slow", "tags": []}', Size=size)["mode"] == "slow"


def test_oa_14_every_body_gets_its_own_default() -> None:
    asked = with_body({"type": "object", "properties": {"tags": {"default": ["a"]}}})

    ask(asked, body=b"{}")["body"]["tags"].append("b")

    assert ask(asked, body=b"{}")["body"] == {"tags": ["a"]}


def test_oa_14_a_required_member_has_no_default() -> None:
    schema = {"properties": {"mode": {"default": "fast"}}, "required": ["mode"]}

    assert refusal(with_body(schema), body=b"{}").status == 422
    assert refusal(with_body({"allOf": [schema]}), body=b"{}").status == 422


def test_oa_14_responses_get_no_defaults() -> None:
    schema = {"type": "object", "properties": {"mode": {"default": "fast"}}}

    assert answered(schema, {}) == ({}, [])


def test_oa_14_what_an_alternative_would_fill_in_is_left() -> None:
    schema = {"oneOf": [{"properties": {"mode": {"default": "fast"}}}]}

    assert sent(schema, b"{}") == {}


def _call(asked: Operation, body: Any) -> Any:
    empty: dict[str, Any] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
    return asked.check_document({**empty, "body": body})["body"]


def test_a_call_between_tiers_is_shaped_in_a_copy() -> None:
    line = {"type": "object", "properties": {"id": ID, "unit": {"default": "piece"}}}
    asked = with_body(
        {
            "type": "object",
            "properties": {"lines": {"type": "array", "items": line}, "note": {"type": "object"}},
        }
    )
    body = {"lines": [{"id": "1"}], "note": {"a": 1}}

    shaped = _call(asked, body)

    assert shaped == {"lines": [{"unit": "piece"}], "note": {"a": 1}}
    assert body == {"lines": [{"id": "1"}], "note": {"a": 1}}
    assert shaped["note"] is body["note"]


def test_a_call_between_tiers_is_refused_like_a_request() -> None:
    asked = with_body({"type": "object", "required": ["a"]}, required=True)

    with pytest.raises(Exception, match="required property"):
        _call(asked, {})
    with pytest.raises(Exception, match="missing"):
        asked.check_document({"path": {}, "query": {}, "header": {}, "cookie": {}})
