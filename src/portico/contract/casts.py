"""Text of a parameter becomes the JSON value its schema means."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from portico.contract.schema_parts import alternatives, parts, properties, schema_types

__all__ = ["Cast", "compile_cast", "schema_types"]

Cast = Callable[[Any], Any]

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})\Z").match
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][+-]?[0-9]{1,3})?\Z").match
_BOOLEANS = {"true": True, "false": False}


def integer(text: Any) -> Any:
    return int(text) if isinstance(text, str) and _INTEGER(text) else text


def number(text: Any) -> Any:
    if not isinstance(text, str) or not _NUMBER(text):
        return text
    if _INTEGER(text):
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else text


def boolean(text: Any) -> Any:
    return _BOOLEANS.get(text, text) if isinstance(text, str) else text


def compile_cast(document: Mapping[str, Any], schema: Any) -> Cast | None:
    """Return the cast for parameters of a schema, or None where text stays text.

    A cast leaves what it cannot read unchanged, so that the one schema check reports it.
    """
    return _Casts(document).compile(schema)


class _Casts:
    """The casts of one parameter; schemas that contain themselves get one cast each."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._made: dict[int, Cast | None] = {}

    def compile(self, schema: Any) -> Cast | None:
        key = id(schema)
        if key not in self._made:
            self._made[key] = lambda value: self._again(key, value)
            self._made[key] = self._make(schema)
        return self._made[key]

    def _again(self, key: int, value: Any) -> Any:
        cast = self._made[key]
        return value if cast is None else cast(value)

    def _make(self, schema: Any) -> Cast | None:
        kinds = schema_types(self._document, schema)
        if "array" in kinds:
            return self._array(schema)
        if "object" in kinds:
            return self._object(schema)
        is_number, is_boolean = bool(kinds & {"number", "integer"}), "boolean" in kinds
        to_number = number if "number" in kinds else integer
        if is_number and is_boolean:
            return lambda text: boolean(to_number(text))
        if is_number:
            return to_number
        return boolean if is_boolean else None

    def _array(self, schema: Any) -> Cast | None:
        item = self.compile(self._items(schema))
        if item is None:
            return _as_list

        def cast_array(values: Any) -> Any:
            values = _as_list(values)
            return [item(value) for value in values] if isinstance(values, list) else values

        return cast_array

    def _items(self, schema: Any) -> Any:
        for part in parts(self._document, schema):
            if "items" in part:
                return part["items"]
        for alternative in alternatives(self._document, schema):
            for part in parts(self._document, alternative):
                if "items" in part:
                    return part["items"]
        return {}

    def _object(self, schema: Any) -> Cast | None:
        casts: dict[str, Cast] = {}
        for name, inner in properties(self._document, schema).items():
            cast = self.compile(inner)
            if cast is not None:
                casts[name] = cast
        others = self._others(schema)
        if not casts and others is None:
            return None

        def cast_object(values: Any) -> Any:
            if not isinstance(values, dict):
                return values
            return {
                key: casts[key](value) if key in casts else others(value) if others else value
                for key, value in values.items()
            }

        return cast_object

    def _others(self, schema: Any) -> Cast | None:
        """Return the cast of members that are not declared by name."""
        for part in parts(self._document, schema):
            if isinstance(part.get("additionalProperties"), dict):
                return self.compile(part["additionalProperties"])
        return None


def _as_list(values: Any) -> Any:
    """Return `a[]=x` and `a[0]=x&a[1]=y`, read as objects, as the lists they mean."""
    if not isinstance(values, dict):
        return values
    if set(values) == {""}:
        return values[""] if isinstance(values[""], list) else [values[""]]
    if list(values) == [str(index) for index in range(len(values))]:
        return list(values.values())
    return values
