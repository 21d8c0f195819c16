"""The way from one page of a list to the next."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode


def next_link(cursor: str | None, filters: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the Link header (RFC 8288) to the page at a cursor, with the filters that are set.

    Relative to the address of the request, so that it holds wherever the API is mounted.
    """
    if cursor is None:
        return []
    query = {name: value for name, value in filters.items() if value is not None}
    return [("Link", f'<?{urlencode({**query, "cursor": cursor})}>; rel="next"')]
