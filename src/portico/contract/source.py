"""One file of a contract: its data, and where each part of it stands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from portico.contract.findings import ContractError, Finding, MisreadError, Position
from portico.contract.json_source import json_marks, read_json
from portico.contract.yaml_source import Marks, Pointer, YAMLLoader, read_yaml, yaml_marks

__all__ = ["MAX_FILE_BYTES", "FileCache", "Pointer", "SourceFile", "YAMLLoader"]

MAX_FILE_BYTES = 16 * 1024 * 1024  # a document of some ten thousand operations
_HINT = "give the path of a readable OpenAPI document in UTF-8"


class SourceFile:
    """A YAML or JSON file, read once; positions are worked out when one is asked for.

    Raises ContractError when it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = _read(path)
        self._is_json = path.suffix == ".json"
        try:
            self.data: Any = read_json(self.text) if self._is_json else read_yaml(self.text)
        except MisreadError as error:
            place = Position(path, error.line, error.column)
            hint = "correct the YAML or JSON syntax at this place"
            raise _unreadable(place, error.message, hint) from None

    def position(self, pointer: Sequence[str] = ()) -> Position:
        """Return where `pointer` stands, or its nearest ancestor that exists."""
        parts = tuple(pointer)
        while parts not in self._marks and parts:
            parts = parts[:-1]
        line, column = self._marks.get(parts, (1, 1))
        return Position(self.path, line, column)

    def has(self, pointer: Sequence[str]) -> bool:
        """Tell whether `pointer` itself has a position of its own."""
        return tuple(pointer) in self._marks

    def get(self, pointer: Sequence[str]) -> object:
        """Return the value at `pointer`; raises KeyError if there is none."""
        node = self.data
        for part in pointer:
            node = _step(node, part)
        return node

    @cached_property
    def _marks(self) -> Marks:
        return json_marks(self.text) if self._is_json else yaml_marks(self.text)


class FileCache:
    """Files that were read, each once for all the documents that it is part of."""

    def __init__(self) -> None:
        self._files: dict[Path, SourceFile] = {}

    def read(self, path: Path) -> SourceFile:
        """Return a file. Raises ContractError when it cannot be read."""
        found = self._files.get(path)
        if found is None:
            found = self._files[path] = SourceFile(path)
        return found


def _step(node: object, part: str) -> object:
    if isinstance(node, dict):
        return node[part]
    if isinstance(node, list) and part.isdecimal() and part.isascii() and len(part) < 10:
        index = int(part)
        if index < len(node):
            return node[index]
    raise KeyError(part)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise _refused(path, f"the file cannot be read: {reason}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise _refused(path, f"the file has more than {MAX_FILE_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        place = Position(path, line, error.start - raw.rfind(b"\n", 0, error.start))
        raise _unreadable(place, "the file is not UTF-8", _HINT) from None


def _refused(path: Path, message: str) -> ContractError:
    return _unreadable(Position(path, 1, 1), message, _HINT)


def _unreadable(place: Position, message: str, hint: str) -> ContractError:
    return ContractError(
        [Finding(position=place, rule="unreadable-document", message=message, hint=hint)]
    )
