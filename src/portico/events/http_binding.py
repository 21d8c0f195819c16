"""CloudEvents over HTTP: which mode a message is in, and reading and writing both.

The rules are those of the HTTP Protocol Binding 1.0.2; sections are named where they apply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes

from portico.contract.json_body import MalformedJSONError, decode
from portico.events.errors import MalformedEventError, UnsupportedFormatError
from portico.events.event import (
    JSON,
    MAX_EVENT_BYTES,
    OPTIONAL,
    REQUIRED,
    SPECVERSION,
    CloudEvent,
    is_json,
)
from portico.events.json_format import (
    BATCH_TYPE,
    EVENT_TYPE,
    batch_from_bytes,
    batch_to_bytes,
    from_bytes,
    to_bytes,
)
from portico.json_text import encode

Mode = Literal["batch", "structured", "binary", "none"]
Fields = Iterable[tuple[str, str]]
_PREFIX = "ce-"
# Printable ASCII without the space, the quotation mark and the percent sign (3.1.3.2).
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\Z')


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An HTTP message that carries events."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


def mode_of(headers: Fields) -> Mode:
    """Return the mode of a message (3): by its content type, else by its ce- headers."""
    fields = {name.lower(): value for name, value in headers}
    content_type = fields.get("content-type", "").strip().lower()
    if content_type.startswith("application/cloudevents-batch"):
        return "batch"
    if content_type.startswith("application/cloudevents"):
        return "structured"
    needed = (f"{_PREFIX}{name}" for name in ("specversion", *REQUIRED))
    return "binary" if all(name in fields for name in needed) else "none"


def read(headers: Fields, body: bytes) -> CloudEvent:
    """Return the event of a message in binary or structured mode.

    Raises MalformedEventError, UnsupportedFormatError; a batch is unsupported where nobody asked
    for one (3.3).
    """
    fields = list(headers)
    mode = mode_of(fields)
    if mode == "structured":
        _require_format(fields, EVENT_TYPE)
        return from_bytes(body)
    if mode == "binary":
        return _read_binary(fields, body)
    if mode == "batch":
        raise UnsupportedFormatError("a batch of events is not accepted here")
    raise MalformedEventError("the message has neither an event's content type nor ce- headers")


def read_batch(headers: Fields, body: bytes) -> list[CloudEvent | MalformedEventError]:
    """Return what a message carries where batches are accepted: one entry or many."""
    fields = list(headers)
    if mode_of(fields) != "batch":
        return [read(fields, body)]
    _require_format(fields, BATCH_TYPE)
    return batch_from_bytes(body)


def write_structured(event: CloudEvent) -> Message:
    return Message(headers=(("content-type", EVENT_TYPE),), body=to_bytes(event))


def write_batch(events: list[CloudEvent]) -> Message:
    return Message(headers=(("content-type", BATCH_TYPE),), body=batch_to_bytes(events))


def write_binary(event: CloudEvent) -> Message:
    """Return an event whose data is the body, under its own content type."""
    attributes: dict[str, Any] = {"specversion": SPECVERSION}
    for name in (*REQUIRED, *OPTIONAL):
        value = getattr(event, name)
        if value and name != "datacontenttype":
            attributes[name] = value
    attributes.update(event.extensions)
    headers = [(f"{_PREFIX}{name}", encode_value(value)) for name, value in attributes.items()]
    if event.data is None:
        return Message(headers=tuple(headers), body=b"")
    headers.append(("content-type", event.datacontenttype or JSON))
    return Message(headers=tuple(headers), body=_body(event))


def encode_value(value: str | int | bool) -> str:
    """Return an attribute as the value of a header (3.1.3.2).

    >>> encode_value("Euro € 😀")
    'Euro%20%E2%82%AC%20%F0%9F%98%80'
    """
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return quote(text, safe=_SAFE)


def decode_value(value: str) -> str:
    """Return an attribute from a header: quotes go first, then one round of percent-decoding.

    Raises MalformedEventError for octets that are not UTF-8, such as the overlong `%C0%A0`.
    """
    text = value.strip(" \t")
    quoted = _QUOTED.match(text)
    if quoted is not None:
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedEventError("a ce- header is not UTF-8") from None


def _read_binary(fields: list[tuple[str, str]], body: bytes) -> CloudEvent:
    attributes = _attributes(fields)
    if attributes.pop("specversion") != SPECVERSION:
        raise MalformedEventError(f"ce-specversion is not {SPECVERSION}")
    if "datacontenttype" in attributes:
        raise MalformedEventError("ce-datacontenttype is not allowed: Content-Type says it")
    content_type = next((value for name, value in fields if name.lower() == "content-type"), "")
    known = {name: attributes.pop(name, "") for name in (*REQUIRED, *OPTIONAL)}
    known["datacontenttype"] = content_type
    return CloudEvent(data=_data(body, content_type), extensions=attributes, **known)


def _attributes(fields: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in fields:
        lowered = name.lower()
        if not lowered.startswith(_PREFIX):
            continue
        attribute = lowered.removeprefix(_PREFIX)
        if attribute in found:
            raise MalformedEventError(f"the header {lowered[:64]} is there twice")
        found[attribute] = decode_value(value)
    return found


def _data(body: bytes, content_type: str) -> Any:
    if len(body) > MAX_EVENT_BYTES:
        raise MalformedEventError(f"the data is larger than {MAX_EVENT_BYTES} bytes")
    if not body:
        return None
    if not is_json(content_type or JSON):
        return body
    try:
        return decode(body)
    except (MalformedJSONError, ValueError) as error:
        raise MalformedEventError(f"the data is not JSON: {error}") from None


def _body(event: CloudEvent) -> bytes:
    if isinstance(event.data, bytes):
        return event.data
    if not event.has_json and isinstance(event.data, str):
        return event.data.encode()
    return encode(event.data)


def _require_format(fields: list[tuple[str, str]], expected: str) -> None:
    """Raise UnsupportedFormatError unless the event format is the one read here (3.2)."""
    content_type = next(value for name, value in fields if name.lower() == "content-type")
    if content_type.partition(";")[0].strip().lower() != expected:
        raise UnsupportedFormatError(f"events are read as {expected}")
