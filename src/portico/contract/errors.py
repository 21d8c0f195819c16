"""What is wrong with a request or a response, in the words of its sender."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from portico.contract.schemas import Validator
from portico.problems import INVALID_CONTENT, INVALID_PARAMETER, Problem

MAX_ERRORS = 20  # of one document; a longer list helps nobody and costs its sender nothing
MAX_DETAIL = 240  # characters; messages quote the value they are about
_PLACES = frozenset({"path", "query", "header", "cookie", "querystring"})


def explain(validator: Validator, document: Any) -> list[dict[str, object]]:
    """Return the entries of the `errors` member for a composite request document."""
    entries: list[dict[str, object]] = []
    for error in validator.iter_errors(document):
        entries.append(_entry(list(error.instance_path), _message(error)))
        if len(entries) == MAX_ERRORS:
            break
    return entries


def explain_value(validator: Validator, value: Any) -> list[dict[str, object]]:
    """Return the entries for one JSON value, such as a response body."""
    entries: list[dict[str, object]] = []
    for error in validator.iter_errors(value):
        entries.append({"detail": _message(error), "pointer": pointer(error.instance_path)})
        if len(entries) == MAX_ERRORS:
            break
    return entries


def pointer(path: Iterable[object]) -> str:
    """Return a JSON pointer as a URI fragment (RFC 6901, 6)."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def problem(entries: list[dict[str, object]]) -> Problem:
    """Return 400 where a parameter is wrong, else 422 for the body."""
    wrong_parameter = any("parameter" in entry for entry in entries)
    kind = INVALID_PARAMETER if wrong_parameter else INVALID_CONTENT
    count = len(entries)
    detail = str(entries[0]["detail"]) if count == 1 else f"{count} things are wrong"
    return Problem(kind, detail, extensions={"errors": entries})


def parameter_entry(name: str, where: str, detail: str) -> dict[str, object]:
    return {"detail": detail, "parameter": name, "in": where}


def _entry(path: list[Any], message: str) -> dict[str, object]:
    if not path:
        return {"detail": message, "pointer": "#"}
    where, *rest = path
    if where not in _PLACES:
        return {"detail": message, "pointer": pointer(rest)}
    return parameter_entry(str(rest[0]) if rest else _quoted(message), where, message)


def _quoted(message: str) -> str:
    """Return the name a message such as `"limit" is a required property` is about."""
    parts = message.split('"')
    if len(parts) > 1:
        return parts[1]
    parts = message.split("'")
    return parts[1] if len(parts) > 1 else ""


def _message(error: Any) -> str:
    message = str(error.message)
    return message if len(message) <= MAX_DETAIL else message[: MAX_DETAIL - 1] + "…"
