"""OA-01, OA-02, OA-03, OA-12: versions, dialects, formats, patterns and discriminators."""

from __future__ import annotations

import time
from typing import Any

import pytest
from openapi_schema_validator import OAS31_BASE_DIALECT_ID, OAS32_BASE_DIALECT_ID

from portico.contract import ContractError, Operation
from portico.contract.schemas import DIALECTS
from tests.portico.contract.documents import (
    ask,
    document,
    entries,
    load_document,
    refusal,
    with_body,
    with_parameters,
)


def fits(schema: Any, raw: bytes, **more: Any) -> bool:
    asked = with_body(schema, **more)
    return _takes(asked, raw)


def _takes(asked: Operation, raw: bytes) -> bool:
    try:
        ask(asked, body=raw)
    except Exception as problem:
        assert getattr(problem, "status", 0) == 422
        return False
    return True


def test_the_dialects_of_openapi_are_those_of_the_tool_chain() -> None:
    assert {OAS31_BASE_DIALECT_ID, OAS32_BASE_DIALECT_ID} <= set(DIALECTS)


@pytest.mark.parametrize(
    "version", ["3.0.0", "3.0.4", "3.1.0", "3.1.2", "3.2.0", "3.0.99", "3.1.0-rc1"]
)
def test_oa_01_the_patch_number_changes_nothing(version: str) -> None:
    assert len(load_document(document({}, version=version)).operations) == 0


@pytest.mark.parametrize("version", ["2.0", "3.3.0", "4.0.0", "3", "", "three"])
def test_oa_01_other_versions_are_refused(version: str) -> None:
    with pytest.raises(ContractError):
        load_document(document({}, version=version))


# OpenAPI 3.0 schemas mean what 3.0 says.


@pytest.mark.parametrize(
    ("schema", "raw", "expected"),
    [
        ({"type": "string", "nullable": True}, b"null", True),
        ({"type": "string", "nullable": False}, b"null", False),
        ({"type": "string"}, b"null", False),
        ({"nullable": True}, b"null", True),
        ({"type": "string", "nullable": True, "enum": ["a"]}, b"null", False),
        ({"type": "string", "nullable": True, "enum": ["a", None]}, b"null", True),
        ({"type": "string", "nullable": True, "enum": ["a"]}, b'"a"', True),
        ({"$ref": "#/components/schemas/Text", "nullable": True}, b"null", False),
        ({"allOf": [{"$ref": "#/components/schemas/Text"}], "nullable": True}, b"null", False),
        ({"$ref": "#/components/schemas/Text", "maxLength": 1}, b'"ab"', True),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": True}, b"1", False),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": True}, b"1.5", True),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": False}, b"1", True),
        ({"type": "number", "maximum": 1, "exclusiveMaximum": True}, b"1", False),
        ({"type": "number", "exclusiveMaximum": True}, b"1", True),
        ({"type": "array", "items": {"type": "string", "nullable": True}}, b"[null]", True),
        (
            {"type": "object", "properties": {"a": {"type": "string", "nullable": True}}},
            b'{"a":null}',
            True,
        ),
        (
            {"type": "object", "additionalProperties": {"type": "integer", "nullable": True}},
            b'{"a":null}',
            True,
        ),
        ({"not": {"type": "string", "nullable": True}}, b"null", False),
        ({"type": "string", "example": 5}, b'"a"', True),
        ({"type": "string", "format": "byte"}, b'"YQ=="', True),
        ({"type": "string", "format": "byte"}, b'"YQ="', False),
    ],
)
def test_oa_01_schemas_of_3_0_keep_their_meaning(schema: Any, raw: bytes, expected: bool) -> None:
    schemas = {"Text": {"type": "string"}}

    assert fits(schema, raw, version="3.0.4", components={"schemas": schemas}) is expected


def test_oa_01_a_property_called_like_a_keyword_is_a_property() -> None:
    schema = {
        "type": "object",
        "properties": {
            "nullable": {"type": "boolean"},
            "example": {"type": "string", "nullable": True},
            "exclusiveMinimum": {"type": "boolean"},
            "$ref": {"type": "string"},
        },
        "required": ["nullable"],
    }

    asked = with_body(schema, version="3.0.4")

    assert _takes(asked, b'{"nullable": true, "example": null, "$ref": "x"}')
    assert not _takes(asked, b'{"nullable": "yes"}')


