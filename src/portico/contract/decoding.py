"""Bytes of a body, or of a part of one, as JSON data, text or octets."""

from __future__ import annotations

from typing import Any

from portico.contract import json_body
from portico.contract.media import is_json, is_text, parameters

# Others are read by codecs of Python that are no character sets, or slow.
_CHARSETS = frozenset(
    {"utf-8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "windows-1252", "utf-16"}
)


class MalformedBodyError(ValueError):
    """The body cannot be read as its media type says."""


def decode_json(raw: bytes, content_type: str) -> Any:
    """Return the data of JSON content; raises MalformedBodyError."""
    del content_type
    try:
        return json_body.decode(raw)
    except json_body.MalformedJSONError as error:
        raise MalformedBodyError(f"the body is not JSON: {error}") from None


def decode_text(raw: bytes, content_type: str) -> str:
    """Return text in the charset its type names; raises MalformedBodyError."""
    charset = parameters(content_type).get("charset", "utf-8").lower()
    if charset not in _CHARSETS:
        raise MalformedBodyError(f"the charset {charset[:32]!r} is not read")
    try:
        return raw.decode(charset)
    except UnicodeDecodeError:
        raise MalformedBodyError(f"the body is not {charset} text") from None


def decode_octets(raw: bytes, content_type: str) -> str:
    """Return octets as text of the same length, so that length keywords count bytes."""
    del content_type
    return raw.decode("latin-1")


def decode_as(raw: bytes, content_type: str) -> Any:
    """Return content as what its own type says it is; raises MalformedBodyError."""
    if is_json(content_type):
        return decode_json(raw, content_type)
    return (decode_text if is_text(content_type) else decode_octets)(raw, content_type)


def loose_json(text: Any) -> Any:
    """Return the data of a text that should be JSON, or what was given if it is not."""
    try:
        return json_body.decode(text.encode()) if isinstance(text, str) else text
    except (json_body.MalformedJSONError, UnicodeEncodeError):
        return text  # reported by the schema, which knows what was expected
