"""A small piece of large data, enough to say what is wrong with it at a bounded price.

Every error of a validator holds a copy of what it is about, and there can be as many errors as
values: without a bound, explaining one wrong body would take seconds and hundreds of megabytes.
"""

from __future__ import annotations

from typing import Any

MAX_WEIGHT = 1000  # values, where a long text counts for more: what is explained as it is
_TEXT_WEIGHT = 64  # characters of one more
_ITEMS = 10  # of an array
_CHARACTERS = 300  # of a text

Path = tuple[str | int, ...]

# Errors that are as true of the whole as they are of its excerpt.
_CERTAIN = frozenset(
    {
        *("type", "required", "additionalProperties", "enum", "const", "falseSchema"),
        *("maxLength", "maxItems", "maxProperties", "propertyNames"),
    }
)


def is_light(data: Any) -> bool:
    """Tell whether data is small enough to be explained as it is."""
    weight = 0
    pending = [data]
    while pending:
        node = pending.pop()
        weight += 1
        if isinstance(node, str):
            weight += len(node) // _TEXT_WEIGHT
        elif isinstance(node, dict):
            weight += sum(len(name) // _TEXT_WEIGHT for name in node if isinstance(name, str))
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
        if weight + len(pending) > MAX_WEIGHT:
            return False
    return True


class Excerpt:
    """Data with its long arrays and texts cut off, and where that happened."""

    def __init__(self, data: Any) -> None:
        self._cuts: list[Path] = []
        self.data = self._cut(data, ())

    def is_certain(self, kind: str, path: Path) -> bool:
        """Tell whether an error that the excerpt has at a path is one of the whole, too."""
        return kind in _CERTAIN or not any(cut[: len(path)] == path for cut in self._cuts)

    def _cut(self, node: Any, path: Path) -> Any:
        if isinstance(node, str) and len(node) > _CHARACTERS:
            self._cuts.append(path)
            return node[:_CHARACTERS]
        if isinstance(node, dict):
            return {name: self._cut(value, (*path, name)) for name, value in node.items()}
        if not isinstance(node, list):
            return node
        if len(node) > _ITEMS:
            self._cuts.append(path)
        return [self._cut(item, (*path, index)) for index, item in enumerate(node[:_ITEMS])]
