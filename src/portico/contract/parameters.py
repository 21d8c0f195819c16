"""Compiled parameters: where each is found, how it is read, what stands for it when absent."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

from portico.contract import json_body, styles
from portico.contract.bundle import resolve
from portico.contract.casts import Cast, compile_cast, properties, schema_types
from portico.contract.media import is_json
from portico.contract.styles import Query, StyleError

Where = Literal["path", "query", "header", "cookie", "querystring"]
ABSENT: Any = object()
# Headers that other parts of a contract describe (OpenAPI 3.1.1, 4.8.12.2.1).
IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})
_DEFAULT_STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of an operation; `schema` is as the document has it."""

    name: str
    where: Where
    required: bool
    schema: Any
    style: str
    explode: bool
    description: str = ""
    deprecated: bool = False
    allow_empty: bool = False
    is_content: bool = False


def read_parameter(document: Mapping[str, Any], node: Any) -> Parameter:
    """Return the parameter described by a Parameter Object or a reference to one."""
    found = resolve(document, node)
    where = found["in"]
    content = found.get("content") or {}
    media = resolve(document, next(iter(content.values()))) if content else {}
    style = found.get("style", _DEFAULT_STYLES.get(where, "form"))
    return Parameter(
        name=found["name"],
        where=where,
        required=bool(found.get("required", where == "path")),
        schema=media.get("schema", {}) if content else found.get("schema", {}),
        style=style,
        explode=bool(found.get("explode", style in {"form", "cookie"})),
        description=str(found.get("description", "")),
        deprecated=bool(found.get("deprecated", False)),
        allow_empty=bool(found.get("allowEmptyValue", False)),
        is_content=bool(content) and is_json(next(iter(content))),
    )


class Reader:
    """A compiled parameter. `read` returns its value, or ABSENT."""

    __slots__ = ("_default", "_default_is_plain", "cast", "name", "parse")

    def __init__(
        self, name: str, parse: Callable[[Any], Any], cast: Cast | None, default: Any
    ) -> None:
        self.name = name
        self.parse = parse
        self.cast = cast
        self._default = default
        self._default_is_plain = not isinstance(default, list | dict)

    def read(self, source: Any) -> Any:
        """Return the parameter's value; raises StyleError when its form is wrong."""
        value = self.parse(source)
        if value is ABSENT:
            return self._default if self._default_is_plain else copy.deepcopy(self._default)
        return value if self.cast is None else self.cast(value)

    def fill(self, members: dict[str, Any]) -> None:
        """Put the default in place, if there is one."""
        if self._default is not ABSENT:
            members[self.name] = copy.deepcopy(self._default)


def compile_reader(document: Mapping[str, Any], parameter: Parameter) -> Reader:
    """Return the reader of a parameter.

    Path readers take the raw segment text, query readers a Query (and take what they read out
    of it), header readers the value or None, cookie readers a dict of raw values.
    """
    kinds = schema_types(document, parameter.schema)
    shape: styles.Shape = (
        "array" if "array" in kinds else "object" if "object" in kinds else "scalar"
    )
    resolved = resolve(document, parameter.schema)
    default = resolved.get("default", ABSENT) if isinstance(resolved, dict) else ABSENT
    cast = None if parameter.is_content else compile_cast(document, parameter.schema)
    parse = _PARSERS[parameter.where](document, parameter, shape)
    return Reader(parameter.name, parse, cast, default)


def _json(text: str) -> Any:
    try:
        return json_body.decode(text.encode())
    except json_body.MalformedJSON:
        return text  # reported by the schema, which knows what was expected


def _path(_: Mapping[str, Any], parameter: Parameter, shape: styles.Shape) -> Callable[..., Any]:
    if parameter.is_content:
        return lambda raw: _json(unquote(raw))
    if parameter.style == "label":
        return styles.label(shape, explode=parameter.explode)
    if parameter.style == "matrix":
        return styles.matrix(parameter.name, shape, explode=parameter.explode)
    return styles.simple(shape, explode=parameter.explode, decode=_unquote)


def _unquote(raw: str) -> str:
    return unquote(raw) if "%" in raw else raw


def _header(_: Mapping[str, Any], parameter: Parameter, shape: styles.Shape) -> Callable[..., Any]:
    inner = styles.simple(shape, explode=parameter.explode, decode=styles.as_is)

    def parse(raw: str | None) -> Any:
        if raw is None:
            return ABSENT
        return _json(raw) if parameter.is_content else inner(raw)

    return parse


