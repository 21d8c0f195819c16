"""OpenAPI 3.0 schemas as the JSON Schema 2020-12 they mean."""

from __future__ import annotations

from typing import Any

from portico.contract.walk import Schema, map_schemas

_BOUNDS = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))


def upgrade(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with 3.0 schemas rewritten; later versions are returned as they are.

    `nullable`, boolean exclusive bounds, `example` and ignored siblings of `$ref` are what
    changed in meaning between OpenAPI 3.0.4 and 3.1.
    """
    if not str(document["openapi"]).startswith("3.0"):
        return document
    return {**map_schemas(document, _upgrade_schema), "openapi": "3.1.1"}


def _upgrade_schema(schema: Schema) -> Schema:
    if isinstance(schema.get("$ref"), str):
        return {"$ref": schema["$ref"]}
    for bound, exclusive in _BOUNDS:
        flag = schema.pop(exclusive, False)
        if flag is True and bound in schema:
            schema[exclusive] = schema.pop(bound)
    if "example" in schema:
        schema["examples"] = [schema.pop("example")]
    if schema.pop("nullable", False) is True:
        return _with_null(schema)
    return schema


def _with_null(schema: Schema) -> Schema:
    """Allow null where a `type` stands beside `nullable`; without one it has no effect (3.0.4).

    Other keywords keep their meaning: an `enum` allows null only where it lists it.
    """
    if not isinstance(schema.get("type"), str):
        return schema
    schema["type"] = [schema["type"], "null"]
    return schema
