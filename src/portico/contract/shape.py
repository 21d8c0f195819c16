"""What is done to a JSON body beside checking it: defaults filled in, hidden members removed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from portico.contract.bundle import target
from portico.contract.directions import Direction, Hidden
from portico.contract.schema_parts import alternatives, keyword, parts, properties

_SCALARS = (str, int, float, bool, type(None))


class Shaper:
    """The changes below one schema.

    `apply` makes them in data of that schema, in place; `copied` returns the data with every
    part copied that `apply` may change.
    """

    __slots__ = ("children", "defaults", "drop", "items", "others", "prefix")

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {}
        self.drop: set[str] = set()
        self.children: dict[str, Shaper] = {}
        self.others: Shaper | None = None  # of members that are not declared by name
        self.items: Shaper | None = None
        self.prefix: list[Shaper | None] = []

    def apply(self, data: Any) -> None:
        if isinstance(data, dict):
            for name in self.drop:
                data.pop(name, None)
            for name, value in self.defaults.items():
                if name not in data:
                    data[name] = value if isinstance(value, _SCALARS) else copy.deepcopy(value)
        for key, inner in self._inside(data):
            inner.apply(data[key])

    def copied(self, data: Any) -> Any:
        """Return the data, copied as far as `apply` reaches."""
        if not isinstance(data, dict | list):
            return data
        taken: Any = data.copy()
        for key, inner in self._inside(data):
            taken[key] = inner.copied(data[key])
        return taken

    def reaches(self, others: set[Shaper]) -> bool:
        return any(shaper in others for shaper in self._all())

    def keep_only(self, others: set[Shaper]) -> None:
        self.children = {name: kept for name, kept in self.children.items() if kept in others}
        self.prefix = [shaper if shaper in others else None for shaper in self.prefix]
        self.others = self.others if self.others in others else None
        self.items = self.items if self.items in others else None

    def _all(self) -> list[Shaper | None]:
        return [self.items, self.others, *self.prefix, *self.children.values()]

    def _inside(self, data: Any) -> list[tuple[Any, Shaper]]:
        if isinstance(data, dict):
            return self._members(data)
        if not isinstance(data, list) or (self.items is None and not self.prefix):
            return []
        known = [*self.prefix, *[self.items] * (len(data) - len(self.prefix))]
        return [(n, inner) for n, inner in enumerate(known[: len(data)]) if inner is not None]

    def _members(self, data: dict[str, Any]) -> list[tuple[Any, Shaper]]:
        if self.others is None:
            return [(name, inner) for name, inner in self.children.items() if name in data]
        return [(name, self.children.get(name, self.others)) for name in data]


class Shapers:
    """The shapers of one document's schemas for one direction.

    Requests get the `default`s of members that are not required, and lose `readOnly` members;
    responses lose `writeOnly` ones. What only some alternatives (`oneOf`, `anyOf`) say is left:
    which one applies is the data's to say.
    """

    def __init__(self, document: Mapping[str, Any], direction: Direction) -> None:
        self._document = document
        self._hidden = Hidden(document, direction)
        self._fills = direction == "request"
        # Schemas live as long as the document, so their ids stay theirs.
        self._made: dict[int, Shaper] = {}
        self._new: list[Shaper] = []
        self._useful: set[Shaper] = set()

    def compile(self, schema: Any) -> Shaper | None:
        """Return the shaper of a schema, or None where there is nothing to do."""
        shaper = self._make(schema)
        self._prune()
        return shaper if shaper in self._useful else None

    def _make(self, schema: Any) -> Shaper:
        while isinstance(schema, dict) and schema.keys() == {"$ref"}:
            schema = target(self._document, schema["$ref"])
        if id(schema) not in self._made:
            shaper = self._made[id(schema)] = Shaper()
            self._new.append(shaper)
            self._collect(schema, shaper)
        return self._made[id(schema)]

    def _prune(self) -> None:
        """Cut every new branch that changes nothing."""
        made, self._new = self._new, []
        self._useful.update(shaper for shaper in made if shaper.defaults or shaper.drop)
        before = -1
        while before < len(self._useful):
            before = len(self._useful)
            self._useful.update([shaper for shaper in made if shaper.reaches(self._useful)])
        for shaper in made:
            shaper.keep_only(self._useful)

    def _collect(self, schema: Any, shaper: Shaper) -> None:
        if not isinstance(schema, dict):
            return
        declared = properties(self._document, schema)
        shaper.drop = set(self._hidden.names(schema)) | self._hidden_anyway(schema, set(declared))
        required = {
            name for part in parts(self._document, schema) for name in part.get("required", ())
        }
        for name, inner in declared.items():
            if name in shaper.drop:
                continue
            default = keyword(self._document, inner, "default", shaper)
            if self._fills and name not in required and default is not shaper:
                shaper.defaults[name] = default
            shaper.children[name] = self._make(inner)
        self._collect_others(schema, shaper)

    def _collect_others(self, schema: Any, shaper: Shaper) -> None:
        others = keyword(self._document, schema, "additionalProperties")
        if isinstance(others, dict):
            shaper.others = self._make(others)
        items = keyword(self._document, schema, "items")
        if isinstance(items, dict):
            shaper.items = self._make(items)
        shaper.prefix = [
            self._make(item) for item in keyword(self._document, schema, "prefixItems", ())
        ]

    def _hidden_anyway(self, schema: Any, declared: set[str]) -> set[str]:
        """Return the members that are hidden by every alternative that declares them."""
        hidden: set[str] = set()
        shown = declared
        for alternative in alternatives(self._document, schema):
            if isinstance(alternative, dict):
                own = self._hidden.names(alternative)
                hidden |= own
                shown = shown | (set(properties(self._document, alternative)) - own)
        return hidden - shown
