"""CloudEvents in the JSON format: one event, or a batch of them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from portico.contract.json_body import MalformedJSONError, decode
from portico.events.errors import MalformedEventError
from portico.events.event import (
    JSON,
    MAX_EVENT_BYTES,
    OPTIONAL,
    REQUIRED,
    SPECVERSION,
    CloudEvent,
    is_json,
)
from portico.json_text import encode

EVENT_TYPE = "application/cloudevents+json"
BATCH_TYPE = "application/cloudevents-batch+json"
# One message carries no more events than this.
MAX_BATCH = 1000
_RESERVED = frozenset({*REQUIRED, *OPTIONAL, "specversion", "data", "data_base64"})


def to_object(event: CloudEvent) -> dict[str, Any]:
    """Return an event as a JSON object; attributes that are not set are left out."""
    document: dict[str, Any] = {"specversion": SPECVERSION}
    for name in (*REQUIRED, *OPTIONAL):
        value = getattr(event, name)
        if value:
            document[name] = value
    document.update(event.extensions)
    if isinstance(event.data, bytes):
        document["data_base64"] = base64.b64encode(event.data).decode("ascii")
    elif event.data is not None:
        document["data"] = event.data
    return document


def from_object(document: object) -> CloudEvent:
    """Return the event of a JSON object. Raises MalformedEventError."""
    if not isinstance(document, Mapping):
        raise MalformedEventError("an event is a JSON object")
    # A member of null is one that is not there (CloudEvents JSON, 2.2).
    members = {name: value for name, value in document.items() if value is not None}
    if members.get("specversion") != SPECVERSION:
        raise MalformedEventError(f"specversion is not {SPECVERSION}")
    return CloudEvent(
        data=_data(members),
        extensions={name: value for name, value in members.items() if name not in _RESERVED},
        **{name: members.get(name, "") for name in (*REQUIRED, *OPTIONAL)},
    )


def _data(members: Mapping[str, Any]) -> Any:
    """Return the data. A string of JSON data is that string: it is not read again (3.1)."""
    if "data_base64" not in members:
        return members.get("data")
    if "data" in members:
        raise MalformedEventError("the event has both data and data_base64")
    try:
        raw = base64.b64decode(members["data_base64"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise MalformedEventError("data_base64 is not base64") from None
    media_type = members.get("datacontenttype", "")
    if not isinstance(media_type, str) or not is_json(media_type or JSON):
        return raw
    return _json(raw)


def to_bytes(event: CloudEvent) -> bytes:
    """Return an event in structured mode."""
    return encode(to_object(event))


def from_bytes(raw: bytes) -> CloudEvent:
    """Return the event of a structured message. Raises MalformedEventError."""
    return from_object(_json(raw))


def batch_to_bytes(events: Sequence[CloudEvent]) -> bytes:
    """Return a batch; one of no events is `[]`."""
    return encode([to_object(event) for event in events])


def batch_from_bytes(raw: bytes) -> list[CloudEvent | MalformedEventError]:
    """Return for each entry its event or what is wrong with it.

    Raises MalformedEventError where the batch itself cannot be read.
    """
    entries = _json(raw)
    if not isinstance(entries, list):
        raise MalformedEventError("a batch is a JSON array")
    if len(entries) > MAX_BATCH:
        raise MalformedEventError(f"a batch has at most {MAX_BATCH} events")
    return [_entry(entry) for entry in entries]


def _entry(document: object) -> CloudEvent | MalformedEventError:
    try:
        return from_object(document)
    except MalformedEventError as error:
        return error


def _json(raw: bytes) -> Any:
    if len(raw) > MAX_EVENT_BYTES:
        raise MalformedEventError(f"the message is larger than {MAX_EVENT_BYTES} bytes")
    try:
        return decode(raw)
    except (MalformedJSONError, ValueError) as error:
        raise MalformedEventError(f"the message is not JSON: {error}") from None
