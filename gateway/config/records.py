"""Settings that belong to a record of another part: checked against its fields."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

Pointer = tuple[str, ...]


class SettingError(ValueError):
    """A setting that a record does not take: where below it, what is wrong, what to do."""

    def __init__(self, pointer: Pointer, cause: str, hint: str) -> None:
        super().__init__(f"{'.'.join(pointer)}: {cause}")
        self.pointer = pointer
        self.cause = cause
        self.hint = hint


def names(record: type, without: Sequence[str] = ()) -> list[str]:
    """Return the settings that a record takes."""
    return sorted(field.name for field in dataclasses.fields(record) if field.name not in without)


def read(record: type, data: Mapping[str, Any], without: Sequence[str] = ()) -> dict[str, Any]:
    """Return data as arguments for a record; raises SettingError for what it does not take."""
    hints = get_type_hints(record)
    known = names(record, without)
    arguments = {}
    for name, value in data.items():
        if name not in known:
            raise unknown((name,), known)
        arguments[name] = _read(hints[name], name, value)
    return arguments


def unknown(pointer: Pointer, known: Sequence[str]) -> SettingError:
    """Return the error for a name that is not known at its place."""
    close = difflib.get_close_matches(pointer[-1], known, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return SettingError(pointer, "is not known", f"{meant}known here are {', '.join(known)}")


def number_hint(value: object) -> str:
    """Return what to do about something that should be a number."""
    if not isinstance(value, str):
        return "correct the number"
    digits = value.replace(".", "", 1).isdigit()
    return "write it without quotes" if digits else "write digits only, such as 30"


def _read(hint: Any, name: str, value: object) -> Any:
    if get_origin(hint) is Literal:
        return _choice(get_args(hint), name, value)
    if hint == tuple[str, ...]:
        return _texts(name, value)
    if get_origin(hint) is tuple:
        return _pairs(name, value)
    expected = _EXPECTED[hint]
    fits = isinstance(value, int | float) if hint is float else isinstance(value, hint)
    if not fits or (isinstance(value, bool) and hint is not bool):
        number = hint in {int, float}
        advice = number_hint(value) if number else "correct the value"
        raise SettingError((name,), f"is {shown(value)}, expected {expected}", advice)
    return value


_EXPECTED = types.MappingProxyType(
    {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
)


def _choice(choices: Sequence[str], name: str, value: object) -> object:
    if value not in choices:
        known = " or ".join(choices)
        raise SettingError((name,), f"is {shown(value)}, expected {known}", f"write {known}")
    return value


def _texts(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SettingError((name,), "is not a list of texts", f"write {name}: [one, two]")
    return tuple(value)


def _pairs(name: str, value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        # The values may be secrets by mistake and are not repeated.
        raise SettingError(
            (name,), "is not a mapping of names to references", f"write {name}: {{Name: env:NAME}}"
        )
    return tuple(value.items())


def shown(value: object) -> str:
    """Return a value as the file would have it, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value[:60]}"' if value else "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return str(value)[:60]