def test_oa_01_examples_and_defaults_of_3_0_are_left_alone() -> None:
    default = {"nullable": True, "minimum": 1, "exclusiveMinimum": True}
    schema = {"type": "object", "default": default, "properties": {"a": {"default": default}}}

    assert ask(with_body(schema, version="3.0.4"), body=b"{}")["body"] == {"a": default}


# Dialects


@pytest.mark.parametrize(
    ("schema", "raw", "expected"),
    [
        ({"$ref": "#/components/schemas/Text", "maxLength": 1}, b'"ab"', False),
        ({"type": ["string", "null"]}, b"null", True),
        ({"exclusiveMinimum": 1}, b"1", False),
        ({"const": {"a": [1]}}, b'{"a": [1.0]}', True),
        ({"prefixItems": [{"type": "integer"}], "items": False}, b"[1, 2]", False),
        ({"contains": {"const": 1}, "minContains": 2}, b"[1, 1]", True),
        ({"dependentRequired": {"a": ["b"]}}, b'{"a": 1}', False),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, b'{"a": 1}', False),
        ({"if": {"const": 1}, "then": False, "else": True}, b"1", False),
        ({"propertyNames": {"pattern": "^[a-z]+$"}}, b'{"A": 1}', False),
        ({"patternProperties": {"^x": {"type": "integer"}}}, b'{"xa": "1"}', False),
        ({"unevaluatedProperties": False, "allOf": [{"properties": {"a": {}}}]}, b'{"a": 1}', True),
        (
            {"unevaluatedProperties": False, "allOf": [{"properties": {"a": {}}}]},
            b'{"b": 1}',
            False,
        ),
        ({"unevaluatedProperties": False, "$ref": "#/components/schemas/Open"}, b'{"a": 1}', True),
        ({"unevaluatedProperties": False, "$ref": "#/components/schemas/Open"}, b'{"b": 1}', False),
        ({"unevaluatedItems": False, "prefixItems": [True]}, b"[1, 2]", False),
        ({"multipleOf": 0.01}, b"4.35", True),
        ({"type": "integer"}, b"1.0", True),
        ({"minLength": 1, "maxLength": 1}, '"é"'.encode(), True),
        ({"minLength": 2}, '"😀"'.encode(), False),
        ({"uniqueItems": True}, b"[1, true]", True),
        ({"uniqueItems": True}, b"[1, 1.0]", False),
        (True, b"1", True),
        (False, b"1", False),
    ],
)
def test_oa_02_schemas_are_json_schema_2020_12(schema: Any, raw: bytes, expected: bool) -> None:
    schemas = {"Text": {"type": "string"}, "Open": {"properties": {"a": {}}}}

    assert fits(schema, raw, components={"schemas": schemas}) is expected


@pytest.mark.parametrize(
    ("dialect", "schema", "raw", "expected"),
    [
        (
            "http://json-schema.org/draft-07/schema#",
            {"items": [{"type": "integer"}]},
            b'["a"]',
            False,
        ),
        (
            "http://json-schema.org/draft-07/schema",
            {"dependencies": {"a": ["b"]}},
            b'{"a": 1}',
            False,
        ),
        (
            "http://json-schema.org/draft-07/schema#",
            {"$ref": "#/components/schemas/Text", "maxLength": 1},
            b'"ab"',
            True,
        ),
        (
            "https://json-schema.org/draft/2019-09/schema",
            {"items": [{"type": "integer"}]},
            b'["a"]',
            False,
        ),
        (
            "https://json-schema.org/draft/2020-12/schema",
            {"prefixItems": [{"type": "integer"}]},
            b'["a"]',
            False,
        ),
        ("https://spec.openapis.org/oas/3.1/dialect/base", {"type": "integer"}, b'"a"', False),
    ],
)
def test_oa_02_the_document_may_name_its_dialect(
    dialect: str, schema: Any, raw: bytes, expected: bool
) -> None:
    components = {"schemas": {"Text": {"type": "string"}}}

    assert fits(schema, raw, components=components, jsonSchemaDialect=dialect) is expected


