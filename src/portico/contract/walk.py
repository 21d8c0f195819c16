"""The grammar of OpenAPI documents: the one place that knows what stands where.

Every object of a document is of a kind, and each kind has members that hold further objects.
Whatever no rule names is data: examples, defaults, extensions. Nothing in data is a schema or a
reference, however much it may look like one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

Schema = dict[str, Any]
Pointer = tuple[str, ...]
Shape = Literal["one", "list", "map"]
Visit = Callable[[Any, Pointer, str], Any]

# Keywords of JSON Schema 2020-12, and of the drafts before it, that hold schemas.
_SCHEMA: Mapping[str, tuple[Shape, str]] = {
    **dict.fromkeys(
        (
            "items",
            "additionalItems",
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
        ),
        ("one", "schema"),
    ),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), ("list", "schema")),
    **dict.fromkeys(
        (
            "properties",
            "patternProperties",
            "$defs",
            "definitions",
            "dependentSchemas",
            "dependencies",
        ),
        ("map", "schema"),
    ),
}
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_CONTENT: Mapping[str, tuple[Shape, str]] = {"content": ("map", "mediaType")}
_PARAMETER: Mapping[str, tuple[Shape, str]] = {
    **_CONTENT,
    "schema": ("one", "schema"),
    "examples": ("map", "example"),
}
# The member "*" stands for every member but extensions.
_KINDS: Mapping[str, Mapping[str, tuple[Shape, str]]] = {
    "document": {
        "paths": ("one", "paths"),
        "webhooks": ("map", "pathItem"),
        "components": ("one", "components"),
    },
    "components": {
        "schemas": ("map", "schema"),
        "responses": ("map", "response"),
        "parameters": ("map", "parameter"),
        "examples": ("map", "example"),
        "requestBodies": ("map", "requestBody"),
        "headers": ("map", "header"),
        "securitySchemes": ("map", "securityScheme"),
        "links": ("map", "link"),
        "callbacks": ("map", "callback"),
        "pathItems": ("map", "pathItem"),
        "mediaTypes": ("map", "mediaType"),
    },
    "paths": {"*": ("one", "pathItem")},
    "pathItem": {
        **dict.fromkeys(METHODS, ("one", "operation")),
        "additionalOperations": ("map", "operation"),
        "parameters": ("list", "parameter"),
    },
    "operation": {
        "parameters": ("list", "parameter"),
        "requestBody": ("one", "requestBody"),
        "responses": ("one", "responses"),
        "callbacks": ("map", "callback"),
    },
    "parameter": _PARAMETER,
    "header": _PARAMETER,
    "requestBody": _CONTENT,
    "responses": {"*": ("one", "response")},
    "response": {**_CONTENT, "headers": ("map", "header"), "links": ("map", "link")},
    "mediaType": {
        "schema": ("one", "schema"),
        "itemSchema": ("one", "schema"),
        "examples": ("map", "example"),
        "encoding": ("map", "encoding"),
        "prefixEncoding": ("list", "encoding"),
        "itemEncoding": ("one", "encoding"),
    },
    "encoding": {
        "headers": ("map", "header"),
        "encoding": ("map", "encoding"),
        "prefixEncoding": ("list", "encoding"),
        "itemEncoding": ("one", "encoding"),
    },
    "callback": {"*": ("one", "pathItem")},
    "schema": _SCHEMA,
    "example": {},
    "link": {},
    "securityScheme": {},
}


def member(kind: str, key: str) -> tuple[Shape, str] | None:
    """Return the shape and kind of what a member of an object holds, None for data."""
    members = _KINDS[kind]
    found = members.get(key)
    if found is None and "*" in members and not key.startswith("x-"):
        return members["*"]
    return found


def objects_in(node: Mapping[str, Any], kind: str) -> Iterator[tuple[Any, Pointer, str]]:
    """Yield each object directly inside another, with the way to it and its kind."""
    members = _KINDS[kind]
    others = members.get("*")
    for key, value in node.items():
        # As `member` does, without a call for each key: documents are walked again and again.
        found = members.get(key)
        if found is None:
            if others is None or key.startswith("x-"):
                continue
            found = others
        shape, inner = found
        if shape == "one" and not isinstance(value, list):
            yield value, (key,), inner
        elif isinstance(value, list):
            yield from ((item, (key, str(n)), inner) for n, item in enumerate(value))
        elif isinstance(value, dict):
            yield from ((item, (key, name), inner) for name, item in value.items())


def rebuild(node: Mapping[str, Any], kind: str, visit: Visit) -> dict[str, Any]:
    """Return a copy of an object in which `visit` replaced each object directly inside it.

    `visit` gets the inner object, the way to it and its kind. Data is taken over as it is.
    """
    copied: dict[str, Any] = {}
    for key, value in node.items():
        found = member(kind, key)
        if found is None:
            copied[key] = value
            continue
        shape, inner = found
        if isinstance(value, list):  # before 2020-12, `items` could be a list, too
            copied[key] = [visit(item, (key, str(n)), inner) for n, item in enumerate(value)]
        elif shape == "map" and isinstance(value, dict):
            copied[key] = {name: visit(v, (key, name), inner) for name, v in value.items()}
        else:
            copied[key] = visit(value, (key,), inner)
    return copied


def all_objects(
    node: Any, kind: str = "document", at: Pointer = ()
) -> Iterator[tuple[Mapping[str, Any], Pointer, str]]:
    """Yield an object and every object inside it, each before what is in it."""
    pending: list[tuple[Any, Pointer, str]] = [(node, at, kind)]
    while pending:
        current, pointer, its_kind = pending.pop()
        if not isinstance(current, dict):
            continue
        yield current, pointer, its_kind
        inner = [(value, (*pointer, *way), k) for value, way, k in objects_in(current, its_kind)]
        pending.extend(reversed(inner))


def kind_at(pointer: Sequence[str]) -> str | None:
    """Return the kind of the object at a pointer into a document, None if it is no object."""
    kind = "document"
    parts = list(pointer)
    while parts:
        found = member(kind, parts.pop(0))
        if found is None:
            return None
        shape, kind = found
        if shape != "one" and not parts:
            return None
        if shape != "one":
            parts.pop(0)
    return kind


def map_schemas(document: Mapping[str, Any], change: Callable[[Schema], Schema]) -> dict[str, Any]:
    """Return a copy of an OpenAPI document with `change` applied to every schema object.

    Inner schemas are changed before the one they stand in. `change` gets a fresh dict.
    """

    def visit(node: Any, way: Pointer, kind: str) -> Any:
        del way
        if kind == "schema":
            return map_schema(node, change)
        return rebuild(node, kind, visit) if isinstance(node, dict) else node

    return rebuild(document, "document", visit)


def map_schema(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """Return a copy of one schema with `change` applied to it and to all schemas inside."""

    def visit(node: Any, way: Pointer, kind: str) -> Any:
        del way, kind
        return change(rebuild(node, "schema", visit)) if isinstance(node, dict) else node

    return visit(schema, (), "schema")