def _cookie(_: Mapping[str, Any], parameter: Parameter, shape: styles.Shape) -> Callable[..., Any]:
    # `style: form` decodes, the `cookie` style of OpenAPI 3.2 does not.
    decode = _unquote if parameter.style == "form" else styles.as_is
    inner = styles.simple(shape, explode=False, decode=decode)

    def parse(cookies: Mapping[str, str]) -> Any:
        raw = cookies.get(parameter.name)
        if raw is None:
            return ABSENT
        return _json(decode(raw)) if parameter.is_content else inner(raw)

    return parse


def _query(
    document: Mapping[str, Any], parameter: Parameter, shape: styles.Shape
) -> Callable[..., Any]:
    if parameter.style == "deepObject":
        return _deep_object(parameter.name)
    if shape == "object" and not parameter.is_content:
        return _query_object(document, parameter)
    if shape == "array" and not parameter.is_content:
        return _query_array(parameter)
    return _query_scalar(parameter)


def _query_scalar(parameter: Parameter) -> Callable[..., Any]:
    name, allow_empty = parameter.name, parameter.allow_empty
    finish = _json if parameter.is_content else styles.as_is

    def parse(query: Query) -> Any:
        values = query.values.pop(name, None)
        if values is None:
            return ABSENT
        if len(values) > 1:
            return [styles.decode_query(value) for value in values]
        value = values[0]
        if not value and allow_empty:
            return ABSENT
        return finish(styles.decode_query(value))

    return parse


def _query_array(parameter: Parameter) -> Callable[..., Any]:
    name, style, explode = parameter.name, parameter.style, parameter.explode

    def parse(query: Query) -> Any:
        values = query.take(name)
        if values is None:
            return ABSENT
        if explode:
            return [styles.decode_query(value) for value in values]
        return [part for value in values for part in styles.split_query(value, style)]

    return parse


def _query_object(document: Mapping[str, Any], parameter: Parameter) -> Callable[..., Any]:
    name, style = parameter.name, parameter.style
    declared = tuple(properties(document, parameter.schema))
    if style == "form" and parameter.explode:
        return lambda query: _exploded_object(query, declared)

    def parse(query: Query) -> Any:
        values = query.take(name)
        if values is None:
            return ABSENT
        parts = [part for value in values for part in styles.split_query(value, style)]
        return styles.pairs(parts, styles.as_is)

    return parse


def _exploded_object(query: Query, declared: tuple[str, ...]) -> Any:
    found: dict[str, Any] = {}
    for name in declared:
        values = query.take(name)
        if values is not None:
            decoded = [styles.decode_query(value) for value in values]
            found[name] = decoded[0] if len(decoded) == 1 else decoded
    return found or ABSENT


def _deep_object(name: str) -> Callable[..., Any]:
    prefix = name + "["

    def parse(query: Query) -> Any:
        found: dict[str, Any] = {}
        for key in [key for key in query.values if key.startswith(prefix) and key.endswith("]")]:
            decoded = [styles.decode_query(value) for value in query.values.pop(key)]
            found[key[len(prefix) : -1]] = decoded[0] if len(decoded) == 1 else decoded
        return found or ABSENT

    return parse


def _querystring(
    document: Mapping[str, Any], parameter: Parameter, shape: styles.Shape
) -> Callable[..., Any]:
    """Return the parser of OpenAPI 3.2's `in: querystring`: the whole query is one value."""
    del document, shape

    def parse(query: Query) -> Any:
        taken, query.values = query.values, {}
        if not taken:
            return ABSENT
        if parameter.is_content:
            return _json(styles.decode_query(next(iter(taken))))
        return {
            key: styles.decode_query(values[0])
            if len(values) == 1
            else [styles.decode_query(value) for value in values]
            for key, values in taken.items()
        }

    return parse


_PARSERS: Mapping[str, Callable[..., Callable[[Any], Any]]] = {
    "path": _path,
    "query": _query,
    "header": _header,
    "cookie": _cookie,
    "querystring": _querystring,
}


__all__ = ["ABSENT", "IGNORED_HEADERS", "Parameter", "Reader", "StyleError", "compile_reader"]
