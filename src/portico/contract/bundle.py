"""Many files become one document: `$ref`s are followed inside one folder, never to a network."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portico.contract.findings import ContractError, Finding, Position
from portico.contract.identifiers import base_within, pointer_parts, render
from portico.contract.references import BrokenReferenceError, Files, Place, Target
from portico.contract.source import FileCache, Pointer, SourceFile
from portico.contract.walk import Schema, kind_at, map_schemas, rebuild

MAX_OBJECTS = 1_000_000  # of one document after its references have been followed
MAX_PUT_IN_PLACE = 10_000  # path items that references stand for; these can double and double
MAX_NESTED = 16  # path items inside the callbacks of path items
# Where a referenced object of another file is put, by its kind.
_SECTIONS = {
    "schema": "schemas",
    "response": "responses",
    "parameter": "parameters",
    "example": "examples",
    "requestBody": "requestBodies",
    "header": "headers",
    "securityScheme": "securitySchemes",
    "link": "links",
    "callback": "callbacks",
    "mediaType": "mediaTypes",
}
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(slots=True)
class Bundle:
    """A document whose references are all local, and where each lifted part came from."""

    document: dict[str, Any]
    main: SourceFile
    lifted: dict[Pointer, Target]

    def position(self, pointer: Sequence[object]) -> Position:
        """Return where the part of the bundled document at `pointer` was written."""
        parts = tuple(str(part) for part in pointer)
        if self.main.has(parts):
            return self.main.position(parts)
        for length in range(len(parts), 0, -1):
            origin = self.lifted.get(parts[:length])
            if origin is not None:
                source, prefix = origin
                return source.position(prefix + parts[length:])
        return self.main.position(parts)

    def finding(self, pointer: Sequence[object], rule: str, message: str, hint: str) -> Finding:
        """Return what is wrong at `pointer` of the bundled document."""
        return Finding(position=self.position(pointer), rule=rule, message=message, hint=hint)


def bundle(path: Path, root: Path, cache: FileCache | None = None) -> Bundle:
    """Return the document at `path` with every reference made local.

    References may name files below `root` only. Documents that share files are given the
    same `cache`. Raises ContractError with a finding for each
    reference that leaves it, names another host, or points at nothing or at the wrong thing.
    """
    files = Files(path, root, cache or FileCache())
    data = files.main.data
    if not isinstance(data, dict) or not isinstance(data.get("openapi"), str):
        raise ContractError(
            [
                Finding(
                    position=files.main.position(),
                    rule="not-openapi",
                    message="the document has no openapi version",
                    hint="start it with a line such as `openapi: 3.1.1`",
                )
            ]
        )
    return _Bundler(files).run(data)


class _Bundler:
    def __init__(self, files: Files) -> None:
        self._files = files
        self._main = files.main
        self._names: dict[tuple[SourceFile, Pointer, str], Pointer] = {}
        self._lifted: dict[Pointer, Target] = {}
        self._components: dict[Pointer, Any] = {}
        self._queue: deque[tuple[Pointer, Place, str]] = deque()
        self._inlining: list[Target] = []
        self._findings: list[Finding] = []
        self._count = 0
        self._put_in_place = 0

    def run(self, data: dict[str, Any]) -> Bundle:
        document: dict[str, Any] = self._copy(data, Place(self._main), "document")
        while self._queue:
            target, place, kind = self._queue.popleft()
            value = place.source.get(place.pointer)
            self._components[target] = self._copy(value, place, kind)
        if self._findings:
            raise ContractError(self._findings)
        self._attach(document)
        # Every reference is a pointer now; only dynamic ones still need the names of schemas.
        if self._files.mention("$id") and not self._files.mention("$dynamicRef"):
            document = map_schemas(document, _without_id)
        return Bundle(document, self._main, self._lifted)

    def _attach(self, document: dict[str, Any]) -> None:
        for (_, section, name), value in self._components.items():
            components = document.setdefault("components", {})
            members = components.setdefault(section, {}) if isinstance(components, dict) else None
            if isinstance(members, dict):  # whatever else it is, validation finds it
                members[name] = value

    def _copy(self, node: Any, place: Place, kind: str) -> Any:
        if not isinstance(node, dict):
            return node
        self._count += 1
        if self._count > MAX_OBJECTS:
            raise ContractError([*self._findings, _too_large(place)])
        if kind == "schema" and "$id" in node:
            place = Place(place.source, place.pointer, base_within(node, place.base))
        if isinstance(node.get("$ref"), str):
            if kind == "pathItem":
                return self._path_item(node, place)
            if kind in _SECTIONS:
                return self._reference(node, place, kind)
        return self._members(node, place, kind)

    def _members(self, node: dict[str, Any], place: Place, kind: str) -> dict[str, Any]:
        copied = rebuild(
            node, kind, lambda value, way, inner: self._copy(value, place.at(*way), inner)
        )
        if kind == "schema" and isinstance(node.get("discriminator"), dict):
            at = place.at("discriminator")
            copied["discriminator"] = self._discriminator(node["discriminator"], at)
        return copied

    def _reference(self, node: dict[str, Any], place: Place, kind: str) -> dict[str, Any]:
        target = self._target(node["$ref"], place.at("$ref"), kind)
        return {"$ref": target, **self._members(_siblings(node), place, kind)}

    def _path_item(self, node: dict[str, Any], place: Place) -> dict[str, Any]:
        """Put a referenced path item in place, with the reference's own members over it."""
        own = self._members(_siblings(node), place, "pathItem")
        found = self._follow(node["$ref"], place.at("$ref"), "pathItem")
        if found is None:
            return own
        if found in self._inlining:
            self._report(place.at("$ref"), _circular(node["$ref"]))
            return own
        if place.source is self._main:
            self._lifted[place.pointer] = found
        origin, pointer = found
        self._put_in_place += 1
        if self._put_in_place > MAX_PUT_IN_PLACE or len(self._inlining) >= MAX_NESTED:
            raise ContractError([*self._findings, _too_large(place)])
        self._inlining.append(found)
        copied = self._copy(origin.get(pointer), Place(origin, pointer), "pathItem")
        self._inlining.pop()
        return {**copied, **own}

    def _discriminator(self, node: dict[str, Any], place: Place) -> dict[str, Any]:
        copied = dict(node)
        if isinstance(node.get("mapping"), dict):
            copied["mapping"] = {
                key: self._mapped(value, place.at("mapping", key))
                for key, value in node["mapping"].items()
            }
        if "defaultMapping" in node:
            at = place.at("defaultMapping")
            copied["defaultMapping"] = self._mapped(node["defaultMapping"], at)
        return copied

    def _mapped(self, value: object, place: Place) -> object:
        """Return what a discriminator maps to as a reference; it may name a component."""
        if not isinstance(value, str):
            return value
        component = ("components", "schemas", value)
        try:
            place.source.get(component)
        except KeyError:
            return self._target(value, place, "schema")
        return self._target(render(component), Place(place.source, place.pointer), "schema")

    def _target(self, reference: str, place: Place, kind: str) -> str:
        """Return the local reference to what `reference` leads to."""
        found = self._follow(reference, place, kind)
        if found is None:
            return reference
        origin, pointer = found
        if origin is self._main and kind_at(pointer) == kind:
            return render(pointer)
        return render(self._lift(origin, pointer, kind))

    def _follow(self, reference: str, place: Place, kind: str) -> Target | None:
        """Return what a reference leads to, None with a finding where it is broken."""
        try:
            source, pointer = self._files.locate(reference, place)
            known = kind_at(pointer) if source is self._main else None
            fits = isinstance(source.get(pointer), dict | bool if kind == "schema" else dict)
            if not fits or known not in {None, kind}:
                raise _mismatched(reference, kind)
        except BrokenReferenceError as error:
            self._report(place, error)
        except ContractError as error:
            self._findings.extend(error.findings)
        else:
            return source, pointer
        return None

    def _lift(self, origin: SourceFile, pointer: Pointer, kind: str) -> Pointer:
        """Return the component that an object of another file becomes."""
        key = (origin, pointer, kind)
        if key not in self._names:
            section = _SECTIONS[kind]
            place = ("components", section, self._free_name(origin, pointer, section))
            self._names[key] = place
            self._lifted[place] = (origin, pointer)
            self._components[place] = None
            self._queue.append((place, Place(origin, pointer), kind))
        return self._names[key]

    def _free_name(self, origin: SourceFile, pointer: Pointer, section: str) -> str:
        stem = pointer[-1] if pointer else origin.path.name.partition(".")[0]
        words = [word for word in _NAME.sub(" ", stem).replace("-", " ").split() if word]
        name = "".join(word[0].upper() + word[1:] for word in words) or "Part"
        candidate, count = name, 1
        while self._is_taken(section, candidate):
            count += 1
            candidate = f"{name}{count}"
        return candidate

    def _is_taken(self, section: str, name: str) -> bool:
        if ("components", section, name) in self._components:
            return True
        try:
            self._main.get(("components", section, name))
        except KeyError:
            return False
        return True

    def _report(self, place: Place, error: BrokenReferenceError) -> None:
        position = place.source.position(place.pointer)
        self._findings.append(
            Finding(position=position, rule=error.rule, message=error.message, hint=error.hint)
        )


