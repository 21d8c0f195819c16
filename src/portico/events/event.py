"""A CloudEvent 1.0: its attributes, checked, and its data.

The `cloudevents` package reads the same wire forms, but takes any message with a `ce-` header for
binary mode, repairs invalid UTF-8 without a word, lets `data` and `data_base64` stand together and
renders JSON arrays as text of Python. It is the judge of the tests for what both should agree on.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from portico.events.errors import MalformedEventError

SPECVERSION = "1.0"
JSON = "application/json"
REQUIRED = ("id", "source", "type")
OPTIONAL = ("datacontenttype", "dataschema", "subject", "time")
# Intermediaries have to forward 64 KiB (CloudEvents 1.0.2, "Size Limits"); more is our choice.
MAX_EVENT_BYTES = 1024 * 1024
MAX_ATTRIBUTE_LENGTH = 2048
_NAME = re.compile(r"[a-z0-9]+\Z")
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z",
    re.ASCII,
)
_JSON_TYPE = re.compile(r"[^/]+/(?:[^;]+\+)?json\s*(?:;|\Z)", re.IGNORECASE)
# Integers of the type system are 32 bit (CloudEvents 1.0.2, "Type System").
_INTEGER = range(-(2**31), 2**31)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """An event. Raises MalformedEventError where an attribute cannot be.

    `data` is JSON where the content type is, or absent; text or bytes otherwise. `time` stays the
    text it came as, so that passing an event on does not change it.
    """

    id: str
    source: str
    type: str
    data: Any = None
    datacontenttype: str = ""
    dataschema: str = ""
    subject: str = ""
    time: str = ""
    extensions: Mapping[str, str | int | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in REQUIRED:
            if not getattr(self, name):
                raise MalformedEventError(f"the event has no {name}")
        for name in (*REQUIRED, *OPTIONAL):
            _check_text(name, getattr(self, name))
        for name, value in self.extensions.items():
            _check_extension(name, value)
        if self.time and not _is_time(self.time):
            raise MalformedEventError(f"time is no RFC 3339 timestamp: {self.time[:64]!r}")
        if isinstance(self.data, bytes) and self.has_json:
            raise MalformedEventError("the data is JSON by its content type and bytes")

    @property
    def has_json(self) -> bool:
        """Tell whether the data is JSON: it is where no content type says otherwise."""
        return is_json(self.datacontenttype or JSON)

    @property
    def identity(self) -> tuple[str, str]:
        """Return what makes two messages the same event (CloudEvents 1.0.2, "id")."""
        return self.source, self.id


def new_event(
    event_type: str, source: str, data: Any, *, subject: str = "", event_id: str = ""
) -> CloudEvent:
    """Return an event that happens now."""
    now = dt.datetime.now(dt.UTC)
    return CloudEvent(
        id=event_id or str(uuid.uuid4()),
        source=source,
        type=event_type,
        data=data,
        datacontenttype=JSON,
        subject=subject,
        time=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def is_json(media_type: str) -> bool:
    """Tell whether a content type is JSON: `*/json` or `*/*+json` (CloudEvents JSON, 3.1)."""
    return _JSON_TYPE.match(media_type) is not None


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise MalformedEventError(f"{name} is not text")
    if len(value) > MAX_ATTRIBUTE_LENGTH:
        raise MalformedEventError(f"{name} is longer than {MAX_ATTRIBUTE_LENGTH} characters")
    if _CONTROL.search(value):
        raise MalformedEventError(f"{name} has characters that no attribute may have")


def _check_extension(name: str, value: object) -> None:
    if not _NAME.match(name):
        raise MalformedEventError(f"{name[:64]!r} is no name of an attribute: use a-z and 0-9")
    if name == "data" or name in {*REQUIRED, *OPTIONAL, "specversion"}:
        raise MalformedEventError(f"{name} is no extension")
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        if value not in _INTEGER:
            raise MalformedEventError(f"{name} does not fit into 32 bits")
        return
    _check_text(name, value)


def _is_time(text: str) -> bool:
    if not _TIME.match(text):
        return False
    try:
        # A leap second is a valid timestamp that datetime does not know.
        dt.datetime.fromisoformat(re.sub(r":60(?=[.Zz+-])", ":59", text.upper()))
    except ValueError:
        return False
    return True
