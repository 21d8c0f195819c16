"""Parameter styles (OpenAPI 3.1.1, 4.8.12): from the bytes of a request to text, lists and dicts.

Delimiters are looked for before percent-decoding, so an encoded delimiter stays in its value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import unquote, unquote_plus

Shape = Literal["scalar", "array", "object"]
Text = str | list[str] | dict[str, str]
# One raw value of a path segment, header or cookie.
Parse = Callable[[str], Text]
Decode = Callable[[str], str]


class StyleError(ValueError):
    """The text does not have the form that the style prescribes."""


def as_is(text: str) -> str:
    return text


def pairs(parts: Sequence[str], decode: Decode) -> dict[str, str]:
    """Return `a,1,b,2` split at its commas as an object."""
    if len(parts) % 2:
        raise StyleError("an object needs a value for every name")
    return {
        decode(name): decode(value) for name, value in zip(parts[::2], parts[1::2], strict=True)
    }


def assignments(parts: Sequence[str], decode: Decode) -> dict[str, str]:
    """Return `a=1`, `b=2` as an object."""
    split = [part.partition("=") for part in parts]
    if any(not equals for _, equals, _ in split):
        raise StyleError("an exploded object is written name=value")
    return {decode(name): decode(value) for name, _, value in split}


def simple(shape: Shape, *, explode: bool, decode: Decode) -> Parse:
    """Return the parser of `style: simple`, used by paths (decoded) and headers (not decoded)."""
    if shape == "scalar":
        return decode
    if shape == "array":
        return lambda raw: [decode(part.strip()) for part in raw.split(",")] if raw else []
    reader = assignments if explode else pairs
    return lambda raw: reader([part.strip() for part in raw.split(",")], decode)


def label(shape: Shape, *, explode: bool) -> Parse:
    """Return the parser of `style: label`: `.blue.black`."""

    def parse(raw: str) -> Text:
        if not raw.startswith("."):
            raise StyleError("a label parameter starts with a full stop")
        return _delimited(raw[1:], shape, explode, "." if explode else ",")

    return parse


def matrix(name: str, shape: Shape, *, explode: bool) -> Parse:
    """Return the parser of `style: matrix`: `;color=blue`."""

    def parse(raw: str) -> Text:
        if not raw.startswith(";"):
            raise StyleError("a matrix parameter starts with a semicolon")
        parts = raw[1:].split(";")
        if shape == "object" and explode:
            return assignments(parts, unquote)
        values = [part.partition("=") for part in parts]
        if any(unquote(key) != name for key, _, _ in values):
            raise StyleError(f"a matrix parameter is written ;{name}=value")
        if shape == "array" and explode:
            return [unquote(value) for _, _, value in values]
        return _delimited(values[0][2], shape, explode=False, delimiter=",")

    return parse


def _delimited(raw: str, shape: Shape, explode: bool, delimiter: str) -> Text:
    if shape == "scalar":
        return unquote(raw)
    parts = raw.split(delimiter) if raw else []
    if shape == "array":
        return [unquote(part) for part in parts]
    return (assignments if explode else pairs)(parts, unquote)


class Query:
    """A query string: each name with its raw values, in the order they came."""

    __slots__ = ("values",)

    def __init__(self, raw: bytes) -> None:
        values: dict[str, list[str]] = {}
        for part in raw.decode("latin-1").split("&"):
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


def decode_query(raw: str) -> str:
    return unquote_plus(raw) if "%" in raw or "+" in raw else raw


_DELIMITERS = {
    "form": (",",),
    "spaceDelimited": ("%20", "+", " "),
    "pipeDelimited": ("|", "%7C", "%7c"),
}


def split_query(raw: str, style: str) -> list[str]:
    """Return the parts of one query value, each decoded."""
    first, *others = _DELIMITERS[style]
    for other in others:
        raw = raw.replace(other, first)
    return [decode_query(part) for part in raw.split(first)] if raw else [""]
