"""Walking the schemas of a document: the one place that knows where schemas stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

# Keywords of JSON Schema 2020-12 (and `definitions` before it) that hold schemas.
ONE = (
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
)
MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")

# Members of an OpenAPI document whose keys are names, so that a key `schema` means nothing there.
MAPS = frozenset(
    {
        "paths",
        "webhooks",
        "pathItems",
        "parameters",
        "responses",
        "requestBodies",
        "headers",
        "links",
        "callbacks",
        "securitySchemes",
        "content",
        "mediaTypes",
        "encoding",
        "variables",
    }
)
_OPAQUE = frozenset({"example", "examples", "default", "enum", "const", "value"})


def map_schemas(node: Any, change: Callable[[Schema], Schema], *, named: bool = False) -> Any:
    """Return a copy of an OpenAPI document with `change` applied to every schema object.

    Inner schemas are changed before the one they stand in. `change` gets a fresh dict.
    """
    if isinstance(node, list):
        return [map_schemas(item, change) for item in node]
    if not isinstance(node, dict):
        return node
    copied: dict[str, Any] = {}
    for key, value in node.items():
        if named:
            copied[key] = map_schemas(value, change)
        elif key in _OPAQUE or key.startswith("x-"):
            copied[key] = value
        elif key in {"schema", "itemSchema"}:
            copied[key] = map_schema(value, change)
        elif key == "schemas" and isinstance(value, dict):
            copied[key] = {name: map_schema(schema, change) for name, schema in value.items()}
        else:
            copied[key] = map_schemas(value, change, named=key in MAPS)
    return copied


def map_schema(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """Return a copy of one schema with `change` applied to it and to all schemas inside."""
    if not isinstance(schema, dict):
        return schema
    copied = dict(schema)
    for key in ONE:
        if isinstance(copied.get(key), dict):
            copied[key] = map_schema(copied[key], change)
    for key in MANY:
        if isinstance(copied.get(key), list):
            copied[key] = [map_schema(inner, change) for inner in copied[key]]
    for key in NAMED:
        if isinstance(copied.get(key), dict):
            copied[key] = {name: map_schema(inner, change) for name, inner in copied[key].items()}
    return change(copied)