def test_oa_02_a_schema_may_name_the_dialect_of_its_document() -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "integer"}

    assert fits(schema, b"1")
    assert not fits(schema, b'"1"')


@pytest.mark.parametrize(
    "reference",
    [
        "#/components/schemas/Named",
        "https://example.com/named",
        "https://example.com/named#here",
        "named",
    ],
)
def test_oa_02_schemas_are_found_by_their_id_and_anchor(reference: str) -> None:
    schemas: dict[str, dict[str, Any]] = {
        "Named": {"$id": "https://example.com/named", "$anchor": "here", "type": "integer"},
        "Other": {"$id": "https://example.com/other", "properties": {"n": {"$ref": reference}}},
    }
    if reference.startswith("#"):
        del schemas["Other"]["$id"]

    asked = with_body({"$ref": "#/components/schemas/Other"}, components={"schemas": schemas})

    assert _takes(asked, b'{"n": 1}')
    assert not _takes(asked, b'{"n": "1"}')


def test_oa_02_an_anchor_without_an_id_belongs_to_the_document() -> None:
    schemas = {"Named": {"$defs": {"inner": {"$anchor": "here", "type": "integer"}}}}

    assert not fits({"$ref": "#here"}, b'"1"', components={"schemas": schemas})


def test_oa_02_a_pointer_inside_a_named_schema_starts_there() -> None:
    schemas = {
        "Named": {
            "$id": "https://example.com/named",
            "$defs": {"n": {"type": "integer"}},
            "properties": {"n": {"$ref": "#/$defs/n"}},
        }
    }

    assert not fits(
        {"$ref": "#/components/schemas/Named"}, b'{"n": "1"}', components={"schemas": schemas}
    )


def test_oa_02_dynamic_references_make_generic_schemas() -> None:
    schemas = {
        "List": {
            "$id": "list",
            "type": "array",
            "items": {"$dynamicRef": "#item"},
            "$defs": {"item": {"$dynamicAnchor": "item", "not": {}}},
        },
        "Numbers": {
            "$id": "numbers",
            "$ref": "list",
            "$defs": {"item": {"$dynamicAnchor": "item", "type": "integer"}},
        },
    }

    asked = with_body({"$ref": "#/components/schemas/Numbers"}, components={"schemas": schemas})

    assert _takes(asked, b"[1, 2]")
    assert not _takes(asked, b'["a"]')


def test_oa_02_a_reference_may_lead_anywhere_in_the_document() -> None:
    paths = {
        "/things": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"a/b %é": {"type": "integer"}},
                            }
                        }
                    }
                },
                "responses": {"200": {"description": "Fine."}},
            }
        },
        "/others": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "$ref": "#/paths/~1things/post/requestBody/content"
                                "/application~1json/schema/properties/a~1b%20%25é"
                            }
                        }
                    }
                },
                "responses": {"200": {"description": "Fine."}},
            }
        },
    }

    loaded = load_document(document(paths))

    assert not _takes(loaded.operations["post /others"], b'"1"')
    assert _takes(loaded.operations["post /others"], b"1")


def test_a_reference_behind_a_reference_keeps_what_stands_beside_it() -> None:
    schemas = {
        "Short": {"$ref": "#/components/schemas/Text", "maxLength": 3},
        "Text": {"type": "string"},
    }

    asked = with_body({"$ref": "#/components/schemas/Short"}, components={"schemas": schemas})

    assert _takes(asked, b'"abc"')
    assert not _takes(asked, b'"abcd"')
    assert not _takes(asked, b"1")


# Formats


