"""Which operation a path means: a dictionary for plain paths, a segment trie for templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote

T = TypeVar("T")

_PARAMETER = re.compile(r"\{([^{}/]+)\}")
_WHOLE = re.compile(r"\{([^{}/]+)\}\Z")


@dataclass(slots=True)
class Leaf(Generic[T]):
    """The methods of one path: each with its target and the names of the path's parameters."""

    template: str
    methods: dict[str, tuple[T, tuple[str, ...]]] = field(default_factory=dict)

    @property
    def allow(self) -> str:
        """Return the value of the Allow header: HEAD comes with GET, OPTIONS always."""
        methods = [*self.methods, "OPTIONS"]
        if "GET" in self.methods:
            methods.append("HEAD")
        return ", ".join(sorted(set(methods)))


class _Node(Generic[T]):
    __slots__ = ("leaf", "literals", "patterns", "whole")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.patterns: list[tuple[str, re.Pattern[str], _Node[T]]] = []
        self.whole: _Node[T] | None = None
        self.leaf: Leaf[T] | None = None

    def child(self, segment: str) -> _Node[T]:
        if "{" not in segment:
            return self.literals.setdefault(_encoded(segment), _Node())
        if _WHOLE.match(segment):
            if self.whole is None:
                self.whole = _Node()
            return self.whole
        shape = _PARAMETER.sub("{}", segment)
        for known, _, node in self.patterns:
            if known == shape:
                return node
        added: _Node[T] = _Node()
        self.patterns.append((shape, _segment_pattern(segment), added))
        return added


def _encoded(literal: str) -> str:
    """Return a literal part of a template as it stands in a request target."""
    return quote(literal, safe="/!$&'()*+,;=:@~%")


def _segment_pattern(segment: str) -> re.Pattern[str]:
    literals = [re.escape(part) for part in _PARAMETER.split(segment)[::2]]
    return re.compile("([^/]+?)".join(literals) + r"\Z")


class Router(Generic[T]):
    """Paths of any number of contracts; a concrete path beats a template, segment by segment."""

    def __init__(self) -> None:
        self._static: dict[str, Leaf[T]] = {}
        self._root: _Node[T] = _Node()
        self._size = 0

    def add(self, method: str, template: str, target: T) -> None:
        """Add a target; raises ValueError when the method and shape of the path are taken."""
        leaf = self._leaf(template)
        if method in leaf.methods:
            raise ValueError(f"{method} {template} is the same address as {leaf.template}")
        leaf.methods[method] = (target, tuple(_PARAMETER.findall(template)))
        self._size += 1

    def match(self, path: str) -> tuple[Leaf[T], list[str]] | None:
        """Return the leaf of a raw request path and the raw values of its parameters."""
        leaf = self._static.get(path)
        if leaf is not None:
            return leaf, []
        values: list[str] = []
        segments = path.split("/")
        node = self._root
        # Most paths meet one way only; the rare fork is taken by the search below.
        for index in range(1, len(segments)):
            segment = segments[index]
            following = node.literals.get(segment)
            if following is None:
                if node.whole is None or not segment or node.patterns:
                    return self._search(self._root, segments, 1)
                values.append(segment)
                following = node.whole
            elif node.whole is not None:
                return self._search(self._root, segments, 1)
            node = following
        if node.leaf is None:
            return None
        return node.leaf, values

    def leaves(self) -> Iterator[Leaf[T]]:
        yield from self._static.values()
        pending = [self._root]
        while pending:
            node = pending.pop()
            if node.leaf is not None:
                yield node.leaf
            pending.extend(node.literals.values())
            pending.extend(inner for _, _, inner in node.patterns)
            if node.whole is not None:
                pending.append(node.whole)

    def __repr__(self) -> str:
        return f"<Router {self._size} operations>"

    def _leaf(self, template: str) -> Leaf[T]:
        if "{" not in template:
            return self._static.setdefault(_encoded(template), Leaf(template))
        node = self._root
        for segment in template.split("/")[1:]:
            node = node.child(segment)
        if node.leaf is None:
            node.leaf = Leaf(template)
        return node.leaf

    def _search(
        self, node: _Node[T], segments: list[str], index: int
    ) -> tuple[Leaf[T], list[str]] | None:
        """Try literals, then patterns, then the whole-segment parameter, at every segment."""
        if index == len(segments):
            return None if node.leaf is None else (node.leaf, [])
        segment = segments[index]
        for following, values in _ways(node, segment):
            found = self._search(following, segments, index + 1)
            if found is not None:
                return found[0], values + found[1]
        return None


def _ways(node: _Node[T], segment: str) -> Iterator[tuple[_Node[T], list[str]]]:
    literal = node.literals.get(segment)
    if literal is not None:
        yield literal, []
    for _, pattern, following in node.patterns:
        match = pattern.match(segment)
        if match is not None:
            yield following, list(match.groups())
    if node.whole is not None and segment:
        yield node.whole, [segment]


def shape(template: str) -> str:
    """Return a path template with its parameter names removed: equal shapes are one address."""
    return _PARAMETER.sub("{}", template)


def template_names(template: str) -> list[str]:
    return _PARAMETER.findall(template)


def overlap(one: str, other: str) -> bool:
    """Tell whether some path matches both templates and neither is the more concrete one.

    `/a/{x}` and `/a/b` are fine: the concrete one wins. `/{a}/me` and `/b/{id}` are not.
    """
    first, second = one.split("/"), other.split("/")
    if len(first) != len(second):
        return False
    wins = losses = False
    for mine, theirs in zip(first, second, strict=True):
        if "{" not in mine and "{" not in theirs:
            if mine != theirs:
                return False
        elif "{" not in mine:
            if not _matches(theirs, mine):
                return False
            wins = True
        elif "{" not in theirs:
            if not _matches(mine, theirs):
                return False
            losses = True
    return wins and losses


def _matches(template: str, literal: str) -> bool:
    return bool(literal) and _segment_pattern(template).match(literal) is not None
