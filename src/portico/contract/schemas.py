"""Validators of a document's schemas, seen by requests and by responses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import jsonschema_rs

from portico.contract.bundle import target
from portico.contract.directions import Direction, Hidden
from portico.contract.walk import Pointer, Schema, all_objects, rebuild

Cause = jsonschema_rs.ValidationError


class Validator:
    """A compiled schema. Its two functions are those of jsonschema-rs."""

    __slots__ = ("_schema", "_set", "is_valid", "iter_errors")

    def __init__(self, compiled: jsonschema_rs.Validator, schema: Any, origin: SchemaSet) -> None:
        self.is_valid: Callable[[Any], bool] = compiled.is_valid
        self.iter_errors: Callable[[Any], Iterator[Cause]] = compiled.iter_errors
        self._schema = schema
        self._set = origin

    def causes(self, data: Any) -> Iterator[Cause]:
        """Yield what is wrong with data, in the words of the alternative it says it is."""
        return self._expand(self.iter_errors(data))

    def _expand(self, errors: Iterable[Cause]) -> Iterator[Cause]:
        for error in errors:
            hinted = self._set.hinted_branch(error, self._schema)
            if hinted:
                yield from self._expand(hinted)
            else:
                yield error


@dataclass(frozen=True, slots=True)
class Dialect:
    """A version of JSON Schema."""

    uri: str
    validator: type[Any]
    draft: int


_2020 = Dialect(
    "https://json-schema.org/draft/2020-12/schema",
    jsonschema_rs.Draft202012Validator,
    jsonschema_rs.Draft202012,
)
_2019 = Dialect(
    "https://json-schema.org/draft/2019-09/schema",
    jsonschema_rs.Draft201909Validator,
    jsonschema_rs.Draft201909,
)
_7 = Dialect(
    "http://json-schema.org/draft-07/schema", jsonschema_rs.Draft7Validator, jsonschema_rs.Draft7
)
# Those of OpenAPI 3.1 and 3.2 are 2020-12 with annotations. A 3.0 document is converted to it.
_OPENAPI_DIALECTS = (
    "https://spec.openapis.org/oas/3.1/dialect/base",
    "https://spec.openapis.org/oas/3.2/dialect/2025-09-17",
)
DIALECTS: Mapping[str, Dialect] = {
    _2020.uri: _2020,
    **dict.fromkeys(_OPENAPI_DIALECTS, _2020),
    _2019.uri: _2019,
    _7.uri: _7,
}
DEFAULT_DIALECT = _2020.uri
_FLOAT = 3.4028234663852886e38
# Formats of the OpenAPI registry that JSON Schema validators do not know.
_FORMATS: Mapping[str, Schema] = {
    "int32": {"minimum": -(2**31), "maximum": 2**31 - 1},
    "int64": {"minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"minimum": -_FLOAT, "maximum": _FLOAT},
    "byte": {"pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"},
}
_ALTERNATIVES = ("allOf", "anyOf", "oneOf")
# Patterns that need look-around run on a backtracking engine, with this bound (steps).
BACKTRACK_LIMIT = 100_000


def find_dialect(uri: object) -> Dialect | None:
    """Return the dialect that a URI names, None if it is not known."""
    return DIALECTS.get(str(uri).rstrip("#"))


class SchemaSet:
    """The schemas of one document as one direction sees them.

    Raises ValueError when they cannot be put together.
    """

    def __init__(self, document: Mapping[str, Any], direction: Direction) -> None:
        self._document = document
        self._hidden = Hidden(document, direction)
        # What requests must not carry is dropped; what responses carry has been sent.
        self._forbids = direction == "response"
        self._uri = f"urn:portico:{direction}"
        self._dialect = find_dialect(document.get("jsonSchemaDialect", DEFAULT_DIALECT)) or _2020
        self._names = _definitions(document)
        self._compiled: dict[bytes, Validator] = {}
        self._definitions = {
            name: self.view(target(document, reference)) for reference, name in self._names.items()
        }
        self._registry = jsonschema_rs.Registry(
            [(self._uri, {"$defs": self._definitions})], draft=self._dialect.draft
        )

    def view(self, schema: Any, hidden: frozenset[str] = frozenset()) -> Any:
        """Return the schema as this direction sees it, with references into this set.

        Members in `hidden`, and those that the schema itself hides, are not required.
        """
        if not isinstance(schema, dict):
            return schema
        hidden |= self._hidden.names(schema)

        def inner(value: Any, way: Pointer, kind: str) -> Any:
            del kind
            return self.view(value, hidden if way[0] in _ALTERNATIVES else frozenset())

        seen = rebuild(schema, "schema", inner)
        seen.pop("$schema", None)
        for name, value in (schema.get("properties") or {}).items():
            if self._forbids and self._hidden.is_hidden(value):
                seen["properties"][name] = False
        if hidden and isinstance(seen.get("required"), list):
            seen["required"] = [name for name in seen["required"] if name not in hidden]
        self._refer(seen, hidden)
        extra = _FORMATS.get(str(seen.get("format")))
        if extra is not None:
            seen["allOf"] = [*seen.get("allOf", ()), dict(extra)]
        return seen

    def validator(self, schema: Any) -> Validator:
        """Return a compiled validator of a schema that `view` made.

        Equal schemas, such as the one error of all operations, share one. Regular expressions
        run in linear time, except those that need look-around.
        Raises jsonschema_rs.ValidationError if the schema is not a valid one.
        """
        key = hashlib.blake2b(json.dumps(schema).encode(), digest_size=16).digest()
        if key not in self._compiled:
            try:
                compiled = self._compile(schema, jsonschema_rs.RegexOptions())
            except jsonschema_rs.ValidationError:
                compiled = self._compile(schema, jsonschema_rs.FancyRegexOptions(BACKTRACK_LIMIT))
            self._compiled[key] = compiled
        return self._compiled[key]

    def _compile(self, schema: Any, regex: Any) -> Validator:
        compiled = self._dialect.validator(
            schema,
            registry=self._registry,
            validate_formats=True,
            offline=True,
            pattern_options=regex,
        )
        return Validator(compiled, schema, self)

    def hinted_branch(self, error: Cause, root: Any) -> list[Cause]:
        """Return why data is not the alternative that its discriminator names, if it names one."""
        branches = getattr(error.kind, "context", None)
        if not branches or not isinstance(error.instance, dict):
            return []
        holder = self._holder(error, root)
        discriminator = holder.get("discriminator")
        if not isinstance(discriminator, dict):
            return []
        named = error.instance.get(discriminator.get("propertyName", ""))
        wanted = self._mapped(discriminator, named)
        for alternative, causes in zip(holder[error.kind.name], branches, strict=False):
            if wanted and isinstance(alternative, dict) and alternative.get("$ref") == wanted:
                return list(causes)
        return []

    def _holder(self, error: Cause, root: Any) -> Mapping[str, Any]:
        """Return the schema whose alternatives an error is about, or nothing."""
        location = error.absolute_keyword_location or ""
        node: Any = self._definitions if location.startswith(self._uri + "#/") else root
        path = error.schema_path[1:] if node is self._definitions else error.schema_path
        try:
            for part in path[:-1]:
                node = node[part]
        except (KeyError, IndexError, TypeError):  # in a resource of its own, named by `$id`
            return {}
        return node if isinstance(node, dict) and error.kind.name in node else {}

    def _mapped(self, discriminator: Mapping[str, Any], named: object) -> str:
        """Return the reference that a discriminator's value stands for."""
        mapping = discriminator.get("mapping", {})
        if isinstance(named, str):
            reference = mapping.get(named, f"#/components/schemas/{named}")
        else:
            reference = discriminator.get("defaultMapping", "")
        known = self._names.get(reference)
        return "" if known is None else self._absolute(known)

    def _absolute(self, name: str) -> str:
        return f"{self._uri}#/$defs/{name}"

    def _refer(self, schema: Schema, hidden: frozenset[str]) -> None:
        """Make the schema's references absolute; put in place what they must not require."""
        if isinstance(schema.get("$id"), str):
            schema["$id"] = self._named(schema["$id"])
        dynamic = schema.get("$dynamicRef")
        if isinstance(dynamic, str) and not dynamic.startswith("#"):
            schema["$dynamicRef"] = self._named(dynamic)
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return
        referred = target(self._document, reference)
        if hidden and self._requires(referred, hidden):
            del schema["$ref"]
            schema["allOf"] = [*schema.get("allOf", ()), self.view(referred, hidden)]
        else:
            schema["$ref"] = self._absolute(self._names[reference])

    def _requires(self, schema: Any, names: frozenset[str]) -> bool:
        """Tell whether a schema requires members that it does not itself know to be hidden."""
        if not isinstance(schema, dict):
            return False
        names -= self._hidden.names(schema)
        if not names:
            return False
        parts = [part for key in _ALTERNATIVES for part in schema.get(key, ())]
        if "$ref" in schema:
            parts.append(target(self._document, schema["$ref"]))
        required = schema.get("required", ())
        return not names.isdisjoint(required) or any(self._requires(part, names) for part in parts)

    def _named(self, uri: str) -> str:
        name, hash_sign, fragment = uri.partition("#")
        return f"{self._uri}:{quote(name, safe='')}{hash_sign}{fragment}"


def _definitions(document: Mapping[str, Any]) -> dict[str, str]:
    """Return a name for everything that a schema refers to."""
    found: dict[str, str] = {}
    for schema, _, kind in all_objects(document):
        reference = schema.get("$ref")
        if kind == "schema" and isinstance(reference, str):
            found.setdefault(reference, f"D{len(found)}")
    return found
