"""JSON bodies: decoded strictly, duplicate members refused."""

from __future__ import annotations

import json
from typing import Any

import orjson


class MalformedJSON(ValueError):
    """The text is not JSON, or an object names a member twice."""


def decode(raw: bytes) -> Any:
    """Return the data of a JSON text; raises MalformedJSON.

    orjson keeps the last of duplicate members without a word. A text that was read whole has as
    many quotation marks as its own compact rendering, so counting them finds the rare text that
    needs a second, slower look; only an escaped mark, written \\u0022, could hide a difference.
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedJSON(str(error)) from None
    if raw.count(b'"') != _quotation_marks(data) or (b"\\" in raw and b"\\u0022" in raw):
        _refuse_duplicates(raw)
    return data


def _quotation_marks(data: Any) -> int:
    try:
        return orjson.dumps(data).count(b'"')
    except (TypeError, orjson.JSONEncodeError):
        return -1  # nested deeper than orjson writes


def _refuse_duplicates(raw: bytes) -> None:
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except RecursionError:
        raise MalformedJSON("the document nests too deep") from None


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) == len(pairs):
        return
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    raise MalformedJSON(f"the member {twice[:64]!r} appears twice in one object")
