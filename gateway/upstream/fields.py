"""Header fields that belong to one connection, and the Via field that marks the hop."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# RFC 9110 section 7.6.1, and the two that only HTTP/1.0 proxies know.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# Longer names and more of them are looked up without being remembered: peers choose them.
MAX_REMEMBERED_NAMES = 1024
MAX_REMEMBERED_BYTES = 64

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def is_field_name(name: bytes) -> bool:
    """Tell whether `name` is a token."""
    return _NAME.match(name) is not None


def connection_options(values: Iterable[bytes]) -> frozenset[bytes]:
    """Return the lower-case names that Connection fields declare to be hop-by-hop."""
    options = (option.strip().lower() for value in values for option in value.split(b","))
    return frozenset(option for option in options if option)


def passed_through(via: Iterable[bytes], pseudonym: bytes) -> bool:
    """Tell whether Via fields name the recipient `pseudonym`."""
    for element in b",".join(via).split(b","):
        words = element.split(maxsplit=2)
        if len(words) > 1 and words[1].lower() == pseudonym:
            return True
    return False
