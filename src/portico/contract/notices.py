"""What an operation's answers say about its end: Deprecation, Sunset and Link headers."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Mapping
from email.utils import format_datetime
from typing import Any

# A URI reference as RFC 3986 writes it; anything else could end the header field it goes into.
_REFERENCE = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+\Z")


def notices(node: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the Deprecation (RFC 9745), Sunset (RFC 8594) and Link headers of an operation."""
    if node.get("deprecated") is not True:
        return ()
    headers = []
    since, until = parse_date(node.get("x-deprecated-at")), parse_date(node.get("x-sunset-at"))
    if since is not None:
        headers.append(("Deprecation", f"@{calendar.timegm(since.utctimetuple())}"))
    if until is not None:
        headers.append(("Sunset", format_datetime(until, usegmt=True)))
    if is_reference(node.get("x-successor")):
        headers.append(("Link", f'<{node["x-successor"]}>; rel="successor-version"'))
    return tuple(headers)


def parse_date(value: object) -> dt.datetime | None:
    """Return the moment of an ISO 8601 date or time, in UTC unless it says otherwise."""
    if not isinstance(value, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def is_reference(value: object) -> bool:
    """Tell whether a value is a URI reference."""
    return isinstance(value, str) and _REFERENCE.match(value) is not None
