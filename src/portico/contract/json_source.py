"""JSON files: read strictly, and where each part of one stands."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from portico.contract.findings import MisreadError
from portico.contract.yaml_source import MAX_DEPTH, MAX_DIGITS, Marks

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_OPENING = {"[": 0, "{": -1}
_CLOSING = frozenset("]}")


def read_json(text: str) -> Any:
    """Return the data of a JSON text; raises MisreadError."""
    try:
        data = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_integer
        )
    except json.JSONDecodeError as error:
        raise MisreadError(error.msg, error.lineno, error.colno) from None
    except RecursionError:
        raise _located(text, f"the document nests deeper than {MAX_DEPTH} levels") from None
    except _RefusedError as error:
        raise _located(text, str(error)) from None
    if _is_deep(data):
        raise _located(text, f"the document nests deeper than {MAX_DEPTH} levels")
    return data


def json_marks(text: str) -> Marks:
    """Return line and column of every member and item of a JSON text that `read_json` reads."""
    lines = _line_starts(text)
    marks: Marks = {}
    for pointer, offset in _members(text):
        marks.setdefault(pointer, _place(lines, offset))
    return marks


class _RefusedError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(f"the key {twice[:64]!r} appears twice in one object")
    return mapping


def _refuse(text: str) -> Any:
    raise _RefusedError(f"{text} is not JSON")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _RefusedError(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _is_deep(data: Any) -> bool:
    level: list[Any] = [[data]]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for node in level
            for inner in (node.values() if isinstance(node, dict) else node)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _located(text: str, message: str) -> MisreadError:
    """Return the error with the first place in the text that it can be about."""
    lines = _line_starts(text)
    for match in _TOKEN.finditer(text):
        if _is_strange(match.group()):
            return MisreadError(message, *_place(lines, match.start()))
    seen: set[tuple[str, ...]] = set()
    for pointer, offset in _members(text):
        if pointer in seen or len(pointer) >= MAX_DEPTH:
            return MisreadError(message, *_place(lines, offset))
        seen.add(pointer)
    return MisreadError(message)


def _is_strange(word: str) -> bool:
    long_number = len(word) > MAX_DIGITS and word.lstrip("-").isdecimal()
    return long_number or word in {"NaN", "Infinity", "-Infinity"}


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def _place(lines: list[int], offset: int) -> tuple[int, int]:
    line = bisect_right(lines, offset)
    return line, offset - lines[line - 1] + 1


def _members(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield pointer and offset of the document, of each name in objects and each array item.

    Walks over words, so that depth costs nothing; the text is known to be JSON.
    """
    path: list[str] = []
    items: list[int] = []  # one entry for each open collection: the next item, or -1 in an object
    expects_name = False
    for match in _TOKEN.finditer(text):
        word = match.group()
        if word in _CLOSING:
            items.pop()
            expects_name = False
            del path[max(len(items) - 1, 0) :]
        elif word == ",":
            del path[len(items) - 1 :]
            expects_name = items[-1] < 0
        elif expects_name:
            path.append(json.loads(word))
            expects_name = False
            yield tuple(path), match.start()
        elif word != ":":
            if items and items[-1] >= 0:
                path.append(str(items[-1]))
                items[-1] += 1
                yield tuple(path), match.start()
            elif not items:
                yield (), match.start()
            if word in _OPENING:
                items.append(_OPENING[word])
                expects_name = items[-1] < 0
