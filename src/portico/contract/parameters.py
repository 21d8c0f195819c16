"""Compiled parameters: where each is found, how it is read, what stands for it when absent."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from portico.contract import json_body, styles
from portico.contract.bundle import resolve
from portico.contract.casts import Cast, compile_cast
from portico.contract.forms import Fields
from portico.contract.media import essence, is_json
from portico.contract.schema_parts import keyword, parts, properties, schema_types
from portico.contract.styles import ABSENT, Query, StyleError

Where = Literal["path", "query", "header", "cookie", "querystring"]
# Headers that other parts of a contract describe (OpenAPI 3.1.1, 4.8.12.2.1).
IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})
_DEFAULT_STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of an operation; `schema` is as the document has it.

    `content_type` is that of a parameter described by `content`, which has no style. `default`
    stands for what is absent; of a parameter that must be there, a default has no effect.
    """

    name: str
    where: Where
    required: bool
    schema: Any
    style: str
    explode: bool
    description: str = ""
    deprecated: bool = False
    allow_empty: bool = False
    content_type: str = ""
    default: Any = ABSENT

    @property
    def has_default(self) -> bool:
        return self.default is not ABSENT

    @property
    def is_content(self) -> bool:
        """Tell whether the parameter is JSON text."""
        return is_json(self.content_type)

    @property
    def place(self) -> str:
        """Return the member of a request document that holds the parameter."""
        return "query" if self.where == "querystring" else self.where


def read_parameter(document: Mapping[str, Any], node: Any) -> Parameter:
    """Return the parameter described by a Parameter Object or a reference to one."""
    found = resolve(document, node)
    where = found["in"]
    content_type, described = next(iter((found.get("content") or {"": {}}).items()))
    media = resolve(document, described)
    style = found.get("style", _DEFAULT_STYLES.get(where, "form"))
    schema = media.get("schema", {}) if content_type else found.get("schema", {})
    required = bool(found.get("required", where == "path"))
    return Parameter(
        name=found["name"],
        where=where,
        required=required,
        schema=schema,
        style=style,
        explode=bool(found.get("explode", style in {"form", "cookie", "deepObject"})),
        description=str(found.get("description", "")),
        deprecated=bool(found.get("deprecated", False)),
        allow_empty=bool(found.get("allowEmptyValue", False)),
        content_type=content_type,
        default=ABSENT if required else keyword(document, schema, "default", ABSENT),
    )


class Reader:
    """A compiled parameter. `read` returns its value, or ABSENT; it raises StyleError."""

    __slots__ = ("_default", "cast", "name", "parse", "read", "where")

    def __init__(
        self, name: str, where: str, parse: Callable[[Any], Any], cast: Cast | None, default: Any
    ) -> None:
        self.name = name
        self.where = where
        self.parse = parse
        self.cast = cast
        self._default = default
        self.read = _compile_read(parse, cast, default)

    def fill(self, members: dict[str, Any]) -> None:
        """Put the default in place, if there is one."""
        if self._default is not ABSENT:
            members[self.name] = copy.deepcopy(self._default)


def _compile_read(
    parse: Callable[[Any], Any], cast: Cast | None, default: Any
) -> Callable[[Any], Any]:
    """Return what reads a parameter, with no more steps than this one needs."""
    if cast is None and default is ABSENT:
        return parse
    is_plain = not isinstance(default, list | dict)

    def read(source: Any) -> Any:
        value = parse(source)
        if value is ABSENT:
            return default if is_plain else copy.deepcopy(default)
        return value if cast is None else cast(value)

    return read


def compile_reader(document: Mapping[str, Any], parameter: Parameter) -> Reader:
    """Return the reader of a parameter.

    Path readers take the raw segment text, query readers a Query (and take what they read out
    of it), header readers the value or None, cookie readers the raw values by name.
    """
    kinds = schema_types(document, parameter.schema)
    shape: styles.Shape = (
        "array" if "array" in kinds else "object" if "object" in kinds else "scalar"
    )
    cast = None if parameter.is_content else compile_cast(document, parameter.schema)
    parse = _PARSERS[parameter.where](document, parameter, shape)
    return Reader(parameter.name, parameter.place, parse, cast, parameter.default)


def takes_the_rest(document: Mapping[str, Any], parameter: Parameter) -> int:
    """Return how much of a query a parameter takes that is not called by its name.

    Parameters are read in this order, so that each finds what is meant for it.
    """
    if parameter.where == "querystring":
        return 2
    kinds = schema_types(document, parameter.schema)
    exploded = parameter.style == "form" and parameter.explode and "array" not in kinds
    return int(exploded and "object" in kinds and not parameter.content_type)


