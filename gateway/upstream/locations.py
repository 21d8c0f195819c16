"""Location fields of the upstream, as addresses of the gateway."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.upstream.messages import Field

_FIELDS = frozenset({b"location", b"content-location"})
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)\Z", re.IGNORECASE)


def public_locations(
    fields: list[Field], *, hosts: Sequence[bytes], prefix: bytes, base_path: bytes
) -> list[Field]:
    """Return the fields with addresses below the upstream's base URL as paths of the gateway.

    `hosts` are the names under which the upstream may know itself: its own authority and the
    Host that was sent. Addresses of other servers and relative ones stay as they are.
    """
    for index, (name, value) in enumerate(fields):
        if name in _FIELDS:
            fields[index] = (name, _public(value, hosts, prefix, base_path))
    return fields


def _public(value: bytes, hosts: Sequence[bytes], prefix: bytes, base_path: bytes) -> bytes:
    path = value
    absolute = _ABSOLUTE.match(value)
    if absolute is not None:
        if absolute[1].lower() not in hosts:
            return value
        path = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    elif not value.startswith(b"/") or value.startswith(b"//"):
        return value
    rest = path[len(prefix) :]
    if not path.startswith(prefix) or (prefix and rest and rest[:1] not in b"/?#"):
        return path  # on the same server, but outside what this gateway offers
    # A reference that begins with two slashes would name another host.
    public = base_path + rest or b"/"
    return b"/." + public if public.startswith(b"//") else public
