"""Which operation a path means: a dictionary for plain paths, a segment trie for templates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from portico.contract.segments import (
    capture,
    encoded,
    is_whole,
    literals,
    normal,
    template_names,
)

T = TypeVar("T")


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
        # The literal texts around the parameters of a segment; those that say most come first.
        self.patterns: list[tuple[tuple[str, ...], _Node[T]]] = []
        self.whole: _Node[T] | None = None
        self.leaf: Leaf[T] | None = None

    def child(self, segment: str) -> _Node[T]:
        if "{" not in segment:
            return self.literals.setdefault(encoded(segment), _Node())
        if is_whole(segment):
            if self.whole is None:
                self.whole = _Node()
            return self.whole
        texts = literals(segment)
        for known, node in self.patterns:
            if known == texts:
                return node
        added: _Node[T] = _Node()
        self.patterns.append((texts, added))
        self.patterns.sort(key=lambda pattern: -sum(map(len, pattern[0])))
        return added


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
        leaf.methods[method] = (target, tuple(template_names(template)))
        self._size += 1

    def match(self, path: str) -> tuple[Leaf[T], list[str]] | None:
        """Return the leaf of a raw request path and the raw values of its parameters."""
        if "%" in path:
            return self._match_encoded(path)
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
                    return self._search(self._root, segments, segments, 1)
                values.append(segment)
                following = node.whole
            elif node.whole is not None or node.patterns:
                return self._search(self._root, segments, segments, 1)
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
            pending.extend(inner for _, inner in node.patterns)
            if node.whole is not None:
                pending.append(node.whole)

    def targets(self) -> Iterator[T]:
        """Yield every target."""
        for leaf in self.leaves():
            for target, _ in leaf.methods.values():
                yield target

    def __repr__(self) -> str:
        return f"<Router {self._size} operations>"

    def _leaf(self, template: str) -> Leaf[T]:
        if "{" not in template:
            return self._static.setdefault(encoded(template), Leaf(template))
        node = self._root
        for segment in template.split("/")[1:]:
            node = node.child(segment)
        if node.leaf is None:
            node.leaf = Leaf(template)
        return node.leaf

    def _match_encoded(self, path: str) -> tuple[Leaf[T], list[str]] | None:
        """Match with needless percent-encoding undone, as whoever is behind us will see it.

        Values stay as they were written: `%2E` in one is no delimiter of its style.
        """
        plain = normal(path)
        leaf = self._static.get(plain)
        if leaf is not None:
            return leaf, []
        return self._search(self._root, plain.split("/"), path.split("/"), 1)

    def _search(
        self, node: _Node[T], segments: Sequence[str], written: Sequence[str], index: int
    ) -> tuple[Leaf[T], list[str]] | None:
        """Try literals, then patterns, then the whole-segment parameter, at every segment."""
        if index == len(segments):
            return None if node.leaf is None else (node.leaf, [])
        for following, values in _ways(node, segments[index], written[index]):
            found = self._search(following, segments, written, index + 1)
            if found is not None:
                return found[0], values + found[1]
        return None


def _ways(node: _Node[T], segment: str, written: str) -> Iterator[tuple[_Node[T], list[str]]]:
    literal = node.literals.get(segment)
    if literal is not None:
        yield literal, []
    for texts, following in node.patterns:
        values = capture(texts, segment)
        if values is not None:
            yield following, capture(texts, written) or values
    if node.whole is not None and segment:
        yield node.whole, [written]
