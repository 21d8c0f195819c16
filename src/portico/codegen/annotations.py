"""Schemas become annotations, and object schemas the TypedDicts that annotations name."""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from portico.codegen.apis import Schema
from portico.contract.bundle import resolve
from portico.server.bind import snake_case

_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_LINE = 92


class Models:
    """The classes for the object schemas that annotations were asked for.

    With `filled`, members with a default count as present, as they are for a handler.
    """

    def __init__(self, document: Schema, *, filled: bool) -> None:
        self._document = document
        self._filled = filled
        self._names: dict[str, Schema] = {}
        self.classes: list[str] = []

    def annotation(self, schema: object, hint: str) -> str:
        """Return the annotation for a schema; `hint` names its class if it has no name itself."""
        if not isinstance(schema, Mapping):
            return "object"
        if "$ref" in schema:
            target: Schema = resolve(self._document, dict(schema))
            return self.annotation(target, schema["$ref"].rpartition("/")[2])
        if "const" in schema:
            return _literal([schema["const"]])
        if "enum" in schema:
            return _literal(schema["enum"])
        for name in ("oneOf", "anyOf"):
            if name in schema:
                return union(self.annotation(part, hint) for part in schema[name])
        return self._by_type(schema, hint)

    def _by_type(self, schema: Schema, hint: str) -> str:
        kinds = schema.get("type", "object" if _has_members(schema) else ())
        if isinstance(kinds, str):
            return self._of_type(kinds, schema, hint)
        return union(self._of_type(kind, schema, hint) for kind in kinds) or "object"

    def _of_type(self, kind: str, schema: Schema, hint: str) -> str:
        if kind == "array":
            return f"list[{self.annotation(schema.get('items'), hint + 'Item')}]"
        if kind != "object":
            return _SCALARS[kind]
        if _has_members(schema):
            return self._class(schema, str(schema.get("title", hint)))
        return f"dict[str, {self.annotation(schema.get('additionalProperties'), hint + 'Value')}]"

    def _class(self, schema: Schema, name: str) -> str:
        name = self._free_name(schema, pascal_case(name))
        if name not in self._names:
            self._names[name] = schema
            fields = list(self._fields(schema, name))
            self.classes.append(_render_class(name, str(schema.get("description", "")), fields))
        return name

    def _free_name(self, schema: Schema, name: str) -> str:
        candidate, count = name, 1
        while self._names.get(candidate, schema) is not schema:
            count += 1
            candidate = f"{name}{count}"
        return candidate

    def _fields(self, schema: Schema, name: str) -> Iterator[tuple[str, str]]:
        properties, required = self._members(schema)
        for key, inner in properties.items():
            annotation = self.annotation(inner, name + pascal_case(key))
            yield key, annotation if key in required else f"NotRequired[{annotation}]"

    def _members(self, schema: Schema) -> tuple[dict[str, Schema], set[str]]:
        """Return the members of a schema with those of its `allOf`, and which are required."""
        properties: dict[str, Schema] = {}
        required = set(schema.get("required", ()))
        for part in schema.get("allOf", ()):
            inherited, needed = self._members(resolve(self._document, part))
            properties.update(inherited)
            required |= needed
        for key, inner in schema.get("properties", {}).items():
            properties[key] = {**properties.get(key, {}), **inner}
            if self._filled and "default" in resolve(self._document, inner):
                required.add(key)
        return properties, required


def _has_members(schema: Schema) -> bool:
    return "properties" in schema or "allOf" in schema


def _literal(values: Sequence[object]) -> str:
    return f"Literal[{', '.join(repr(value) for value in values)}]"


def union(annotations: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(annotations))


def pascal_case(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", text))


def python_name(text: str) -> str:
    """Return the Python name of an operation or parameter, usable as an argument."""
    name = snake_case(text)
    return f"{name}_" if keyword.iskeyword(name) else name


def _render_class(name: str, description: str, fields: Sequence[tuple[str, str]]) -> str:
    if any(not key.isidentifier() or keyword.iskeyword(key) for key, _ in fields):
        return _render_dict(name, fields, "")
    if _hides_a_type(fields):
        return _render_dict(name, fields, "  # noqa: UP013 - a member would hide a type of another")
    lines = [f"class {name}(TypedDict):"]
    if description:
        lines.append(textwrap.indent(_docstring(description), "    "))
    lines.extend(f"    {key}: {annotation}" for key, annotation in fields)
    return "\n".join(lines) + "\n"


def _render_dict(name: str, fields: Sequence[tuple[str, str]], comment: str) -> str:
    members = ", ".join(f"{key!r}: {annotation!r}" for key, annotation in fields)
    return f"{name} = TypedDict({comment}\n    {name!r}, {{{members}}}\n)\n"


def _hides_a_type(fields: Sequence[tuple[str, str]]) -> bool:
    """Tell whether a member is called like a type that another member's annotation needs."""
    used = {word for _, annotation in fields for word in re.findall(r"\w+", annotation)}
    return any(key in used for key, _ in fields)


def _docstring(text: str) -> str:
    sentence = re.split(r"(?<=\.)\s", " ".join(text.split()))[0].rstrip(".")
    return '"""' + "\n".join(textwrap.wrap(sentence + ".", _LINE)).replace("\\", "\\\\") + '"""'
