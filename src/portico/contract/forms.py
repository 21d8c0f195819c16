"""Fields of forms and multipart bodies: texts and parts become the members of an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portico.contract import styles
from portico.contract.casts import compile_cast
from portico.contract.decoding import MalformedBodyError, decode_as, loose_json
from portico.contract.media import essence, is_json, specificity
from portico.contract.multipart import Part
from portico.contract.schema_parts import keyword, properties, schema_types
from portico.contract.styles import ABSENT, Query


class Fields:
    """The fields that the schema and the encoding object of a media type describe."""

    def __init__(
        self, document: Mapping[str, Any], schema: Any, encoding: Mapping[str, Any]
    ) -> None:
        declared = properties(document, schema)
        self._fields = {
            name: _Field(document, name, declared.get(name, {}), encoding.get(name, {}))
            for name in dict.fromkeys((*declared, *encoding))
        }

    def read(self, query: Query) -> dict[str, Any]:
        """Take the members of a form out of it and return them; raises StyleError."""
        found: dict[str, Any] = {}
        for name, field in self._fields.items():
            value = field.read(query)
            if value is not ABSENT:
                found[name] = value
        rest, query.values = query.values, {}
        for name, values in rest.items():
            found[name] = styles.unlisted(values)
        return found

    def join(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Return the members that the parts of a multipart body are; raises MalformedBodyError."""
        values: dict[str, list[Any]] = {}
        for part in parts:
            field = self._fields.get(part.name)
            value = decode_as(part.data, part.content_type) if field is None else field.part(part)
            values.setdefault(part.name, []).append(value)
        return {
            name: self._fields[name].value(found)
            if name in self._fields
            else (found[0] if len(found) == 1 else found)
            for name, found in values.items()
        }


class _Field:
    __slots__ = ("_cast", "_explode", "_is_array", "_is_json", "_name", "_style", "_types")

    def __init__(
        self, document: Mapping[str, Any], name: str, schema: Any, encoding: Mapping[str, Any]
    ) -> None:
        kinds = schema_types(document, schema)
        self._name = name
        self._is_array = "array" in kinds
        if self._is_array:
            kinds = schema_types(document, keyword(document, schema, "items", {}))
        types = (kind.strip() for kind in str(encoding.get("contentType", "")).split(","))
        self._types = [kind for kind in types if kind]
        self._style = str(encoding.get("style", "form"))
        self._explode = bool(encoding.get("explode", self._style == "form"))
        # An object is JSON unless a style says otherwise (OpenAPI 3.1.1, 4.8.15.1.1).
        by_default = "object" in kinds and "style" not in encoding
        self._is_json = any(map(is_json, self._types)) or by_default
        self._cast = compile_cast(document, schema)

    def read(self, query: Query) -> Any:
        """Take the field out of a form and return its value, or ABSENT; raises StyleError."""
        if self._style == "deepObject":
            found = styles.deep_object(query, self._name)
            return found if found is ABSENT or self._cast is None else self._cast(found)
        raw = query.take(self._name)
        if raw is None:
            return ABSENT
        if self._is_array and not self._explode:
            texts = [part for value in raw for part in styles.split_query(value, self._style)]
        else:
            texts = [styles.decode_query(value) for value in raw]
        return self.value([loose_json(text) for text in texts] if self._is_json else texts)

    def part(self, part: Part) -> Any:
        """Return the data of one part; raises MalformedBodyError."""
        kind = part.content_type
        if self._types and not any(specificity(declared, kind) for declared in self._types):
            raise MalformedBodyError(
                f"the part {self._name[:64]!r} may not be {essence(kind)[:64]}"
            )
        value = decode_as(part.data, kind)
        return loose_json(value) if self._is_json and not is_json(kind) else value

    def value(self, values: list[Any]) -> Any:
        """Return the data of a field from what was sent under its name."""
        read: Any = values[0] if len(values) == 1 else values
        if self._is_array and not isinstance(read, list):
            read = values
        return read if self._cast is None else self._cast(read)
