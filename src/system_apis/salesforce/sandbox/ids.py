"""Record ids: 15 characters that are case-sensitive, or 18 that survive a system that is not."""

from __future__ import annotations

import re
from string import ascii_lowercase, ascii_uppercase, digits

_BASE62 = digits + ascii_uppercase + ascii_lowercase
_SUFFIX = ascii_uppercase + "012345"
_CHUNK = 5
_SERIAL_DIGITS = 9
# What every id of an org has after the prefix of its object.
_POD = "QyK"
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


def make(prefix: str, serial: int) -> str:
    """Return the id of the record of an object that is the `serial`-th.

    >>> make("001", 1)
    '001QyK000000001IBA'
    """
    number = ""
    for _ in range(_SERIAL_DIGITS):
        serial, digit = divmod(serial, len(_BASE62))
        number = _BASE62[digit] + number
    return _with_suffix(prefix + _POD + number)


def normal(text: str) -> str:
    """Return the 18-character form of an id, or the text itself if it is no id."""
    return _with_suffix(text[:15]) if _ID.fullmatch(text) else text


def _with_suffix(short: str) -> str:
    """Return an id with the three characters that tell which of its letters are capitals."""
    suffix = ""
    for start in range(0, len(short), _CHUNK):
        chunk = short[start : start + _CHUNK]
        suffix += _SUFFIX[sum(1 << place for place, char in enumerate(chunk) if char.isupper())]
    return short + suffix
