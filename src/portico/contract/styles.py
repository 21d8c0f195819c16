"""Parameter styles (OpenAPI 3.1.1, 4.8.12): from the bytes of a request to text, lists and dicts.

Delimiters are looked for before percent-decoding, so an encoded delimiter stays in its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote, unquote_plus

ABSENT: Any = object()
"""What stands for a parameter, or a body, that is not there."""

Shape = Literal["scalar", "array", "object"]
Text = str | list[str] | dict[str, str]
# One raw value of a path segment, header or cookie.
Parse = Callable[[str], Any]
Decode = Callable[[str], str]

MAX_LEVELS = 8  # of brackets in `filter[a][b]`


class StyleError(ValueError):
    """The text does not have the form that the style prescribes."""


def as_is(text: str) -> str:
    return text


def decode_percent(raw: str) -> str:
    """Return percent-decoded text; `+` is itself. Raises StyleError for what is not UTF-8."""
    if "%" not in raw:
        return raw
    try:
        return unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise StyleError("the percent-encoded bytes are not UTF-8") from None


def decode_query(raw: str) -> str:
    """Return text of a query or form, where `+` is a space."""
    if "%" not in raw:
        return raw.replace("+", " ") if "+" in raw else raw
    try:
        return unquote_plus(raw, errors="strict")
    except UnicodeDecodeError:
        raise StyleError("the percent-encoded bytes are not UTF-8") from None


def pairs(parts: Sequence[str], decode: Decode) -> dict[str, str]:
    """Return `a,1,b,2` split at its commas as an object."""
    if len(parts) % 2:
        raise StyleError("an object needs a value for every name")
    named = zip(parts[::2], parts[1::2], strict=True)
    return _unique([(decode(name), decode(value)) for name, value in named])


def assignments(parts: Sequence[str], decode: Decode) -> dict[str, str]:
    """Return `a=1`, `b=2` as an object."""
    split = [part.partition("=") for part in parts]
    if any(not equals for _, equals, _ in split):
        raise StyleError("an exploded object is written name=value")
    return _unique([(decode(name), decode(value)) for name, _, value in split])


def _unique(named: list[tuple[str, str]]) -> dict[str, str]:
    found = dict(named)
    if len(found) != len(named):
        raise StyleError("an object names each of its members once")
    return found


def simple(shape: Shape, *, explode: bool, decode: Decode) -> Parse:
    """Return the parser of `style: simple`, used by paths (decoded) and headers (not decoded)."""
    if shape == "scalar":
        return decode
    if shape == "array":
        return lambda raw: [decode(part.strip()) for part in raw.split(",")] if raw else []
    reader = assignments if explode else pairs
    return lambda raw: reader([part.strip() for part in raw.split(",")], decode) if raw else {}


def label(shape: Shape, *, explode: bool) -> Parse:
    """Return the parser of `style: label`: `.blue.black`."""

    def parse(raw: str) -> Text:
        if not raw.startswith("."):
            raise StyleError("a label parameter starts with a full stop")
        return _delimited(raw[1:], shape, explode, "." if explode else ",")

    return parse


def matrix(name: str, shape: Shape, *, explode: bool) -> Parse:
    """Return the parser of `style: matrix`: `;color=blue`. `;color` alone is no value."""

    def parse(raw: str) -> Any:
        if not raw.startswith(";"):
            raise StyleError("a matrix parameter starts with a semicolon")
        parts = raw[1:].split(";")
        if shape == "object" and explode:
            return assignments(parts, decode_percent)
        values = [part.partition("=") for part in parts]
        if any(decode_percent(key) != name for key, _, _ in values):
            raise StyleError(f"a matrix parameter is written ;{name}=value")
        if len(values) == 1 and not values[0][1]:
            return ABSENT
        if shape == "array" and explode:
            return [decode_percent(value) for _, _, value in values]
        if len(values) > 1:
            raise StyleError(f"the matrix parameter {name} is given more than once")
        return _delimited(values[0][2], shape, explode=False, delimiter=",")

    return parse


def _delimited(raw: str, shape: Shape, explode: bool, delimiter: str) -> Text:
    if shape == "scalar":
        return decode_percent(raw)
    parts = raw.split(delimiter)
    if shape == "array":
        return [decode_percent(part) for part in parts]
    return (assignments if explode else pairs)(parts, decode_percent)


class Query:
    """A query string: each name with its raw values, in the order they came.

    Readers take what is theirs out of `values`. Raises StyleError for what is not UTF-8.
    """

    __slots__ = ("raw", "values")

    def __init__(self, raw: bytes) -> None:
        try:
            self.raw = raw.decode()
        except UnicodeDecodeError:
            raise StyleError("the text is not UTF-8") from None
        values: dict[str, list[str]] = {}
        for part in self.raw.split("&"):
            if not part:
                continue
            name, _, value = part.partition("=")
            if "%" in name or "+" in name:
                name = unquote_plus(name)
            known = values.get(name)
            if known is None:
                values[name] = [value]
            else:
                known.append(value)
        self.values = values

    def take(self, name: str) -> list[str] | None:
        return self.values.pop(name, None)


# The delimiter of a style, and what else is read as one.
_COMMA = (",", ())
_DELIMITERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "spaceDelimited": ("%20", ("+", " ")),
    "pipeDelimited": ("|", ("%7C", "%7c")),
}


def split_query(raw: str, style: str) -> list[str]:
    """Return the parts of one query value, each decoded."""
    first, others = _DELIMITERS.get(style, _COMMA)
    for other in others:
        raw = raw.replace(other, first)
    return [decode_query(part) for part in raw.split(first)]


def unlisted(values: Sequence[str]) -> str | list[str]:
    """Return the decoded values of a name, one of them as itself."""
    decoded = [decode_query(value) for value in values]
    return decoded[0] if len(decoded) == 1 else decoded


def deep_object(query: Query, name: str) -> Any:
    """Take `name[a]=1` and `name[a][b]=2` out of a query and return them as an object.

    OpenAPI defines one level; further ones are read as everybody writes them.
    """
    prefix = name + "["
    found: dict[str, Any] = {}
    for key in [key for key in query.values if key.startswith(prefix) and key.endswith("]")]:
        names = key[len(prefix) : -1].split("][", MAX_LEVELS)
        _place(found, names, unlisted(query.values.pop(key)), key)
    return found or ABSENT


def _place(found: dict[str, Any], names: Sequence[str], value: Any, key: str) -> None:
    *outer, last = names
    for name in outer:
        found = found.setdefault(name, {})
        if not isinstance(found, dict):
            raise StyleError(f"{key[:64]} is an object and a value")
    if last in found:
        raise StyleError(f"{key[:64]} is an object and a value")
    found[last] = value


def exploded_object(query: Query, declared: Mapping[str, Any], *, is_open: bool) -> Any:
    """Take the members of an object out of a query, where each is a parameter of its own.

    An open object takes whatever no other parameter took before it.
    """
    names = list(query.values) if is_open else [name for name in declared if name in query.values]
    found = {name: unlisted(query.values.pop(name)) for name in names}
    return found or ABSENT
