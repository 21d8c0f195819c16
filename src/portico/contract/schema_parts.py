"""What a schema consists of, and what can be told from it without any data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portico.contract.bundle import target

_TYPE_NAMES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    list: "array",
    dict: "object",
}


def parts(document: Mapping[str, Any], schema: Any) -> list[Mapping[str, Any]]:
    """Return the schemas that apply whatever the data is: itself, its `$ref`, its `allOf`."""
    if isinstance(schema, dict) and "$ref" not in schema and "allOf" not in schema:
        return [schema]  # as nearly all are
    found: dict[int, Mapping[str, Any]] = {}
    pending = [schema]
    while pending:
        part = pending.pop()
        if not isinstance(part, dict) or id(part) in found:
            continue
        found[id(part)] = part
        pending.extend(reversed(part.get("allOf", ())))
        if isinstance(part.get("$ref"), str):
            pending.append(target(document, part["$ref"]))
    return list(found.values())


def alternatives(document: Mapping[str, Any], schema: Any) -> Iterator[Any]:
    """Yield the schemas of which some apply: those of `anyOf` and `oneOf`."""
    for part in parts(document, schema):
        yield from part.get("anyOf", ())
        yield from part.get("oneOf", ())


def keyword(document: Mapping[str, Any], schema: Any, name: str, default: Any = None) -> Any:
    """Return the value of a keyword, the outermost where several parts have it."""
    for part in parts(document, schema):
        if name in part:
            return part[name]
    return default


def properties(document: Mapping[str, Any], schema: Any) -> dict[str, Any]:
    """Return the declared properties of an object schema."""
    found: dict[str, Any] = {}
    for part in parts(document, schema):
        for name, inner in part.get("properties", {}).items():
            found.setdefault(name, inner)
    return found


def schema_types(document: Mapping[str, Any], schema: Any) -> set[str]:
    """Return the JSON types a schema may allow, as far as its keywords say."""
    kinds: set[str] = set()
    seen: set[int] = set()
    pending = [schema]
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        for part in parts(document, current):
            kinds |= _own_types(part)
        pending.extend(alternatives(document, current))
    return kinds


def _own_types(schema: Mapping[str, Any]) -> set[str]:
    declared = schema.get("type")
    if isinstance(declared, str):
        return {declared}
    if declared:
        return set(declared)
    values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
    if values:
        return {_TYPE_NAMES[type(value)] for value in values}
    return {"object"} if "properties" in schema else set()
