"""Request bodies: how the bytes of each media type become the data their schema describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from portico.contract.casts import compile_cast
from portico.contract.decoding import MalformedBodyError, decode_json, decode_octets, decode_text
from portico.contract.forms import Fields
from portico.contract.media import essence, is_json, is_text, parameters
from portico.contract.multipart import MalformedMultipartError, split_parts
from portico.contract.schema_parts import properties, schema_types
from portico.contract.styles import Query, StyleError

Decode = Callable[[bytes, str], Any]
Handling = Literal["json", "form", "multipart", "text", "opaque"]

_SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})


def handling(document: Mapping[str, Any], media_type: str, schema: Any) -> Handling:
    """Return what is done with content of one declared media type.

    `opaque` content is octets to us: no format we read, or a text whose schema describes the
    structure inside it, such as XML.
    """
    name = essence(media_type)
    if is_json(name):
        return "json"
    if name == "application/x-www-form-urlencoded":
        return "form"
    if name.startswith("multipart/"):
        # Without named parts there is nothing that a schema could say about them.
        named = name == "multipart/form-data" or bool(properties(document, schema))
        return "multipart" if named else "opaque"
    if is_text(name) and schema_types(document, schema) <= _SCALARS:
        return "text"
    return "opaque"


def compile_decoder(
    document: Mapping[str, Any], media_type: str, media: Mapping[str, Any]
) -> Decode:
    """Return the function that reads a body of one declared media type.

    It takes the body and the Content-Type it came with, and raises MalformedBodyError.
    """
    schema = media.get("schema", {})
    how = handling(document, media_type, schema)
    if how == "json":
        return decode_json
    if how in {"form", "multipart"}:
        fields = Fields(document, schema, media.get("encoding", {}))
        return _form_decoder(fields) if how == "form" else _multipart_decoder(fields)
    if how == "text":
        return _text_decoder(document, schema)
    return decode_octets


def _text_decoder(document: Mapping[str, Any], schema: Any) -> Decode:
    cast = compile_cast(document, schema)
    if cast is None:
        return decode_text
    return lambda raw, content_type: cast(decode_text(raw, content_type))


def _form_decoder(fields: Fields) -> Decode:
    def decode(raw: bytes, content_type: str) -> Any:
        del content_type
        try:
            return fields.read(Query(raw))
        except StyleError as error:
            raise MalformedBodyError(f"the form cannot be read: {error}") from None

    return decode


def _multipart_decoder(fields: Fields) -> Decode:
    def decode(raw: bytes, content_type: str) -> Any:
        try:
            parts = split_parts(raw, parameters(content_type).get("boundary", ""))
        except MalformedMultipartError as error:
            raise MalformedBodyError(f"the multipart body cannot be read: {error}") from None
        return fields.join(parts)

    return decode
