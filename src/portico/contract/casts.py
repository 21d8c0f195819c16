"""Text of a parameter becomes the JSON value its schema means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from portico.contract.bundle import resolve

Cast = Callable[[Any], Any]

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})\Z").match
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][+-]?[0-9]{1,3})?\Z").match
_BOOLEANS = {"true": True, "false": False}
_MAX_DEPTH = 8  # of alternatives inside alternatives


def integer(text: Any) -> Any:
    return int(text) if isinstance(text, str) and _INTEGER(text) else text


def number(text: Any) -> Any:
    if not isinstance(text, str) or not _NUMBER(text):
        return text
    return int(text) if _INTEGER(text) else float(text)


def boolean(text: Any) -> Any:
    return _BOOLEANS.get(text, text) if isinstance(text, str) else text


def compile_cast(document: Mapping[str, Any], schema: Any) -> Cast | None:
    """Return the cast for parameters of a schema, or None where text stays text.

    A cast leaves what it cannot read unchanged, so that the one schema check reports it.
    """
    kinds = schema_types(document, schema)
    if "array" in kinds:
        return _array_cast(document, schema)
    if "object" in kinds:
        return _object_cast(document, schema)
    if "number" in kinds:
        return number
    if "integer" in kinds:
        return integer
    return boolean if "boolean" in kinds else None


def schema_types(document: Mapping[str, Any], schema: Any, depth: int = 0) -> set[str]:
    """Return the JSON types a schema may allow, as far as its keywords say."""
    schema = resolve(document, schema)
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return set()
    declared = schema.get("type")
    kinds = {declared} if isinstance(declared, str) else set(declared or ())
    if not kinds:
        values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
        kinds = {_TYPE_NAMES[type(value)] for value in values}
    for key in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(key, ()):
            kinds |= schema_types(document, part, depth + 1)
    if not kinds and "properties" in schema:
        return {"object"}
    return kinds


_TYPE_NAMES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    list: "array",
    dict: "object",
}


def properties(document: Mapping[str, Any], schema: Any, depth: int = 0) -> dict[str, Any]:
    """Return the declared properties of an object schema, those of `allOf` parts included."""
    schema = resolve(document, schema)
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return {}
    found: dict[str, Any] = {}
    for part in schema.get("allOf", ()):
        found.update(properties(document, part, depth + 1))
    found.update(schema.get("properties", {}))
    return found


def _array_cast(document: Mapping[str, Any], schema: Any) -> Cast | None:
    item = compile_cast(document, _items(document, schema))
    if item is None:
        return None
    return lambda values: [item(value) for value in values] if isinstance(values, list) else values


def _items(document: Mapping[str, Any], schema: Any) -> Any:
    schema = resolve(document, schema)
    for part in (schema, *schema.get("allOf", ()), *schema.get("anyOf", ())):
        resolved = resolve(document, part)
        if isinstance(resolved, dict) and "items" in resolved:
            return resolved["items"]
    return {}


def _object_cast(document: Mapping[str, Any], schema: Any) -> Cast | None:
    casts: dict[str, Cast] = {}
    for name, inner in properties(document, schema).items():
        cast = compile_cast(document, inner)
        if cast is not None:
            casts[name] = cast
    if not casts:
        return None

    def cast_object(values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {key: casts[key](value) if key in casts else value for key, value in values.items()}

    return cast_object
