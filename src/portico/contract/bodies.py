"""Request bodies other than JSON: forms and multipart become the data their schema describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import python_multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartState, parse_options_header

from portico.contract import json_body, styles
from portico.contract.bundle import resolve
from portico.contract.casts import Cast, compile_cast, properties, schema_types
from portico.contract.media import essence, is_json
from portico.contract.styles import Query

Decode = Callable[[bytes, str], Any]

MAX_PARTS = 1000  # of one multipart body
_TEXT = ("text/", "application/xml", "application/yaml")


class MalformedBody(ValueError):
    """The body cannot be read as its media type says."""


def is_opaque(media_type: str) -> bool:
    """Tell whether content of this type is octets to us: neither JSON, nor a form, nor text."""
    name = essence(media_type)
    known = ("multipart/", "application/x-www-form-urlencoded", *_TEXT)
    return not is_json(name) and not name.startswith(known)


def compile_decoder(
    document: Mapping[str, Any], media_type: str, media: Mapping[str, Any]
) -> Decode:
    """Return the function that reads a body of one declared media type.

    It takes the body and the Content-Type it came with, and raises MalformedBody.
    """
    name = essence(media_type)
    if is_json(name):
        return _decode_json
    schema = media.get("schema", {})
    if name == "application/x-www-form-urlencoded":
        return _form_decoder(document, schema, media.get("encoding", {}))
    if name.startswith("multipart/"):
        return _multipart_decoder(document, schema, media.get("encoding", {}))
    if name.startswith(_TEXT):
        return _decode_text
    return _decode_binary


def _decode_json(raw: bytes, content_type: str) -> Any:
    del content_type
    try:
        return json_body.decode(raw)
    except json_body.MalformedJSON as error:
        raise MalformedBody(f"the body is not JSON: {error}") from None


def _decode_text(raw: bytes, content_type: str) -> str:
    _, options = parse_options_header(content_type)
    charset = options.get(b"charset", b"utf-8").decode("latin-1")
    try:
        return raw.decode(charset)
    except (UnicodeDecodeError, LookupError):
        raise MalformedBody(f"the body is not {charset} text") from None


def _decode_binary(raw: bytes, content_type: str) -> str:
    """Return octets as text of the same length, so that length keywords count bytes."""
    del content_type
    return raw.decode("latin-1")


def _form_decoder(document: Mapping[str, Any], schema: Any, encoding: Mapping[str, Any]) -> Decode:
    readers = {
        name: _FormField(document, name, inner, encoding.get(name, {}))
        for name, inner in properties(document, schema).items()
    }

    def decode(raw: bytes, content_type: str) -> Any:
        del content_type
        query = Query(raw)
        fields: dict[str, Any] = {}
        for name, reader in readers.items():
            values = query.take(name)
            if values is not None:
                fields[name] = reader.read(values)
        for name, values in query.values.items():
            decoded = [styles.decode_query(value) for value in values]
            fields[name] = decoded[0] if len(decoded) == 1 else decoded
        return fields

    return decode


class _FormField:
    __slots__ = ("_cast", "_explode", "_is_array", "_is_json", "_style")

    def __init__(
        self, document: Mapping[str, Any], name: str, schema: Any, encoding: Mapping[str, Any]
    ) -> None:
        del name
        kinds = schema_types(document, schema)
        self._is_array = "array" in kinds
        self._is_json = is_json(str(encoding.get("contentType", ""))) or "object" in kinds
        self._style = str(encoding.get("style", "form"))
        self._explode = bool(encoding.get("explode", self._style == "form"))
        self._cast: Cast | None = None if self._is_json else compile_cast(document, schema)

    def read(self, raw: list[str]) -> Any:
        if self._is_array and not self._explode:
            values = [part for value in raw for part in styles.split_query(value, self._style)]
        else:
            values = [styles.decode_query(value) for value in raw]
        return self.value(values)

    def value(self, values: list[str]) -> Any:
        """Return the data of a field from its decoded texts."""
        read: Any = values if self._is_array or len(values) > 1 else values[0]
        if self._is_json and isinstance(read, str):
            return _loose_json(read)
        return read if self._cast is None else self._cast(read)


def _loose_json(text: str) -> Any:
    try:
        return json_body.decode(text.encode())
    except json_body.MalformedJSON:
        return text  # reported by the schema, which knows what was expected


class _Parts:
    """Collects the parts of a multipart body: name, content type and bytes of each."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, bytes]] = []
        self._headers: dict[str, str] = {}
        self._name = bytearray()
        self._value = bytearray()
        self._data = bytearray()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_part_end": self._end,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
        }

    def _begin(self) -> None:
        if len(self.found) >= MAX_PARTS:
            raise FormParserError(f"more than {MAX_PARTS} parts")
        self._headers = {}
        self._data = bytearray()

    def _header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        content_type = self._headers.get("content-type", "text/plain")
        self.found.append((name, content_type, bytes(self._data)))


def _multipart_decoder(
    document: Mapping[str, Any], schema: Any, encoding: Mapping[str, Any]
) -> Decode:
    declared = {
        name: resolve(document, inner) for name, inner in properties(document, schema).items()
    }
    readers = {
        name: _FormField(document, name, inner, encoding.get(name, {}))
        for name, inner in declared.items()
    }

    def decode(raw: bytes, content_type: str) -> Any:
        texts: dict[str, list[Any]] = {}
        for name, part_type, data in _split(raw, content_type):
            texts.setdefault(name, []).append(_part_value(part_type, data))
        return {
            name: readers[name].value(values)
            if name in readers
            else (values[0] if len(values) == 1 else values)
            for name, values in texts.items()
        }

    return decode


def _part_value(content_type: str, data: bytes) -> Any:
    name = essence(content_type)
    if is_json(name):
        return _decode_json(data, content_type)
    if name.startswith("text/"):
        return _decode_text(data, content_type)
    return data.decode("latin-1")


def _split(raw: bytes, content_type: str) -> list[tuple[str, str, bytes]]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise MalformedBody("the multipart Content-Type has no boundary")
    parts = _Parts()
    parser = python_multipart.MultipartParser(boundary, parts.callbacks())
    try:
        parser.write(raw)
        parser.finalize()
        if parser.state != MultipartState.END:
            raise MalformedBody("the multipart body ends before its closing boundary")
    except FormParserError as error:
        raise MalformedBody(f"the multipart body cannot be read: {error}") from None
    return parts.found
