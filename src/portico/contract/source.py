"""One file of a contract: its data, and where each part of it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from portico.contract.findings import ContractError, Finding, Position

Pointer = tuple[str, ...]

MAX_FILE_BYTES = 16 * 1024 * 1024  # the largest public documents are below 10 MiB
MAX_NODES = 2_000_000  # YAML aliases can make a small file stand for a huge document
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YAMLLoader(_Base):  # type: ignore[misc]  # the base is chosen at run time
    """YAML 1.2 core schema: no dates, no yes/no, string keys, no duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                raise _marked("mapping keys must be plain text", key_node)
            if key in mapping:
                raise _marked(f"the key {key!r} appears twice in one mapping", key_node)
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping


def _marked(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _install_core_schema() -> None:
    YAMLLoader.yaml_implicit_resolvers = {}
    for tag, pattern, first in (
        ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
        ("int", r"[-+]?(?:0|[1-9][0-9]*)\Z", "-+0123456789"),
        (
            "float",
            r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?\Z",
            "-+.0123456789",
        ),
        ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ):
        YAMLLoader.add_implicit_resolver(
            f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first)
        )


_install_core_schema()


class SourceFile:
    """A YAML or JSON file, read once; positions are worked out when one is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = _read(path)
        self.data = self._parse()

    def position(self, pointer: Sequence[str] = ()) -> Position:
        """Return where `pointer` stands, or its nearest ancestor that exists."""
        parts = tuple(pointer)
        while parts not in self._marks and parts:
            parts = parts[:-1]
        line, column = self._marks.get(parts, (1, 1))
        return Position(self.path, line, column)

    def get(self, pointer: Sequence[str]) -> object:
        """Return the value at `pointer`; raises KeyError if there is none."""
        node = self.data
        for part in pointer:
            node = _step(node, part)
        return node

    @cached_property
    def _marks(self) -> dict[Pointer, tuple[int, int]]:
        marks: dict[Pointer, tuple[int, int]] = {}
        root = yaml.compose(self.text, Loader=YAMLLoader)
        pending: list[tuple[Pointer, yaml.Node]] = [] if root is None else [((), root)]
        while pending and len(marks) < MAX_NODES:
            pointer, node = pending.pop()
            marks.setdefault(pointer, (node.start_mark.line + 1, node.start_mark.column + 1))
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    inner = (*pointer, key.value)
                    marks[inner] = (key.start_mark.line + 1, key.start_mark.column + 1)
                    pending.append((inner, value))
            elif isinstance(node, yaml.SequenceNode):
                pending.extend(
                    ((*pointer, str(index)), item) for index, item in enumerate(node.value)
                )
        return marks

    def _parse(self) -> Any:
        try:
            if self.path.suffix == ".json":
                return json.loads(self.text, object_pairs_hook=_unique)
            return yaml.load(self.text, Loader=YAMLLoader)  # noqa: S506  # YAMLLoader is a safe loader
        except json.JSONDecodeError as error:
            raise self._unreadable(error.lineno, error.colno, error.msg) from None
        except _DuplicateKey as error:
            raise self._unreadable(1, 1, f"the key {error} appears twice in one object") from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise self._unreadable(line, column, error.problem or str(error)) from None
        except (yaml.YAMLError, RecursionError) as error:
            raise self._unreadable(1, 1, str(error).splitlines()[0]) from None

    def _unreadable(self, line: int, column: int, message: str) -> ContractError:
        return ContractError(
            [
                Finding(
                    position=Position(self.path, line, column),
                    rule="unreadable-document",
                    message=message,
                    hint="correct the YAML or JSON syntax at this place",
                )
            ]
        )


class _DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateKey(next(repr(name) for name in names if names.count(name) > 1))
    return mapping


def _step(node: object, part: str) -> object:
    if isinstance(node, dict):
        return node[part]
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return node[int(part)]
    raise KeyError(part)


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_FILE_BYTES:
            raise _refused(path, f"the file has {len(raw)} bytes, the most is {MAX_FILE_BYTES}")
        return raw.decode()
    except OSError as error:
        raise _refused(path, f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _refused(path, f"the file is not UTF-8 at byte {error.start}") from None


def _refused(path: Path, message: str) -> ContractError:
    return ContractError(
        [
            Finding(
                position=Position(path, 1, 1),
                rule="unreadable-document",
                message=message,
                hint="give the path of a readable OpenAPI document in UTF-8",
            )
        ]
    )
