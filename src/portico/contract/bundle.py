"""Many files become one document: `$ref`s are followed inside one folder, never to a network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from portico.contract.findings import ContractError, Finding, Position
from portico.contract.source import MAX_NODES, Pointer, SourceFile
from portico.contract.walk import MAPS, NAMED

# A reference below one of these keys points at that kind of component.
_SECTIONS = {
    "parameters": "parameters",
    "responses": "responses",
    "requestBody": "requestBodies",
    "requestBodies": "requestBodies",
    "headers": "headers",
    "links": "links",
    "callbacks": "callbacks",
    "securitySchemes": "securitySchemes",
    "examples": "examples",
}
_DATA_KEYS = frozenset({"example", "default", "enum", "const", "value"})
_NAMED_KEYS = frozenset({*NAMED, *MAPS, "schemas", "examples"}) - {"parameters"}
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(slots=True)
class Bundle:
    """A document whose references are all local, and where each lifted part came from."""

    document: dict[str, Any]
    main: SourceFile
    lifted: dict[Pointer, tuple[SourceFile, Pointer]]

    def position(self, pointer: Sequence[object]) -> Position:
        """Return where the part of the bundled document at `pointer` was written."""
        parts = tuple(str(part) for part in pointer)
        for length in range(len(parts), 0, -1):
            origin = self.lifted.get(parts[:length])
            if origin is not None:
                source, prefix = origin
                return source.position(prefix + parts[length:])
        return self.main.position(parts)


def bundle(path: Path, root: Path) -> Bundle:
    """Return the document at `path` with every reference made local.

    References may name files below `root` only. Raises ContractError with a finding for each
    reference that leaves it, names another host or points at nothing.
    """
    bundler = _Bundler(path, root.resolve())
    return bundler.run()


class _Bundler:
    def __init__(self, path: Path, root: Path) -> None:
        self._root = root
        self._main = SourceFile(path)
        self._files = {path.resolve(): self._main}
        self._names: dict[tuple[Path, Pointer, str], Pointer] = {}
        self._lifted: dict[Pointer, tuple[SourceFile, Pointer]] = {}
        self._components: dict[Pointer, Any] = {}
        self._findings: list[Finding] = []
        self._count = 0

    def run(self) -> Bundle:
        data = self._main.data
        if not isinstance(data, dict) or not isinstance(data.get("openapi"), str):
            raise ContractError(
                [
                    Finding(
                        position=self._main.position(),
                        rule="not-openapi",
                        message="the document has no openapi version",
                        hint="start it with a line such as `openapi: 3.1.1`",
                    )
                ]
            )
        try:
            document = self._copy(data, self._main, (), "schemas")
        except RecursionError:
            document = {}
            self._find(self._main, (), "unreadable-document", "the document nests too deep")
        self._attach(document)
        self._check_local(document)
        if self._findings:
            raise ContractError(self._findings)
        return Bundle(document, self._main, self._lifted)

    def _attach(self, document: dict[str, Any]) -> None:
        for (_, section, name), value in self._components.items():
            document.setdefault("components", {}).setdefault(section, {})[name] = value

    def _copy(self, node: Any, source: SourceFile, pointer: Pointer, section: str) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            self._find(source, pointer, "unreadable-document", "the document expands too far")
            raise ContractError(self._findings)
        if isinstance(node, list):
            return [
                self._copy(item, source, (*pointer, str(index)), section)
                for index, item in enumerate(node)
            ]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str) and not _names_things(pointer):
            return self._reference(node, source, pointer, section)
        return self._copy_mapping(node, source, pointer, section)

    def _copy_mapping(
        self, node: dict[str, Any], source: SourceFile, pointer: Pointer, section: str
    ) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        named = _names_things(pointer)
        for key, value in node.items():
            inner = (*pointer, key)
            if key in _DATA_KEYS and not named:
                copied[key] = value
            elif key == "mapping" and pointer[-1:] == ("discriminator",):
                copied[key] = self._mapping(value, source, inner)
            else:
                kind = "schemas" if key in {"schema", "schemas"} else _SECTIONS.get(key, section)
                copied[key] = self._copy(value, source, inner, section if named else kind)
        return copied

    def _mapping(self, value: Any, source: SourceFile, pointer: Pointer) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            key: self._target(target, source, (*pointer, key), "schemas")
            if isinstance(target, str) and ("#" in target or "/" in target or "." in target)
            else target
            for key, target in value.items()
        }

    def _reference(
        self, node: dict[str, Any], source: SourceFile, pointer: Pointer, section: str
    ) -> Any:
        if len(pointer) == 2 and pointer[0] in {"paths", "webhooks"}:
            return self._path_item(node, source, pointer)
        target = self._target(node["$ref"], source, (*pointer, "$ref"), section)
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        return {"$ref": target, **self._copy_mapping(siblings, source, pointer, section)}

    def _path_item(self, node: dict[str, Any], source: SourceFile, pointer: Pointer) -> Any:
        """Put a referenced path item in place, with the reference's own members over it."""
        found = self._find_target(node["$ref"], source, (*pointer, "$ref"))
        if found is None:
            return {}
        origin, inner = found
        value = self._value(origin, inner, source, pointer)
        self._lifted[pointer] = (origin, inner)
        copied = self._copy(value, origin, inner, "schemas") if isinstance(value, dict) else {}
        own = {key: member for key, member in node.items() if key != "$ref"}
        return {**copied, **self._copy_mapping(own, source, pointer, "schemas")}

    def _target(self, ref: str, source: SourceFile, at: Pointer, section: str) -> str:
        found = self._find_target(ref, source, at)
        if found is None:
            return ref
        origin, pointer = found
        if origin is self._main:
            return _render(pointer) if pointer or ref.startswith("#") else ref
        return _render(self._lift(origin, pointer, section, (source, at)))

    def _find_target(
        self, ref: str, source: SourceFile, at: Pointer
    ) -> tuple[SourceFile, Pointer] | None:
        location, _, fragment = ref.partition("#")
        pointer = _pointer(fragment)
        if pointer is None:
            # `#name` is an anchor, resolved by the schema validator; a pointer starts with a slash.
            return (source, ()) if source is self._main and not location else None
        if not location:
            return source, pointer
        origin = self._open(location, source, at)
        return None if origin is None else (origin, pointer)

    def _open(self, location: str, source: SourceFile, at: Pointer) -> SourceFile | None:
        if urlsplit(location).scheme or location.startswith("//"):
            self._find(
                source,
                at,
                "remote-ref",
                f"the reference {location!r} leaves this machine",
                "copy the document into the contract folder and refer to it by a relative path",
            )
            return None
        path = (source.path.parent / unquote(location)).resolve()
        if not path.is_relative_to(self._root):
            self._find(
                source,
                at,
                "escaping-ref",
                f"the reference {location!r} leaves the folder {self._root}",
                "keep every referenced file inside the contract folder",
            )
            return None
        return self._load(path, location, source, at)

    def _load(
        self, path: Path, location: str, source: SourceFile, at: Pointer
    ) -> SourceFile | None:
        if path not in self._files:
            if not path.is_file():
                self._unresolved(location, source, at)
                return None
            self._files[path] = SourceFile(path)
        return self._files[path]

    def _lift(
        self, origin: SourceFile, pointer: Pointer, section: str, at: tuple[SourceFile, Pointer]
    ) -> Pointer:
        key = (origin.path.resolve(), pointer, section)
        if key in self._names:
            return self._names[key]
        place = ("components", section, self._free_name(origin, pointer, section))
        self._names[key] = place
        self._lifted[place] = (origin, pointer)
        self._components[place] = {}
        value = self._value(origin, pointer, *at)
        self._components[place] = self._copy(value, origin, pointer, section)
        return place

    def _value(
        self, origin: SourceFile, pointer: Pointer, source: SourceFile, at: Pointer
    ) -> object:
        try:
            return origin.get(pointer)
        except KeyError:
            self._unresolved(f"{origin.path.name}{_render(pointer)}", source, at)
            return {}

    def _free_name(self, origin: SourceFile, pointer: Pointer, section: str) -> str:
        stem = pointer[-1] if pointer else origin.path.name.partition(".")[0]
        words = [word for word in _NAME.sub(" ", stem).replace("-", " ").split() if word]
        name = "".join(word[0].upper() + word[1:] for word in words) or "Part"
        taken = self._main.data.get("components", {}).get(section, {})
        candidate, count = name, 1
        while candidate in taken or ("components", section, candidate) in self._components:
            count += 1
            candidate = f"{name}{count}"
        return candidate

    def _check_local(self, node: Any, pointer: Pointer = ()) -> None:
        """Report every local reference of the main file that points at nothing."""
        pending: list[tuple[Any, Pointer]] = [(self._main.data, ())]
        while pending:
            node, pointer = pending.pop()
            if isinstance(node, list):
                pending.extend((item, (*pointer, str(i))) for i, item in enumerate(node))
            elif isinstance(node, dict):
                ref = node.get("$ref")
                if isinstance(ref, str) and not _names_things(pointer):
                    self._check_local_ref(ref, (*pointer, "$ref"))
                pending.extend(
                    (value, (*pointer, key))
                    for key, value in node.items()
                    if key not in _DATA_KEYS or _names_things(pointer)
                )

    def _check_local_ref(self, ref: str, at: Pointer) -> None:
        inner = _pointer(ref[1:]) if ref.startswith("#") else None
        if not inner:
            return
        try:
            self._main.get(inner)
        except KeyError:
            self._unresolved(ref, self._main, at)

    def _unresolved(self, ref: str, source: SourceFile, at: Pointer) -> None:
        self._find(
            source,
            at,
            "unresolved-ref",
            f"the reference {ref!r} points at nothing",
            "correct the path, or add what it names",
        )

    def _find(
        self, source: SourceFile, pointer: Pointer, rule: str, message: str, hint: str = ""
    ) -> None:
        self._findings.append(
            Finding(
                position=source.position(pointer),
                rule=rule,
                message=message,
                hint=hint or "write the document in a smaller or flatter way",
            )
        )


def _names_things(pointer: Pointer) -> bool:
    """Tell whether the keys below `pointer` are names of the author, not of OpenAPI."""
    named = False
    for part in pointer:
        # A key below one that names things is a name itself, whatever it looks like.
        named = not named and part in _NAMED_KEYS
    return named


def _pointer(fragment: str) -> Pointer | None:
    """Return the parts of a JSON pointer fragment, or None if it is an anchor name."""
    if not fragment:
        return ()
    if not fragment.startswith("/"):
        return None
    return tuple(
        unquote(part).replace("~1", "/").replace("~0", "~") for part in fragment[1:].split("/")
    )


def _render(pointer: Pointer) -> str:
    return "#" + "".join(
        "/" + part.replace("~", "~0").replace("/", "~1").replace("%", "%25") for part in pointer
    )


def resolve(document: Mapping[str, Any], node: Any) -> Any:
    """Return what a local `$ref` of the bundled document leads to, following chains."""
    for _ in range(64):  # a longer chain is a circle
        if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
            return node
        parts = _pointer(node["$ref"][1:])
        if parts is None:
            return node
        target: Any = document
        for part in parts:
            target = target[int(part)] if isinstance(target, list) else target[part]
        node = target
    return {}
