"""What pydantic found wrong with the settings, in the words of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from gateway.config.model import Config
from gateway.config.records import Pointer, SettingError, number_hint, shown, unknown

_REFERENCE = "write env:NAME, file:PATH or generated:NAME"
_DOCUMENT = "docs/configuration.md describes every setting"
_SECRETS = frozenset({"settings", "set_headers", "password_hash", "initial_token"})
_NUMBER_KINDS = frozenset({"int_type", "int_from_float", "float_type"})
_TEXT_KINDS = frozenset({"string_type", "is_instance_of", "path_type"})
_MAPPING_KINDS = frozenset({"dict_type", "model_type", "model_attributes_type"})


def explain(error: ValidationError, data: Mapping[str, Any]) -> SettingError:
    """Return the first thing that is wrong, with its place in the data."""
    first = min(error.errors(), key=_order)
    pointer = _pointer(first["loc"], data)
    kind = first["type"]
    if kind == "extra_forbidden":
        return unknown(pointer, known_names(pointer[:-1]))
    if kind == "missing":
        name = pointer[-1]
        return SettingError(pointer[:-1], f"lacks {name}", f"add `{name}:` here; {_DOCUMENT}")
    expected, hint = _expected(first)
    if _is_secret(pointer):
        return SettingError(pointer, f"must be {expected}", _REFERENCE)
    return SettingError(pointer, f"is {shown(first.get('input'))}, expected {expected}", hint)


def _order(error: Any) -> int:
    """Return what to report first: a wrong name, as it explains why another one is missing.

    Last comes what is about `anonymous` where a mapping was written.
    """
    if error["type"] == "extra_forbidden":
        return 0
    return 2 if error["type"] == "literal_error" and isinstance(error["input"], dict) else 1


def _pointer(location: Sequence[int | str], data: object) -> Pointer:
    """Return the place in the data; pydantic also names the branches of alternatives."""
    parts = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(data, dict):
            if part in data:
                data = data[part]
            elif not last:
                continue
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            break
        parts.append(str(part))
    return tuple(parts)


def _is_secret(pointer: Pointer) -> bool:
    return any("secret" in part or part in _SECRETS for part in pointer)


def _expected(error: Any) -> tuple[str, str]:
    """Return what was expected, and what to do."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _NUMBER_KINDS:
        whole = "a number" if kind == "float_type" else "a whole number"
        return whole, number_hint(error.get("input"))
    if kind in _TEXT_KINDS:
        return "text", "write it in quotes"
    if kind in _MAPPING_KINDS:
        return "a section with settings of its own", _DOCUMENT
    if kind in _BY_KIND:
        return _BY_KIND[kind](context)
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], (f"text like {context['pattern']}", _DOCUMENT))
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("expected ")
    return message[:1].lower() + message[1:], "write one of these"


_BY_KIND: Mapping[str, Callable[[Any], tuple[str, str]]] = {
    "bool_type": lambda _: ("true or false", "write true or false without quotes"),
    "list_type": lambda _: ("a list", "write it like [one, two]"),
    "literal_error": lambda context: (
        str(context["expected"]).replace("'", ""),
        "write one of these",
    ),
    "greater_than": lambda context: (f"more than {context['gt']:g}", "correct the number"),
    "greater_than_equal": lambda context: (f"{context['ge']:g} or more", "correct the number"),
    "less_than_equal": lambda context: (f"{context['le']:g} or less", "correct the number"),
    "too_short": lambda context: (
        f"at least {context['min_length']} entry",
        "add one, or remove the setting",
    ),
}
_PATTERNS = {
    r"^[A-Za-z0-9-]*$": ("the name of a header field such as Client-Cert", "leave out spaces"),
    r"^(/[A-Za-z0-9._~-]+)+$": ("a path such as /partner/weather", "begin with a slash"),
    r"^[\x21\x23-\x5b\x5d-\x7e]+$": ("a scope such as orders:read", "leave out spaces and quotes"),
}


def known_names(pointer: Pointer) -> list[str]:
    """Return the names of the settings at a place of the file."""
    model: Any = Config
    for part in pointer:
        if _is_mapping(model):
            model = get_args(model)[1]
            continue
        if not _is_model(model) or part not in model.model_fields:
            return []
        model = _section(model.model_fields[part].annotation)
    return sorted(model.model_fields) if _is_model(model) else []


def _section(annotation: Any) -> Any:
    """Return the model or mapping that an annotation allows."""
    choices = [annotation, *get_args(annotation)]
    if _is_mapping(annotation):
        return annotation
    return next((choice for choice in choices if _is_model(choice)), annotation)


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
