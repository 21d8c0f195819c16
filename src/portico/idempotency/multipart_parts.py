"""The parts of a multipart body. Its boundary changes with every attempt, its parts do not."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

MAX_PARTS = 1000


class UnreadablePartsError(ValueError):
    """The body is not what its media type says, or has too many parts."""


@dataclass(slots=True)
class Part:
    """One part as it identifies a request: other headers of it are left out."""

    name: bytes = b""
    filename: bytes = b""
    media_type: bytes = b""
    content: bytes = b""


@dataclass(slots=True)
class _Reader:
    """Gathers parts from the calls of the parser."""

    parts: list[Part] = field(default_factory=list)
    _part: Part = field(default_factory=Part)
    _chunks: list[bytes] = field(default_factory=list)
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)

    def on_part_begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise UnreadablePartsError(f"the body has more than {MAX_PARTS} parts")
        self._part, self._chunks = Part(), []

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        name, value = bytes(self._header).lower(), bytes(self._value)
        self._header.clear()
        self._value.clear()
        if name == b"content-disposition":
            _, options = parse_options_header(value)
            self._part.name = options.get(b"name", b"")
            self._part.filename = options.get(b"filename", b"")
        elif name == b"content-type":
            self._part.media_type = value

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._chunks.append(data[start:end])

    def on_part_end(self) -> None:
        self._part.content = b"".join(self._chunks)
        self.parts.append(self._part)


def read_parts(body: bytes, content_type: str) -> list[Part]:
    """Return the parts of a multipart body in order; raises UnreadablePartsError."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise UnreadablePartsError("the media type names no boundary")
    reader = _Reader()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": reader.on_part_begin,
            "on_header_field": reader.on_header_field,
            "on_header_value": reader.on_header_value,
            "on_header_end": reader.on_header_end,
            "on_part_data": reader.on_part_data,
            "on_part_end": reader.on_part_end,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise UnreadablePartsError(str(error)) from None
    return reader.parts
