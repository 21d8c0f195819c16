"""Schemas that have names of their own: `$id`, `$anchor` and `$dynamicAnchor` of one file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urljoin

from portico.contract.yaml_source import Pointer

_ANCHORS = ("$anchor", "$dynamicAnchor")
_NAMES = ("$id", *_ANCHORS)


class Identifiers:
    """Where the named schemas of a file stand.

    `bases` has the pointer of each resource by its URI (the file itself is ""), `anchors` the
    pointer of each anchor by resource and name.
    """

    def __init__(self, text: str, data: Any) -> None:
        self.bases: dict[str, Pointer] = {"": ()}
        self.anchors: dict[tuple[str, str], Pointer] = {}
        if any(name in text for name in _NAMES):
            self._collect(data)

    def find(self, uri: str) -> Pointer | None:
        """Return where a URI leads in this file, None if it names nothing here."""
        resource, _, fragment = uri.partition("#")
        if resource not in self.bases:
            return None
        parts = pointer_parts(fragment)
        if parts is None:
            return self.anchors.get((resource, fragment))
        return self.bases[resource] + parts

    def _collect(self, data: Any) -> None:
        pending: list[tuple[Any, Pointer, str]] = [(data, (), "")]
        while pending:
            node, pointer, base = pending.pop()
            if isinstance(node, list):
                pending.extend((item, (*pointer, str(n)), base) for n, item in enumerate(node))
            elif isinstance(node, dict):
                base = base_within(node, base)
                self._name(node, pointer, base)
                pending.extend((value, (*pointer, key), base) for key, value in node.items())

    def _name(self, node: Mapping[str, Any], pointer: Pointer, base: str) -> None:
        self.bases.setdefault(base, pointer)
        for key in _ANCHORS:
            if isinstance(node.get(key), str):
                self.anchors.setdefault((base, node[key]), pointer)


def base_within(node: Mapping[str, Any], base: str) -> str:
    """Return the URI that references inside `node` are relative to."""
    own = node.get("$id")
    if not isinstance(own, str) or not own or own.startswith("#"):
        return base
    return join(base, own).partition("#")[0]


@lru_cache(maxsize=4096)
def pointer_parts(fragment: str) -> Pointer | None:
    """Return the parts of a JSON pointer in a URI fragment (RFC 6901, 6), None if it is none."""
    if not fragment:
        return ()
    if not fragment.startswith("/"):
        return None
    return tuple(
        unquote(part).replace("~1", "/").replace("~0", "~") for part in fragment[1:].split("/")
    )


def render(pointer: Pointer) -> str:
    """Return a pointer as a reference within the document."""
    return "#" + "".join(
        "/" + part.replace("~", "~0").replace("/", "~1").replace("%", "%25") for part in pointer
    )


def join(base: str, reference: str) -> str:
    """Return the URI that a reference inside the resource `base` means."""
    if reference.startswith("#"):
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:  # what looks like an IPv6 address and is none
        return reference
