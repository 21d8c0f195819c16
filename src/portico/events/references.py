"""Schemas of event contracts: references stay in one folder, and reach no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import jsonschema_rs

from portico.contract.source import SourceFile

# A host that cannot exist (RFC 6761): relative references are resolved, and nothing is fetched.
_BASE = "https://contracts.invalid/"
_MAX_FILES = 500


class Schemas:
    """The files below a root, each by its address there."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._sources: dict[Path, SourceFile] = {}

    def source(self, path: Path) -> SourceFile:
        """Return a file, read once. Raises ContractError, ValueError for one outside the root."""
        resolved = path.resolve()
        if not resolved.is_relative_to(self._root):
            raise ValueError(f"{path.name} is outside {self._root.name}")
        if resolved not in self._sources:
            if len(self._sources) >= _MAX_FILES:
                raise ValueError(f"more than {_MAX_FILES} files are referred to")
            self._sources[resolved] = SourceFile(resolved)
        return self._sources[resolved]

    def validator(
        self, source: SourceFile, pointer: tuple[str, ...]
    ) -> jsonschema_rs.Draft202012Validator:
        """Return the validator of the schema at a place of a file, formats included.

        Raises ValueError, jsonschema_rs.ReferencingError.
        """
        address = self._address(source)
        resources = list(self._reachable(source))
        fragment = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in pointer)
        return jsonschema_rs.Draft202012Validator(
            {"$ref": f"{address}#{fragment}"},
            registry=jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft202012),
            validate_formats=True,
            offline=True,
        )

    def _address(self, source: SourceFile) -> str:
        return _BASE + source.path.resolve().relative_to(self._root).as_posix()

    def _reachable(self, source: SourceFile) -> Iterator[tuple[str, Any]]:
        """Yield a file and all it refers to, directly and indirectly."""
        waiting, seen = [source], {source.path}
        while waiting:
            current = waiting.pop()
            address = self._address(current)
            yield address, current.data
            for reference in _references(current.data):
                target = urljoin(address, reference).partition("#")[0]
                if not target.startswith(_BASE):
                    raise ValueError(f"{reference} leaves the folder of the contracts")
                found = self.source(self._root / unquote(target.removeprefix(_BASE)))
                if found.path not in seen:
                    seen.add(found.path)
                    waiting.append(found)


def _references(node: Any) -> Iterator[str]:
    """Yield the references of a document."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, list):
            waiting.extend(current)
        elif isinstance(current, dict):
            reference = current.get("$ref")
            if isinstance(reference, str):
                yield reference
            waiting.extend(current.values())


def look_up(data: Any, reference: str) -> tuple[tuple[str, ...], Any] | None:
    """Return the place and the value of a reference within a document, None if there is none."""
    if not reference.startswith("#/"):
        return None
    parts = tuple(
        unquote(part).replace("~1", "/").replace("~0", "~")
        for part in reference.removeprefix("#/").split("/")
    )
    node = data
    for part in parts:
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return parts, node
