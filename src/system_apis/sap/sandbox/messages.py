"""One request for a resource of a service, and its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from system_apis.sap.sandbox.errors import malformed


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request below the path of a service; header names are lower-case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def document(self) -> Mapping[str, object]:
        """Return the body as JSON, which may be wrapped in `d`; raises RefusalError."""
        try:
            found = json.loads(self.body, parse_float=Decimal)
        except ValueError as error:
            raise malformed(f"The body is not JSON: {error}") from None
        document = found.get("d", found) if isinstance(found, dict) else None
        if not isinstance(document, dict):
            raise malformed("The body must be a JSON object")
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer: `content` are bytes of `media_type`."""

    status: int = 200
    content: bytes = b""
    media_type: str = "application/json;charset=utf-8"
    headers: Sequence[tuple[str, str]] = ()
