"""Where an authorization response may be sent: exactly to what a client registered (RFC 9700, 2.1).

The one exception is the port of a native application on loopback, which its system chooses
(RFC 8252 section 7.3).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

MAX_URI_CHARACTERS = 2048

# `localhost` is a name that may lead elsewhere (RFC 8252 section 8.3).
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_CHARACTERS = re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+\Z")
# A private-use scheme is a reversed domain name (RFC 8252 section 7.1), never one browsers run.
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+\Z")


def wrong_with(uri: str, *, native: bool) -> str:
    """Return what keeps a URI from being registered, empty if nothing does."""
    parts = _split(uri)
    if parts is None:
        return "is not an absolute URI"
    if "#" in uri:
        return "has a fragment"
    if parts.username is not None or parts.password is not None:
        return "has a user"
    if parts.scheme == "https" and parts.hostname:
        return ""
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return ""
    if native and _PRIVATE_SCHEME.match(parts.scheme):
        return ""
    return "is neither https nor http on a loopback address"


def is_registered(uri: str, registered: Collection[str], *, native: bool) -> bool:
    """Return whether a response may go to `uri`: compared as text, character by character."""
    if uri in registered:
        return True
    if not native:
        return False
    flexible = _without_port(uri)
    return flexible is not None and flexible in {_without_port(known) for known in registered}


def origin_of(uri: str) -> str:
    """Return what a form-action policy needs to let a form lead to the URI."""
    parts = urlsplit(uri)
    if parts.scheme in {"http", "https"}:
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:"


def _without_port(uri: str) -> str | None:
    parts = _split(uri)
    if parts is None or parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    # Anything else before the host, or a second port, is not what was registered.
    if not re.fullmatch(re.escape(host) + r"(?::\d{1,5})?", parts.netloc):
        return None
    return parts._replace(netloc=host).geturl()


def _split(uri: str) -> SplitResult | None:
    if len(uri) > MAX_URI_CHARACTERS or not _CHARACTERS.match(uri):
        return None
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme else None