def _siblings(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "$ref"}


def _without_id(schema: Schema) -> Schema:
    schema.pop("$id", None)
    return schema


def _mismatched(reference: str, kind: str) -> BrokenReferenceError:
    return BrokenReferenceError(
        "mismatched-ref",
        f"the reference {reference!r} does not lead to a {kind}",
        f"refer to a {kind}",
    )


def _circular(reference: str) -> BrokenReferenceError:
    return BrokenReferenceError(
        "circular-ref",
        f"the reference {reference!r} leads back to itself",
        "write one of the objects on the way without a reference",
    )


def _too_large(place: Place) -> Finding:
    return Finding(
        position=place.source.position(place.pointer),
        rule="unreadable-document",
        message="the document expands too far where its references are followed",
        hint="refer to shared parts as components, which are not repeated",
    )


def target(document: Mapping[str, Any], reference: str) -> Any:
    """Return what stands where a reference of the bundled document points."""
    node: Any = document
    for part in pointer_parts(reference.removeprefix("#")) or ():
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node


def resolve(document: Mapping[str, Any], node: Any) -> Any:
    """Return what a local `$ref` of the bundled document leads to, following chains.

    Schemas may say more beside a `$ref`; `schema_parts` has all of it.
    """
    while isinstance(node, dict) and isinstance(node.get("$ref"), str):
        node = target(document, node["$ref"])
    return node
