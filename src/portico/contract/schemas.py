"""Validators of a document's schemas, seen by requests and by responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import jsonschema_rs

from portico.contract.bundle import resolve
from portico.contract.walk import Schema, map_schema

Direction = Literal["request", "response"]
Validator = jsonschema_rs.Validator

_DIALECTS: Mapping[str, type[Any]] = {
    "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
}
# Annotations of the OpenAPI format registry that JSON Schema validators do not know.
_FORMATS: Mapping[str, Schema] = {
    "int32": {"minimum": -(2**31), "maximum": 2**31 - 1},
    "int64": {"minimum": -(2**63), "maximum": 2**63 - 1},
    "byte": {"pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"},
}
# One data member may be hidden from one direction: the other keyword of the pair is ignored.
_HIDDEN: Mapping[Direction, str] = {"request": "readOnly", "response": "writeOnly"}
_COMPONENT = "#/components/schemas/"
# Patterns that need look-around run on a backtracking engine, with this bound (steps).
_BACKTRACK_LIMIT = 100_000


class SchemaSet:
    """The schemas of one document as one direction sees them."""

    def __init__(self, document: Mapping[str, Any], direction: Direction) -> None:
        self._document = document
        self._hidden = _HIDDEN[direction]
        self._uri = f"urn:portico:{direction}"
        dialect = str(document.get("jsonSchemaDialect", "")).rstrip("#")
        self._validator_class = _DIALECTS.get(dialect, jsonschema_rs.Draft202012Validator)
        self._lifted = {ref: f"Lifted-{n}" for n, ref in enumerate(_inner_references(document))}
        schemas = document.get("components", {}).get("schemas", {})
        definitions = {name: self.view(schema) for name, schema in schemas.items()}
        for reference, name in self._lifted.items():
            definitions[name] = self.view(resolve(document, {"$ref": reference}))
        self._registry = jsonschema_rs.Registry([(self._uri, {"$defs": definitions})])

    def view(self, schema: Any) -> Any:
        """Return the schema as this direction sees it, with references into this set."""
        return map_schema(schema, self._change)

    def validator(self, schema: Any) -> Validator:
        """Return a compiled validator of a schema that `view` made.

        Regular expressions run in linear time, except those that need look-around.
        Raises jsonschema_rs.ValidationError if the schema is not a valid one.
        """
        try:
            return self._compile(schema, jsonschema_rs.RegexOptions())
        except jsonschema_rs.ValidationError:
            return self._compile(schema, jsonschema_rs.FancyRegexOptions(_BACKTRACK_LIMIT))

    def _compile(self, schema: Any, regex: Any) -> Validator:
        validator: Validator = self._validator_class(
            schema,
            registry=self._registry,
            validate_formats=True,
            offline=True,
            pattern_options=regex,
        )
        return validator

    def _change(self, schema: Schema) -> Schema:
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            schema["$ref"] = self._local(reference)
        if "required" in schema:
            schema = self._without_hidden(schema)
        extra = _FORMATS.get(str(schema.get("format")))
        if extra is not None:
            schema["allOf"] = [*schema.get("allOf", ()), dict(extra)]
        return schema

    def _local(self, reference: str) -> str:
        if reference in self._lifted:
            return f"{self._uri}#/$defs/{self._lifted[reference]}"
        return f"{self._uri}#/$defs/{reference.removeprefix(_COMPONENT)}"

    def _without_hidden(self, schema: Schema) -> Schema:
        """Drop members this direction never carries from `required` (OpenAPI 3.1.1, 4.8.24)."""
        hidden = self._hidden_names(schema)
        if hidden:
            schema["required"] = [name for name in schema["required"] if name not in hidden]
        return schema

    def _hidden_names(self, schema: Schema) -> set[str]:
        names = {
            name
            for name, inner in (schema.get("properties") or {}).items()
            if self._is_hidden(inner)
        }
        for part in schema.get("allOf", ()):
            resolved = resolve(self._document, part)
            if isinstance(resolved, dict):
                names |= self._hidden_names(resolved)
        return names

    def _is_hidden(self, schema: Any) -> bool:
        if isinstance(schema, dict) and schema.get(self._hidden) is True:
            return True
        resolved = resolve(self._document, schema)
        return isinstance(resolved, dict) and resolved.get(self._hidden) is True


def _inner_references(document: Mapping[str, Any]) -> list[str]:
    """Return the local references that point at schemas outside `components/schemas`.

    References to whole components of other kinds are included too; nothing refers to those
    from a schema, so their definitions are never used.
    """
    found: dict[str, None] = {}
    pending: list[Any] = [document]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str) and reference.startswith("#/"):
                found[reference] = None
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    return [
        reference
        for reference in found
        if not reference.startswith(_COMPONENT) and reference.count("/") > 3
    ]
