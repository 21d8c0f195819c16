"""What tests of a system API ask for again and again."""

from __future__ import annotations

from typing import Any

from portico.testing import APIUnderTest


async def body_of(api: APIUnderTest, operation_id: str, **arguments: object) -> Any:
    """Return the body that an operation answers."""
    return (await api.invoke(operation_id, arguments)).body


async def all_pages(api: APIUnderTest, operation_id: str, **arguments: object) -> list[list[Any]]:
    """Return the items of each page of a list."""
    found = []
    while True:
        page = await body_of(api, operation_id, **arguments)
        found.append(page["items"])
        if "nextCursor" not in page:
            return found
        arguments["cursor"] = page["nextCursor"]
