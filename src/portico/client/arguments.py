"""The arguments of a call: only what an HTTP request could carry, wherever the callee runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from portico.client import render
from portico.client.render import UnsendableError
from portico.contract import ABSENT, Contract, Operation
from portico.contract.bundle import resolve
from portico.contract.casts import schema_types
from portico.contract.parameters import Parameter, Reader
from portico.contract.styles import Query, StyleError

Prepare = Callable[[Any], Any]

# Nearly all values; whatever else there is gets a second look.
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*\Z").match
_PLAIN_FIELD = re.compile(r"[!-~](?:[ -~]*[!-~])?\Z").match
# What no path segment can hold, because a server refuses or resolves it: nothing, dot segments,
# controls and backslashes.
_UNADDRESSABLE = re.compile(r"\Z|[^\x00-\x1f\x7f-\x9f\\]*[\x00-\x1f\x7f-\x9f\\]").match
_DOT_SEGMENT = re.compile(r"(?:^|/)\.\.?(?:;[^/]*)?(?:/|\Z)").search


_TOO_LARGE = 10**99  # parameters are read up to a hundred digits
# Whatever text these have, it is read as the same value.
_TEXTS = frozenset({"string", "number", "boolean"})


class UnaddressableError(ValueError):
    """No path can name the resource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """Where a parameter goes, and what is done to its value first, if anything.

    `prepare` returns the value as the callee would read it from a request, or ABSENT where a
    request would say nothing; it raises UnsendableError or UnaddressableError.
    """

    place: str
    prepare: Prepare | None


def compile_arguments(contract: Contract, operation: Operation) -> Mapping[str, Argument]:
    """Return the arguments an operation takes, by the names of its parameters."""
    readers = {
        **_readers("path", operation.path_readers),
        **_readers("query", operation.query_readers),
        **_readers("header", [reader for _, reader in operation.header_readers]),
        **_readers("cookie", operation.cookie_readers),
    }
    return {
        parameter.name: Argument(
            place=_place(parameter),
            prepare=_prepare(contract, parameter, readers[_place(parameter), parameter.name]),
        )
        for parameter in operation.parameters
    }


def _readers(place: str, readers: Any) -> dict[tuple[str, str], Reader]:
    return {(place, reader.name): reader for reader in readers}


def _place(parameter: Parameter) -> str:
    return "query" if parameter.where == "querystring" else parameter.where


def _prepare(contract: Contract, parameter: Parameter, reader: Reader) -> Prepare | None:
    """Return the cheapest function that keeps the promise of `Argument.prepare`."""
    document, schema = contract.document, parameter.schema
    if parameter.is_content or parameter.allow_empty:
        return _RoundTrip(parameter, reader)
    kinds = schema_types(document, schema) - {"null"}
    style = (parameter.where, parameter.style)
    if kinds == {"integer"}:
        return _whole
    if kinds == {"string"} and style == ("path", "simple"):
        return _segment
    if kinds == {"string"} and style == ("header", "simple"):
        return _field
    if style == ("query", "form"):
        if len(kinds) == 1 and kinds <= _TEXTS:
            return None
        if kinds == {"array"} and _item_kinds(contract, schema) == {"string"}:
            return _listed
    return _RoundTrip(parameter, reader)


def _item_kinds(contract: Contract, schema: Any) -> set[str]:
    resolved = resolve(contract.document, schema)
    found = resolved.get("items", {}) if isinstance(resolved, dict) else {}
    return schema_types(contract.document, found)


def _whole(value: Any) -> Any:
    """Return 2 for 2.0, as a request would: both are integers to JSON Schema."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not -_TOO_LARGE < value < _TOO_LARGE:
        raise UnsendableError("it has too many digits")
    return value


def _listed(value: Any) -> Any:
    """Return a list of texts, ABSENT if it is empty: a request has no way to say so."""
    return value or ABSENT


def _segment(value: Any) -> Any:
    if isinstance(value, str) and not _PLAIN_SEGMENT(value):
        _check_segment(value)
    return value


def _field(value: Any) -> Any:
    if isinstance(value, str) and not _PLAIN_FIELD(value):
        render.check_field(value)
    return value


def _check_segment(decoded: str) -> None:
    if _UNADDRESSABLE(decoded) or _DOT_SEGMENT(decoded):
        raise UnaddressableError("no path can name this")


@dataclass(frozen=True, slots=True)
class _RoundTrip:
    """Writes a value and reads it back: exact for every style and schema, and not cheap."""

    parameter: Parameter
    reader: Reader

    def __call__(self, value: Any) -> Any:
        try:
            received = self._received(value)
        except StyleError as error:
            raise UnsendableError(str(error)) from None
        if received is not ABSENT and received != value:
            raise UnsendableError("it would be read as another value")
        return received

    def _received(self, value: Any) -> Any:
        parameter, read = self.parameter, self.reader.read
        if parameter.where == "path":
            segment = render.path_value(parameter, value)
            _check_segment(unquote(segment))
            return read(segment)
        if parameter.where == "header":
            return read(render.header_value(parameter, value))
        if parameter.where == "cookie":
            return read({parameter.name: render.cookie_value(parameter, value)})
        parts = render.query_parts(parameter, value)
        return _read_query(self.reader, "&".join(parts)) if parts else ABSENT


def _read_query(reader: Reader, text: str) -> Any:
    query = Query(text.encode())
    received = reader.read(query)
    if query.values:
        raise UnsendableError("the contract declares no such member")
    return received
