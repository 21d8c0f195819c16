"""What is wrong with the schemas of a document, wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs

from portico.contract.bundle import Bundle
from portico.contract.findings import Finding
from portico.contract.schemas import (
    BACKTRACK_LIMIT,
    DEFAULT_DIALECT,
    DIALECTS,
    Dialect,
    find_dialect,
)
from portico.contract.walk import Pointer, all_objects

_META_HINT = "compare this place with JSON Schema 2020-12 and the OpenAPI specification"
_PATTERN_HINT = "write a regular expression as in ECMA 262, and keep counted repetitions small"
_MAX_MESSAGE = 300  # characters


def schema_findings(bundle: Bundle) -> list[Finding]:
    """Return the findings about dialects, meta-schema, patterns and discriminators."""
    declared = bundle.document.get("jsonSchemaDialect", DEFAULT_DIALECT)
    dialect = find_dialect(declared)
    if dialect is None:
        return [_unknown_dialect(bundle, ("jsonSchemaDialect",), declared)]
    checks = _Checks(bundle, dialect)
    root: Pointer | None = None
    for schema, pointer, kind in all_objects(bundle.document):
        if kind != "schema":
            root = None
        elif root is None or pointer[: len(root)] != root:
            root = pointer
            checks.whole(schema, pointer)
    return checks.findings


class _Checks:
    """What is found out about one schema after the other."""

    def __init__(self, bundle: Bundle, dialect: Dialect) -> None:
        self.findings: list[Finding] = []
        self._bundle = bundle
        self._dialect = dialect
        # The schema of OpenAPI 3.0 describes schemas as well, so they have been checked.
        self._has_meta = not str(bundle.document["openapi"]).startswith("3.0")
        self._patterns: dict[str, str] = {}

    def whole(self, schema: Mapping[str, Any], at: Pointer) -> None:
        """Check a schema and all inside it: details only where the shape is right."""
        parts = [part for part in all_objects(schema, "schema", at) if "$schema" in part[0]]
        for part, pointer, _ in parts:
            if find_dialect(part["$schema"]) is not self._dialect:
                place = (*pointer, "$schema")
                self.findings.append(_unknown_dialect(self._bundle, place, part["$schema"]))
        if parts or (self._has_meta and not self._matches_meta(schema, at)):
            return
        for part, pointer, _ in all_objects(schema, "schema", at):
            self._details(part, pointer)

    def _matches_meta(self, schema: Mapping[str, Any], at: Pointer) -> bool:
        try:
            jsonschema_rs.meta.validate({**schema, "$schema": self._dialect.uri})
        except jsonschema_rs.ValidationError as error:
            self._find((*at, *error.instance_path), error.message[:_MAX_MESSAGE], _META_HINT)
            return False
        return True

    def _details(self, schema: Mapping[str, Any], at: Pointer) -> None:
        named: list[tuple[Pointer, str]] = [
            (("patternProperties", text), text) for text in schema.get("patternProperties", ())
        ]
        if "pattern" in schema:
            named.append((("pattern",), schema["pattern"]))
        for way, expression in named:
            if expression not in self._patterns:
                self._patterns[expression] = _pattern_fault(expression)
            if self._patterns[expression]:
                self._find((*at, *way), self._patterns[expression], _PATTERN_HINT)
        discriminator = schema.get("discriminator")
        if discriminator is not None and not _names_property(discriminator):
            hint = "write `discriminator: {propertyName: kind}`"
            self._find((*at, "discriminator"), "the discriminator names no property", hint)

    def _find(self, pointer: Sequence[object], message: str, hint: str) -> None:
        self.findings.append(self._bundle.finding(pointer, "invalid-schema", message, hint))


def _unknown_dialect(bundle: Bundle, pointer: Pointer, dialect: object) -> Finding:
    return bundle.finding(
        pointer,
        "unknown-dialect",
        f"the dialect {str(dialect)[:100]!r} is not known here, or not that of the document",
        f"use one of {', '.join(DIALECTS)} for the whole document",
    )


def _names_property(discriminator: object) -> bool:
    return isinstance(discriminator, dict) and isinstance(discriminator.get("propertyName"), str)


def _pattern_fault(expression: str) -> str:
    """Return why a pattern cannot be used; both engines have a limit on its compiled size."""
    for engine in (
        jsonschema_rs.RegexOptions(),
        jsonschema_rs.FancyRegexOptions(BACKTRACK_LIMIT),
    ):
        try:
            jsonschema_rs.Draft202012Validator({"pattern": expression}, pattern_options=engine)
        except jsonschema_rs.ValidationError:
            continue
        return ""
    return f"the pattern {expression[:100]!r} cannot be compiled"
