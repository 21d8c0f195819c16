"""Checked parameter values as the text of a request: every style, the inverse of the contract's
readers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from portico.contract import Operation
from portico.contract.parameters import Parameter

Pairs = list[tuple[str, str]]
_DELIMITERS = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")


class UnsendableError(ValueError):
    """No request can carry the value as its parameter is declared."""


def path(operation: Operation, values: Mapping[str, Any]) -> str:
    """Return the path of a request below the base path of its API."""
    rendered = operation.template
    for parameter in operation.parameters:
        if parameter.where == "path":
            segment = path_value(parameter, values[parameter.name])
            rendered = rendered.replace("{" + parameter.name + "}", segment)
    return rendered


def query(operation: Operation, values: Mapping[str, Any]) -> str:
    """Return the query of a request, with its question mark; empty without parameters."""
    parts = [
        part
        for parameter in operation.parameters
        if parameter.where in {"query", "querystring"} and parameter.name in values
        for part in query_parts(parameter, values[parameter.name])
    ]
    return "?" + "&".join(parts) if parts else ""


def headers(operation: Operation, document: Mapping[str, Any]) -> Pairs:
    """Return the header fields of a request's header and cookie parameters."""
    found: Pairs = []
    cookies: list[str] = []
    for parameter in operation.parameters:
        value = document.get(parameter.where, {}).get(parameter.name)
        if parameter.where == "header" and value is not None:
            found.append((parameter.name, header_value(parameter, value)))
        elif parameter.where == "cookie" and value is not None:
            cookies.append(f"{parameter.name}={cookie_value(parameter, value)}")
    if cookies:
        found.append(("cookie", "; ".join(cookies)))
    return found


def path_value(parameter: Parameter, value: object) -> str:
    """Return what stands for a value in a path segment."""
    if parameter.is_content:
        return _quoted(json.dumps(value))
    if parameter.style == "label":
        delimiter = "." if parameter.explode else ","
        return "." + _delimited(value, delimiter, explode=parameter.explode)
    if parameter.style == "matrix":
        return _matrix(parameter, value)
    return _delimited(value, ",", explode=parameter.explode)


def query_parts(parameter: Parameter, value: object) -> list[str]:
    """Return the parts of a query that stand for a value; an empty list or object has none."""
    name = _quoted(parameter.name)
    if parameter.is_content:
        encoded = _quoted(json.dumps(value))
        return [encoded] if parameter.where == "querystring" else [f"{name}={encoded}"]
    if isinstance(value, list):
        return _query_list(parameter, name, value)
    if isinstance(value, dict):
        return _query_object(parameter, name, value)
    return [f"{name}={_quoted(text(value))}"]


def header_value(parameter: Parameter, value: object) -> str:
    """Return a header field value; raises UnsendableError for text that a field cannot hold."""
    if parameter.is_content:
        rendered = json.dumps(value)  # in ASCII: fields have no other encoding in common
    else:
        rendered = _delimited(value, ",", explode=parameter.explode, encode=_as_is)
    check_field(rendered)
    return rendered


def check_field(value: str) -> None:
    """Raise UnsendableError for text that no header field can hold."""
    if not _FIELD_VALUE.match(value) or value != value.strip(" \t"):
        raise UnsendableError("a header field cannot hold this value")


def cookie_value(parameter: Parameter, value: object) -> str:
    """Return the value of a cookie pair."""
    encode = _quoted if parameter.style == "form" else _as_is
    if parameter.is_content:
        rendered = encode(json.dumps(value))
    else:
        rendered = _delimited(value, ",", explode=False, encode=encode)
    if not rendered.isascii() or re.search(r'[\x00-\x20\x7f";\\]', rendered):
        raise UnsendableError("a cookie cannot hold this value")
    return rendered


def text(value: object) -> str:
    """Return a scalar as parameters write it; raises UnsendableError for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    raise UnsendableError(f"{type(value).__name__} inside a parameter has no text")


def _quoted(raw: str) -> str:
    try:
        return quote(raw, safe="")
    except UnicodeEncodeError:
        raise UnsendableError("the text has a lone surrogate") from None


def _as_is(raw: str) -> str:
    return raw


def _delimited(
    value: object, delimiter: str, *, explode: bool, encode: Callable[[str], str] = _quoted
) -> str:
    if isinstance(value, list):
        return delimiter.join(encode(text(item)) for item in value)
    if isinstance(value, dict):
        between = "=" if explode else delimiter
        return delimiter.join(
            f"{encode(name)}{between}{encode(text(item))}" for name, item in value.items()
        )
    return encode(text(value))


def _matrix(parameter: Parameter, value: object) -> str:
    name = _quoted(parameter.name)
    if parameter.explode and isinstance(value, list):
        return "".join(f";{name}={_quoted(text(item))}" for item in value)
    if parameter.explode and isinstance(value, dict):
        return "".join(f";{_quoted(key)}={_quoted(text(item))}" for key, item in value.items())
    return f";{name}={_delimited(value, ',', explode=False)}"


def _query_list(parameter: Parameter, name: str, value: list[Any]) -> list[str]:
    if not value:
        return []
    items = [_quoted(text(item)) for item in value]
    if parameter.explode:
        return [f"{name}={item}" for item in items]
    return [f"{name}={_DELIMITERS[parameter.style].join(items)}"]


def _query_object(parameter: Parameter, name: str, value: dict[str, Any]) -> list[str]:
    pairs = [(_quoted(key), _quoted(text(item))) for key, item in value.items()]
    if not pairs:
        return []
    if parameter.style == "deepObject":
        return [f"{name}%5B{key}%5D={item}" for key, item in pairs]
    if parameter.explode or parameter.where == "querystring":
        return [f"{key}={item}" for key, item in pairs]
    parts = [part for pair in pairs for part in pair]
    return [f"{name}={_DELIMITERS[parameter.style].join(parts)}"]