@pytest.mark.parametrize(
    ("kind", "name", "right", "wrong"),
    [
        ("integer", "int32", b"2147483647", b"2147483648"),
        ("integer", "int32", b"-2147483648", b"-2147483649"),
        ("integer", "int64", b"9223372036854775807", b"9223372036854775808"),
        ("number", "float", b"3.4e38", b"3.5e38"),
        ("number", "double", b"1e308", b'"x"'),
        ("string", "byte", b'"aGVsbG8="', b'"aGVsbG8"'),
        ("string", "byte", b'""', b'"a b="'),
        ("string", "date", b'"2026-02-28"', b'"2026-02-29"'),
        ("string", "date-time", b'"2026-03-01T10:20:30Z"', b'"2026-03-01 10:20:30"'),
        ("string", "time", b'"10:20:30Z"', b'"25:00:00Z"'),
        ("string", "duration", b'"P3DT4H"', b'"P3D4H"'),
        ("string", "email", b'"a@example.com"', b'"a@"'),
        ("string", "hostname", b'"api.example.com"', b'"-api.example.com"'),
        ("string", "ipv4", b'"192.0.2.1"', b'"192.0.2.256"'),
        ("string", "ipv6", b'"2001:db8::1"', b'"2001:db8:::1"'),
        ("string", "uri", b'"https://example.com/a"', b'"/a"'),
        ("string", "uri-reference", b'"/a"', b'"a b"'),
        ("string", "uuid", b'"3f2b9a52-7a0b-4ea1-9f2e-0a9a4e0f7c11"', b'"3f2b9a52"'),
        ("string", "json-pointer", b'"/a/b"', b'"a"'),
        ("string", "regex", b'"^a$"', b'"("'),
    ],
)
def test_oa_03_registered_formats_are_asserted(
    kind: str, name: str, right: bytes, wrong: bytes
) -> None:
    asked = with_body({"type": kind, "format": name})

    assert _takes(asked, right)
    assert not _takes(asked, wrong)


@pytest.mark.parametrize("name", ["password", "binary", "html", "sku", "", "INT32"])
def test_oa_03_unknown_formats_say_nothing(name: str) -> None:
    assert fits({"type": "string", "format": name}, b'"anything"')


def test_oa_03_a_format_is_about_its_own_type() -> None:
    assert fits({"format": "int32"}, b'"text"')
    assert fits({"format": "date"}, b"5")


def test_oa_03_a_format_beside_an_all_of_keeps_both() -> None:
    schema = {"type": "integer", "format": "int32", "allOf": [{"minimum": 5}]}

    assert not fits(schema, b"4")
    assert not fits(schema, b"3000000000")


@pytest.mark.parametrize("where", ["query", "body"])
def test_integers_larger_than_any_machine_word_are_answered(where: str) -> None:
    for schema in ({"type": "integer", "format": "int64"}, {"type": "integer", "maximum": 5}):
        if where == "query":
            asked = with_parameters({"name": "n", "in": "query", "schema": schema})
            assert refusal(asked, query="n=" + "9" * 60).status == 400
        else:
            assert refusal(with_body(schema), body=b"9" * 60).status == 422


# Patterns


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", "^(.*)*b$", "(x+x+)+y", "^([a-z]+)*[0-9]$"]
)
def test_patterns_take_time_in_proportion_to_the_text(pattern: str) -> None:
    asked = with_body({"type": "string", "pattern": pattern})

    started = time.perf_counter()
    refusal(asked, body=b'"' + b"a" * 50_000 + b'!"')

    assert time.perf_counter() - started < 0.5


def test_look_around_falls_back_to_an_engine_with_a_bound() -> None:
    asked = with_body({"type": "string", "pattern": "^(?=a)(?:a+)+$(?<!b)"})

    started = time.perf_counter()
    refusal(asked, body=b'"' + b"a" * 5000 + b'!"')

    assert _takes(asked, b'"aaa"')
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (r"^\p{L}+$", "é", "1"),
        (r"^\d+$", "1", "١"),
        (r"^[\w-]+$", "a_1-", "é"),
        (r"^\/a\-b$", "/a-b", "a-b"),
        (r"^\u00e9$", "é", "e"),
        (r"^(?<year>[0-9]{4})$", "2026", "26"),
        (r"^(?!x).*$", "a", "x"),
        (r"a", "bab", "b"),
        (r"^\cJ$", "\n", "J"),
    ],
)
def test_patterns_are_those_of_ecma_262(pattern: str, right: str, wrong: str) -> None:
    import json

    asked = with_body({"type": "string", "pattern": pattern})

    assert _takes(asked, json.dumps(right).encode())
    assert not _takes(asked, json.dumps(wrong).encode())


