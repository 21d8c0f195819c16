"""`readOnly` and `writeOnly`: members that one direction never carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from portico.contract.schema_parts import parts

Direction = Literal["request", "response"]

_KEYWORDS: Mapping[Direction, str] = {"request": "readOnly", "response": "writeOnly"}


class Hidden:
    """Which members of the schemas of one document are hidden from one direction."""

    def __init__(self, document: Mapping[str, Any], direction: Direction) -> None:
        self._document = document
        self._keyword = _KEYWORDS[direction]
        # Schemas live as long as the document, so their ids stay theirs.
        self._names: dict[int, frozenset[str]] = {}

    def names(self, schema: Mapping[str, Any]) -> frozenset[str]:
        """Return the hidden members of an object schema, those of what it consists of included."""
        known = self._names.get(id(schema))
        if known is None:
            known = self._names[id(schema)] = frozenset(
                name
                for part in parts(self._document, schema)
                for name, inner in part.get("properties", {}).items()
                if self.is_hidden(inner)
            )
        return known

    def is_hidden(self, schema: Any) -> bool:
        """Tell whether a member of this schema is hidden; a reference hides what it refers to."""
        return any(part.get(self._keyword) is True for part in parts(self._document, schema))