def read_content(text: str, content_type: str) -> Any:
    """Return the data of a parameter described by `content`: JSON, or text as it is."""
    if not is_json(content_type):
        return text
    try:
        return json_body.decode(text.encode())
    except (json_body.MalformedJSONError, UnicodeEncodeError):
        return text  # reported by the schema, which knows what was expected


def _path(_: Mapping[str, Any], parameter: Parameter, shape: styles.Shape) -> Callable[..., Any]:
    if parameter.content_type:
        return lambda raw: read_content(styles.decode_percent(raw), parameter.content_type)
    if parameter.style == "label":
        return styles.label(shape, explode=parameter.explode)
    if parameter.style == "matrix":
        return styles.matrix(parameter.name, shape, explode=parameter.explode)
    return styles.simple(shape, explode=parameter.explode, decode=styles.decode_percent)


def _header(_: Mapping[str, Any], parameter: Parameter, shape: styles.Shape) -> Callable[..., Any]:
    inner = styles.simple(shape, explode=parameter.explode, decode=styles.as_is)
    if parameter.content_type:
        inner = partial(read_content, content_type=parameter.content_type)
    return lambda raw: ABSENT if raw is None else inner(raw)


def _cookie(_: Mapping[str, Any], parameter: Parameter, shape: styles.Shape) -> Callable[..., Any]:
    # `style: form` decodes, the `cookie` style of OpenAPI 3.2 does not.
    decode = styles.decode_percent if parameter.style == "form" else styles.as_is
    inner = styles.simple(shape, explode=False, decode=decode)

    def parse(cookies: Mapping[str, str | list[str]]) -> Any:
        found = cookies.get(parameter.name)
        if found is None:
            return ABSENT
        if isinstance(found, list):
            if shape == "array" and parameter.explode:
                return [decode(value) for value in found]
            found = found[0]  # the most specific one comes first (RFC 6265, 5.4)
        if parameter.content_type:
            return read_content(decode(found), parameter.content_type)
        return inner(found)

    return parse


def _query(
    document: Mapping[str, Any], parameter: Parameter, shape: styles.Shape
) -> Callable[..., Any]:
    name = parameter.name
    if parameter.content_type:
        return _query_content(parameter)
    if parameter.style == "deepObject":
        return lambda query: styles.deep_object(query, name)
    if shape == "object":
        return _query_object(document, parameter)
    if shape == "array":
        return _query_array(parameter)

    def parse(query: Query) -> Any:
        values = query.values.pop(name, None)
        if values is None:
            return ABSENT
        return styles.decode_query(values[0]) if len(values) == 1 else styles.unlisted(values)

    return parse


def _query_content(parameter: Parameter) -> Callable[..., Any]:
    def parse(query: Query) -> Any:
        values = query.take(parameter.name)
        if values is None:
            return ABSENT
        if len(values) > 1:
            raise StyleError("the parameter is given more than once")
        return read_content(styles.decode_query(values[0]), parameter.content_type)

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
    if style == "form" and parameter.explode:
        declared = properties(document, parameter.schema)
        is_open = _is_open(document, parameter.schema)
        return lambda query: styles.exploded_object(query, declared, is_open=is_open)

    def parse(query: Query) -> Any:
        values = query.take(name)
        if values is None:
            return ABSENT
        if len(values) > 1:
            raise StyleError("the parameter is given more than once")
        return styles.pairs(styles.split_query(values[0], style), styles.as_is)

    return parse


def _is_open(document: Mapping[str, Any], schema: Any) -> bool:
    """Tell whether an object says that it has members beside those it declares."""
    return any(
        part.get(name, False) is not False
        for part in parts(document, schema)
        for name in ("additionalProperties", "patternProperties")
    ) or not properties(document, schema)


def _querystring(
    document: Mapping[str, Any], parameter: Parameter, shape: styles.Shape
) -> Callable[..., Any]:
    """Return the parser of OpenAPI 3.2's `in: querystring`: the whole query is one value."""
    del shape
    is_form = essence(parameter.content_type) == "application/x-www-form-urlencoded"
    fields = Fields(document, parameter.schema, {}) if is_form else None

    def parse(query: Query) -> Any:
        if not query.values:
            return ABSENT
        if fields is not None:
            return fields.read(query)
        query.values = {}
        return read_content(styles.decode_query(query.raw), parameter.content_type)

    return parse


_PARSERS: Mapping[str, Callable[..., Callable[[Any], Any]]] = {
    "path": _path,
    "query": _query,
    "header": _header,
    "cookie": _cookie,
    "querystring": _querystring,
}


__all__ = ["ABSENT", "IGNORED_HEADERS", "Parameter", "Reader", "StyleError", "compile_reader"]
