"""Segments of path templates: which texts one matches, and whether two can match the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

_PARAMETER = re.compile(r"\{([^{}/]+)\}")
_WHOLE = re.compile(r"\{[^{}/]+\}\Z")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def template_names(template: str) -> list[str]:
    """Return the names of the parameters of a path or segment, in their order."""
    return _PARAMETER.findall(template)


def shape(template: str) -> str:
    """Return a path template with its parameter names removed: equal shapes are one address."""
    return encoded(_PARAMETER.sub("{}", template))


def is_whole(segment: str) -> bool:
    """Tell whether a segment is one parameter and nothing else."""
    return _WHOLE.match(segment) is not None


def literals(segment: str) -> tuple[str, ...]:
    """Return the literal texts between the parameters of a segment, empty ones included."""
    return tuple(encoded(part) for part in _PARAMETER.split(segment)[::2])


def encoded(literal: str) -> str:
    """Return a literal part of a template as it stands in a request target."""
    return normal(quote(literal, safe="/!$&'()*+,;=:@~%{}"))


def normal(path: str) -> str:
    """Return a raw path without needless percent-encoding (RFC 3986, 6.2.2)."""
    return _ESCAPE.sub(_normal_escape, path) if "%" in path else path


def _normal_escape(match: re.Match[str]) -> str:
    character = chr(int(match.group(1), 16))
    return character if character in _UNRESERVED else match.group().upper()


def capture(literal_texts: Sequence[str], segment: str) -> list[str] | None:
    """Return the texts between literals in a segment, each as short as can be and not empty.

    Takes time in proportion to the segment, whatever it holds.
    """
    first, *others = literal_texts
    if not segment.startswith(first):
        return None
    values: list[str] = []
    start = len(first)
    for literal in others[:-1]:
        found = segment.find(literal, start + 1)
        if found < 0:
            return None
        values.append(segment[start:found])
        start = found + len(literal)
    end = len(segment) - len(others[-1])
    if end <= start or not segment.endswith(others[-1]):
        return None
    return [*values, segment[start:end]]


def compatible(one: str, other: str) -> bool:
    """Tell whether some text matches both segments of two templates."""
    if "{" not in one:
        return encoded(one) == encoded(other) or _takes(other, one)
    if "{" not in other:
        return _takes(one, other)
    return _meet(_units(one), _units(other))


def concreteness(segment: str) -> tuple[int, int]:
    """Return how much a segment says: a literal all of it, a parameter alone nothing."""
    if "{" not in segment:
        return 2, 0
    return (0, 0) if is_whole(segment) else (1, sum(map(len, literals(segment))))


def _takes(template: str, literal: str) -> bool:
    if "{" not in template:
        return False
    return capture(literals(template), encoded(literal)) is not None


def _units(segment: str) -> list[str]:
    """Return the characters of a segment, with "" for a parameter."""
    units: list[str] = []
    for index, literal in enumerate(literals(segment)):
        units.extend([""] if index else [])
        units.extend(literal)
    return units


def _meet(one: Sequence[str], other: Sequence[str]) -> bool:
    """Tell whether two sequences, in which "" is one or more characters, have a text in common."""
    # States are places in both; `open` says that the parameter before it may still go on.
    pending = [(0, 0, False, False)]
    seen = set(pending)
    while pending:
        first, second, first_open, second_open = pending.pop()
        if first == len(one) and second == len(other):
            return True
        for state in _steps(one, other, (first, second, first_open, second_open)):
            if state not in seen:
                seen.add(state)
                pending.append(state)
    return False


def _steps(
    one: Sequence[str], other: Sequence[str], state: tuple[int, int, bool, bool]
) -> list[tuple[int, int, bool, bool]]:
    """Return where one more character can lead."""
    first, second, first_open, second_open = state
    steps = []
    for mine, next_first, mine_open in _moves(one, first, first_open):
        for theirs, next_second, theirs_open in _moves(other, second, second_open):
            if not mine or not theirs or mine == theirs:
                steps.append((next_first, next_second, mine_open, theirs_open))
    return steps


def _moves(units: Sequence[str], at: int, is_open: bool) -> list[tuple[str, int, bool]]:
    """Return each way to take a character: which one ("" is any), the next place, and if open."""
    moves = [("", at, True)] if is_open else []
    if at < len(units):
        moves.append((units[at], at + 1, not units[at]))
    return moves
