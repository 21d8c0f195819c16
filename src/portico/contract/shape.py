"""What is done to a JSON body beside checking it: defaults filled in, hidden members removed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from portico.contract.bundle import resolve
from portico.contract.schemas import Direction

_SCALARS = (str, int, float, bool, type(None))


class Shaper:
    """The changes below one schema; `apply` works in place on data of that schema."""

    __slots__ = ("children", "defaults", "drop", "items")

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {}
        self.drop: set[str] = set()
        self.children: dict[str, Shaper] = {}
        self.items: Shaper | None = None

    def apply(self, data: Any) -> None:
        if isinstance(data, dict):
            self._apply_object(data)
        elif isinstance(data, list) and self.items is not None:
            for item in data:
                self.items.apply(item)

    def reaches(self, others: set[Shaper]) -> bool:
        return self.items in others or any(child in others for child in self.children.values())

    def keep_only(self, others: set[Shaper]) -> None:
        self.children = {name: kept for name, kept in self.children.items() if kept in others}
        if self.items not in others:
            self.items = None

    def _apply_object(self, data: dict[str, Any]) -> None:
        for name in self.drop:
            data.pop(name, None)
        for name, value in self.defaults.items():
            if name not in data:
                data[name] = value if isinstance(value, _SCALARS) else copy.deepcopy(value)
        for name, child in self.children.items():
            if name in data:
                child.apply(data[name])


def compile_shaper(document: Mapping[str, Any], schema: Any, direction: Direction) -> Shaper | None:
    """Return the shaper of a schema, or None where there is nothing to do.

    Requests get `default`s and lose `readOnly` members; responses lose `writeOnly` ones.
    Alternatives (`oneOf`, `anyOf`) are left as they are: which one applies is the data's to say.
    """
    compiler = _Compiler(document, direction)
    shaper = compiler.compile(schema)
    useful = compiler.prune()
    return shaper if shaper in useful else None


class _Compiler:
    def __init__(self, document: Mapping[str, Any], direction: Direction) -> None:
        self._document = document
        self._hidden = "readOnly" if direction == "request" else "writeOnly"
        self._fills = direction == "request"
        self._made: dict[int, Shaper] = {}

    def compile(self, schema: Any) -> Shaper:
        schema = resolve(self._document, schema)
        if id(schema) in self._made:
            return self._made[id(schema)]
        shaper = self._made[id(schema)] = Shaper()
        if isinstance(schema, dict):
            self._collect(schema, shaper, depth=0)
        return shaper

    def prune(self) -> set[Shaper]:
        """Cut every branch that changes nothing; return the shapers that are left."""
        useful = {made for made in self._made.values() if made.defaults or made.drop}
        grown = bool(useful)
        while grown:
            before = len(useful)
            useful |= {made for made in self._made.values() if made.reaches(useful)}
            grown = len(useful) > before
        for made in useful:
            made.keep_only(useful)
        return useful

    def _collect(self, schema: dict[str, Any], shaper: Shaper, depth: int) -> None:
        for part in schema.get("allOf", ()):
            resolved = resolve(self._document, part)
            if isinstance(resolved, dict) and depth < 32:  # deeper is a circle of allOf
                self._collect(resolved, shaper, depth + 1)
        for name, inner in (schema.get("properties") or {}).items():
            self._collect_property(name, inner, shaper)
        if isinstance(schema.get("items"), dict):
            shaper.items = self.compile(schema["items"])

    def _collect_property(self, name: str, inner: Any, shaper: Shaper) -> None:
        resolved = resolve(self._document, inner)
        both = [part for part in (inner, resolved) if isinstance(part, dict)]
        if any(part.get(self._hidden) is True for part in both):
            shaper.drop.add(name)
            return
        for part in both:
            if self._fills and "default" in part:
                shaper.defaults.setdefault(name, part["default"])
        if isinstance(resolved, dict) and _nests(resolved):
            shaper.children[name] = self.compile(inner)


def _nests(schema: dict[str, Any]) -> bool:
    return any(key in schema for key in ("properties", "items", "allOf"))
