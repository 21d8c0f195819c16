"""What came through a door, and why something did not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# Both ways: a clock that is ahead is as wrong as a message that is kept back.
TOLERANCE_SECONDS = 300


class WebhookRefusedError(Exception):
    """A delivery is not from whom it says; the reason is for our log, not for the sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A delivery whose signature is right. `delivery_id` is the same whenever it is repeated."""

    delivery_id: str
    topic: str = ""
    reply: bytes = b""  # what the vendor wants to read in the answer
    body: bytes | None = None  # what the workflow gets instead of the bytes that came


Headers = Mapping[str, str]  # by lower-case names
Verify = Callable[[Headers, bytes, Sequence[bytes], float], Received]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """How one vendor signs. `decode_secret` raises ValueError for a text that is no secret."""

    name: str
    headers: frozenset[str]
    verify: Verify
    decode_secret: Callable[[str], bytes]
    status: int = 200
    has_handshake: bool = False  # whether it asks before it sends, as CloudEvents may


def header(headers: Headers, name: str) -> str:
    """Return a header that has to be there. Raises WebhookRefusedError."""
    value = headers.get(name, "")
    if not value:
        raise WebhookRefusedError(f"{name} is missing")
    return value


def check_time(text: str, now: float) -> int:
    """Return a timestamp in seconds that is about now. Raises WebhookRefusedError."""
    if not (text.isdecimal() and text.isascii() and len(text) <= 12):
        raise WebhookRefusedError("the timestamp is not a number of seconds")
    seconds = int(text)
    if abs(now - seconds) > TOLERANCE_SECONDS:
        raise WebhookRefusedError("the timestamp is too far from now")
    return seconds


def digest(content: bytes) -> str:
    """Return a name for what has none of its own: the same bytes have the same."""
    return hashlib.sha256(content).hexdigest()