# Discriminators

PETS = {
    "Cat": {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string"}, "lives": {"type": "integer"}},
        "additionalProperties": False,
    },
    "Dog": {
        "type": "object",
        "required": ["kind", "breed"],
        "properties": {"kind": {"type": "string"}, "breed": {"type": "string", "minLength": 2}},
        "additionalProperties": False,
    },
}
ALTERNATIVES = [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}]
MAPPING = {"puppy": "#/components/schemas/Dog", "kitten": "Cat"}


def pet(keyword: str = "oneOf", **discriminator: Any) -> Operation:
    schema: dict[str, Any] = {keyword: ALTERNATIVES}
    if discriminator:
        schema["discriminator"] = discriminator
    version = "3.2.0" if "defaultMapping" in discriminator else "3.1.1"
    return with_body(
        {"$ref": "#/components/schemas/Pet"},
        components={"schemas": {**PETS, "Pet": schema}},
        version=version,
    )


@pytest.mark.parametrize("keyword", ["oneOf", "anyOf"])
@pytest.mark.parametrize(
    "raw",
    [
        b'{"kind": "Cat", "lives": 9}',
        b'{"kind": "Dog", "breed": "pug"}',
        b'{"kind": "Dog", "lives": 9}',
        b'{"kind": "fish"}',
        b'{"lives": 9}',
        b'{"kind": 5}',
        b'{"kind": "Dog", "breed": "p"}',
        b"[]",
    ],
)
def test_oa_12_a_discriminator_never_changes_what_is_valid(keyword: str, raw: bytes) -> None:
    without = pet(keyword)

    for hinted in (
        pet(keyword, propertyName="kind"),
        pet(keyword, propertyName="kind", mapping=MAPPING),
    ):
        assert _takes(hinted, raw) is _takes(without, raw)


@pytest.mark.parametrize("keyword", ["oneOf", "anyOf"])
@pytest.mark.parametrize(
    ("discriminator", "kind"),
    [
        ({"propertyName": "kind"}, "Dog"),
        ({"propertyName": "kind", "mapping": MAPPING}, "puppy"),
        ({"propertyName": "kind", "mapping": MAPPING}, "Dog"),
    ],
)
def test_oa_12_errors_are_those_of_the_hinted_branch(
    keyword: str, discriminator: Any, kind: str
) -> None:
    asked = pet(keyword, **discriminator)

    problem = refusal(asked, body=b'{"kind": "%s", "breed": "p"}' % kind.encode())

    assert entries(problem) == [
        {"detail": '"p" is shorter than 2 characters', "pointer": "#/breed"}
    ]


def test_oa_12_a_default_mapping_of_3_2_is_a_hint() -> None:
    asked = pet(propertyName="kind", defaultMapping="Dog")

    problem = refusal(asked, body=b'{"breed": "pug"}')

    assert entries(problem) == [{"detail": '"kind" is a required property', "pointer": "#"}]


def test_oa_12_without_a_hint_the_alternatives_are_named() -> None:
    problem = refusal(pet(propertyName="kind"), body=b'{"kind": "fish", "x": 1}')

    assert "oneOf" in str(entries(problem)[0]["detail"])


def test_oa_12_hints_inside_hints_are_followed() -> None:
    owner = {
        "oneOf": [{"$ref": "#/components/schemas/Person"}, {"$ref": "#/components/schemas/Firm"}],
        "discriminator": {"propertyName": "type"},
    }
    person = {
        "type": "object",
        "properties": {"type": {}, "pet": {"$ref": "#/components/schemas/Pet"}},
    }
    firm = {"type": "object", "required": ["vat"], "properties": {"type": {}}}
    pet_schema = {"oneOf": ALTERNATIVES, "discriminator": {"propertyName": "kind"}}
    schemas = {**PETS, "Pet": pet_schema, "Person": {**person, "required": ["pet"]}, "Firm": firm}

    asked = with_body(owner, components={"schemas": schemas})

    problem = refusal(asked, body=b'{"type": "Person", "pet": {"kind": "Dog", "breed": "p"}}')
    assert [entry["pointer"] for entry in entries(problem)] == ["#/pet/breed"]
