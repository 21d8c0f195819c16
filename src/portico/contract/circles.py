"""References and schemas that include themselves without going deeper: they mean nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portico.contract.bundle import Bundle, target
from portico.contract.findings import Finding
from portico.contract.walk import all_objects

# Keywords whose schemas apply to the same data as the schema they stand in.
_SAME_DATA = (
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
    *("dependentSchemas", "dependencies"),
)


def find_circles(bundle: Bundle) -> list[Finding]:
    """Return a finding for each object of the bundled document that includes itself."""
    document = bundle.document
    done: set[int] = set()
    caught: list[int] = []
    for node, _, _ in all_objects(document):
        if id(node) not in done:
            caught.extend(_search(document, node, done))
    if not caught:
        return []
    pointers = {id(node): pointer for node, pointer, _ in all_objects(document)}
    return [
        bundle.finding(
            pointers.get(node, ()),
            "circular-ref",
            "the object includes itself without going deeper, so it has no meaning",
            "remove one of the references of the circle",
        )
        for node in dict.fromkeys(caught)
    ]


def _search(document: Any, start: Any, done: set[int]) -> Iterator[int]:
    """Walk depth first and yield the ids of objects that are met again on the way to them."""
    active = {id(start)}
    stack = [(start, _inclusions(document, start))]
    while stack:
        node, following = stack[-1]
        inner = next(following, None)
        if inner is None:
            stack.pop()
            active.discard(id(node))
            done.add(id(node))
        elif id(inner) in active:
            yield id(inner)
        elif id(inner) not in done:
            active.add(id(inner))
            stack.append((inner, _inclusions(document, inner)))


def _inclusions(document: Any, node: Mapping[str, Any]) -> Iterator[Any]:
    """Yield every object that is part of `node` and applies to the same data."""
    reference = node.get("$ref")
    if isinstance(reference, str):
        try:
            included = target(document, reference)
        except (LookupError, TypeError, ValueError):
            included = None  # a reference where none may stand; validation finds it
        if isinstance(included, dict):
            yield included
    for key in _SAME_DATA:
        value = node.get(key)
        inner: Any = [value]
        if isinstance(value, list):
            inner = value
        elif key.startswith("dependen") and isinstance(value, dict):
            inner = value.values()
        yield from (part for part in inner if isinstance(part, dict))
