"""One document with as many styles, keywords and media types as openapi-core can judge."""

from __future__ import annotations

from typing import Any

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
INTEGER = {"type": "integer"}
TEXT = {"type": "string"}


def wide_document(version: str) -> dict[str, Any]:
    """Return the document, its schemas in the form of its version.

    The styles label and matrix are left out: openapi-core looks for their parameters under other
    names. What else it cannot do is in the list of accepted differences.
    """
    return {
        "openapi": version,
        "info": {"title": "Wide", "version": "1"},
        "paths": {
            "/read/{number}/{list}": {"get": _read()},
            "/write": {"post": _write()},
            "/form": {"post": _form(version)},
            "/merge": {"post": _merge()},
        },
        "components": {"schemas": _schemas(version)},
    }


def parameter(where: str, name: str, schema: Any, **more: Any) -> dict[str, Any]:
    """Return a parameter, required in paths."""
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, "schema": schema, **required, **more}


def array(items: Any, **more: Any) -> dict[str, Any]:
    """Return the schema of an array."""
    return {"type": "array", "items": items, **more}


def either(version: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows null as well, as its version writes it."""
    if version.startswith("3.0"):
        return {**schema, "nullable": True}
    return {**schema, "type": [schema["type"], "null"]}


def above_zero(version: str) -> dict[str, Any]:
    """Return a number above zero, as its version writes it."""
    if version.startswith("3.0"):
        return {"type": "number", "minimum": 0, "exclusiveMinimum": True}
    return {"type": "number", "exclusiveMinimum": 0}


def _read() -> dict[str, Any]:
    colors = {"type": "object", "properties": {"R": INTEGER, "G": INTEGER}, "required": ["R"]}
    return {
        "operationId": "read",
        "parameters": [
            parameter("path", "number", {"type": "integer", "minimum": 1}),
            parameter("path", "list", array(INTEGER, maxItems=3)),
            parameter("query", "many", array({"type": "integer", "maximum": 9}, maxItems=3)),
            parameter("query", "few", array(TEXT, uniqueItems=True), explode=False),
            parameter("query", "piped", array(INTEGER), style="pipeDelimited", explode=False),
            parameter("query", "deep", colors, style="deepObject", explode=True),
            parameter("query", "pair", colors, explode=False),
            parameter("query", "flag", {"type": "boolean"}),
            parameter("query", "ratio", {"type": "number", "maximum": 2}),
            parameter("query", "word", {"type": "string", "enum": ["a", "b"], "default": "a"}),
            parameter("query", "need", {"type": "string", "maxLength": 3}, required=True),
            parameter("header", "X-Count", {"type": "integer", "maximum": 9}),
            parameter("header", "X-List", array(INTEGER)),
            parameter("header", "X-Pair", colors, explode=True),
            parameter("cookie", "crumb", INTEGER),
            parameter("cookie", "crumbs", array(TEXT, maxItems=2), explode=False),
        ],
        "responses": {
            "200": {
                "description": "Fine.",
                "headers": {
                    "X-Total": {"required": True, "schema": INTEGER},
                    "X-Tags": {"schema": array(TEXT, maxItems=2)},
                },
                "content": {JSON: {"schema": {"$ref": "#/components/schemas/Thing"}}},
            },
            "4XX": {"description": "Wrong.", "content": {JSON: {"schema": {"type": "object"}}}},
            "default": {"description": "Else.", "content": {JSON: {"schema": array(INTEGER)}}},
        },
    }


def _write() -> dict[str, Any]:
    return {
        "operationId": "write",
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/Thing"}}},
        },
        "responses": {"204": {"description": "Done."}},
    }


def _form(version: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "age": either(version, {"type": "integer", "minimum": 0}),
            "sizes": array(INTEGER, maxItems=3),
        },
        "additionalProperties": False,
    }
    body = {"required": True, "content": {FORM: {"schema": schema}}}
    return {
        "operationId": "form",
        "requestBody": body,
        "responses": {"204": {"description": "Done."}},
    }


def _merge() -> dict[str, Any]:
    content = {"application/merge-patch+json": {"schema": {"type": "object", "maxProperties": 2}}}
    return {
        "operationId": "merge",
        "requestBody": {"content": content},
        "responses": {"204": {"description": "Done."}},
    }


def _schemas(version: str) -> dict[str, Any]:
    base = {
        "type": "object",
        "required": ["id", "amount"],
        "properties": {
            "id": {"type": "string", "format": "uuid", "readOnly": True},
            "secret": {"type": "string", "writeOnly": True},
            "amount": {**above_zero(version), "maximum": 1000},
        },
    }
    thing = {
        "allOf": [{"$ref": "#/components/schemas/Base"}],
        "type": "object",
        "required": ["kind"],
        "properties": {
            "kind": either(version, {"type": "string", "enum": ["cat", "dog", None]}),
            "nick": either(version, {"type": "string", "pattern": "^[a-z]+$"}),
            "never": either(version, {"type": "string", "enum": ["x"]}),
            "count": {"type": "integer", "format": "int32", "multipleOf": 3},
            "when": {"type": "string", "format": "date-time"},
            "day": {"type": "string", "format": "date"},
            "mail": {"type": "string", "format": "email", "maxLength": 40},
            "pet": {
                "oneOf": [
                    {"$ref": "#/components/schemas/Cat"},
                    {"$ref": "#/components/schemas/Dog"},
                ],
                "discriminator": {
                    "propertyName": "type",
                    "mapping": {
                        "cat": "#/components/schemas/Cat",
                        "dog": "#/components/schemas/Dog",
                    },
                },
            },
            "tags": array(
                {"type": "string", "minLength": 1}, minItems=1, maxItems=3, uniqueItems=True
            ),
            "by_name": {"type": "object", "additionalProperties": INTEGER, "maxProperties": 2},
            "either": {"anyOf": [INTEGER, {"type": "boolean"}]},
            "no": {"not": {"type": "string"}},
            "parent": {"$ref": "#/components/schemas/Parent"},
        },
    }
    cat = {
        "type": "object",
        "required": ["type", "lives"],
        "properties": {
            "type": {"type": "string", "enum": ["cat"]},
            "lives": {"type": "integer", "minimum": 0, "maximum": 9},
        },
    }
    dog = {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string", "enum": ["dog"]}, "barks": {"type": "boolean"}},
    }
    parent = {
        "type": "object",
        "properties": {"parent": {"$ref": "#/components/schemas/Parent"}, "n": INTEGER},
        "additionalProperties": False,
    }
    return {"Base": base, "Thing": thing, "Cat": cat, "Dog": dog, "Parent": parent}


THING: dict[str, Any] = {
    "id": "3f2b9a52-7a0b-4ea1-9f2e-0a9a4e0f7c11",
    "secret": "s",
    "amount": 12.5,
    "kind": "cat",
    "nick": None,
    "count": 3,
    "when": "2026-03-01T10:20:30Z",
    "day": "2026-03-01",
    "mail": "orders@shop.example",
    "pet": {"type": "cat", "lives": 9},
    "tags": ["a", "b"],
    "by_name": {"x": 1},
    "either": 5,
    "no": 1,
    "parent": {"n": 1, "parent": {"n": 2}},
}
