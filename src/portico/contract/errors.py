"""What is wrong with a request or a response, in the words of its sender."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from portico.contract.excerpt import Excerpt, is_light
from portico.contract.schemas import Cause, Validator
from portico.problems import INVALID_CONTENT, INVALID_PARAMETER, Problem

Entry = dict[str, object]

MAX_ERRORS = 20  # of one document; a longer list helps nobody and costs its sender nothing
MAX_DETAIL = 240  # characters; messages quote the value they are about
_PLACES = frozenset({"path", "query", "header", "cookie"})
_SOMEWHERE: Entry = {"detail": "it does not match its schema", "pointer": "#"}


def is_valid(validator: Validator, data: Any) -> bool:
    """Tell whether data that need not come from JSON text matches a schema."""
    try:
        return validator.is_valid(data)
    except ValueError:  # a value that JSON does not have
        return False


def explain(validator: Validator, document: Any, known: Iterable[Entry] = ()) -> list[Entry]:
    """Return the entries of the `errors` member for a composite request document.

    `known` are entries about parameters that could not be read, which come first.
    """
    entries = list(known)
    about = {(entry.get("parameter"), entry.get("in")) for entry in entries}
    found = (_entry(error) for error in _causes(validator, document))
    entries.extend(
        entry
        for entry in islice(found, MAX_ERRORS)
        if "parameter" not in entry or (entry["parameter"], entry["in"]) not in about
    )
    return (entries or [_SOMEWHERE])[:MAX_ERRORS]


def explain_value(validator: Validator, value: Any) -> list[Entry]:
    """Return the entries for one JSON value, such as a response body."""
    found: Iterator[Entry] = (
        {"detail": _message(error), "pointer": pointer(error.instance_path)}
        for error in _causes(validator, value)
    )
    return list(islice(found, MAX_ERRORS)) or [_SOMEWHERE]


def pointer(path: Iterable[object]) -> str:
    """Return a JSON pointer as a URI fragment (RFC 6901, 6)."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def problem(entries: list[Entry]) -> Problem:
    """Return 400 where a parameter is wrong, else 422 for the body."""
    wrong_parameter = any("parameter" in entry for entry in entries)
    kind = INVALID_PARAMETER if wrong_parameter else INVALID_CONTENT
    count = len(entries)
    detail = str(entries[0]["detail"]) if count == 1 else f"{count} things are wrong"
    return Problem(kind, detail, extensions={"errors": entries})


def parameter_entry(name: str, where: str, detail: str) -> Entry:
    return {"detail": detail, "parameter": name, "in": where}


def _causes(validator: Validator, data: Any) -> Iterator[Cause]:
    """Yield what is wrong with data; of large data, what an excerpt shows."""
    try:
        if is_light(data):
            yield from validator.causes(data)
            return
        excerpt = Excerpt(data)
        if not is_light(excerpt.data):
            return
        for error in validator.causes(excerpt.data):
            if excerpt.is_certain(error.kind.name, tuple(error.instance_path)):
                yield error
    except ValueError:  # a value that JSON does not have
        return


def _entry(error: Cause) -> Entry:
    path, message = list(error.instance_path), _message(error)
    if not path:
        return {"detail": message, "pointer": "#"}
    where, *rest = path
    if where not in _PLACES:
        return {"detail": message, "pointer": pointer(rest)}
    name = rest[0] if rest else getattr(error.kind, "property", "")
    return parameter_entry(str(name), str(where), message)


def _message(error: Cause) -> str:
    message = str(error.message)
    return message if len(message) <= MAX_DETAIL else message[: MAX_DETAIL - 1] + "…"
