"""Multipart bodies (RFC 2046, RFC 7578): cut into parts, bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import python_multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartState

from portico.contract.media import parameters

MAX_PARTS = 1000  # of one body
MAX_HEADER_BYTES = 8192  # of one part


class MalformedMultipartError(ValueError):
    """The body does not consist of whole parts between its boundary."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: the name of its field, its media type and its bytes."""

    name: str
    content_type: str
    data: bytes


def split_parts(raw: bytes, boundary: str) -> list[Part]:
    """Return the parts of a body; raises MalformedMultipartError."""
    if not boundary:
        raise MalformedMultipartError("its Content-Type has no boundary")
    collector = _Collector()
    try:
        parser = python_multipart.MultipartParser(
            boundary.encode("latin-1", "replace"), collector.callbacks()
        )
        parser.write(raw)
        parser.finalize()
    except FormParserError as error:
        raise MalformedMultipartError(str(error)) from None
    if parser.state != MultipartState.END:
        raise MalformedMultipartError("it ends before its closing boundary")
    return collector.parts


class _Collector:
    """Collects the parts from the events of the parser."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._name = bytearray()
        self._value = bytearray()
        self._data = bytearray()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_part_end": self._end,
            "on_header_field": lambda data, start, end: self._header(self._name, data[start:end]),
            "on_header_value": lambda data, start, end: self._header(self._value, data[start:end]),
            "on_header_end": self._header_end,
        }

    def _begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise FormParserError(f"it has more than {MAX_PARTS} parts")
        self._headers = {}
        self._header_bytes = 0
        self._data = bytearray()

    def _header(self, text: bytearray, more: bytes) -> None:
        self._header_bytes += len(more)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise FormParserError(f"a part has more than {MAX_HEADER_BYTES} bytes of headers")
        text.extend(more)

    def _header_end(self) -> None:
        name = self._name.decode("latin-1").lower()
        if name in self._headers:
            raise FormParserError(f"a part has two headers {name[:64]!r}")
        self._headers[name] = self._value.decode("utf-8", "replace")
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        disposition = self._headers.get("content-disposition", "")
        name = parameters(disposition).get("name")
        if name is None:
            raise FormParserError("a part has no name")
        content_type = self._headers.get("content-type") or "text/plain"
        self.parts.append(Part(name, content_type, bytes(self._data)))
