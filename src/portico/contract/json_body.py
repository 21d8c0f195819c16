"""JSON bodies: decoded strictly, duplicate members refused."""

from __future__ import annotations

import json
from typing import Any

import orjson


class MalformedJSONError(ValueError):
    """The text is not JSON, nests too deep, or an object names a member twice."""


def decode(raw: bytes) -> Any:
    """Return the data of a JSON text; raises MalformedJSONError.

    orjson keeps the last of duplicate members without a word. A text that was read whole has as
    many quotation marks as its own compact rendering, so counting them finds the rare text that
    needs a second, slower look; only an escaped mark, written \\u0022, could hide a difference.
    What cannot be rendered again is refused: nothing could be done with it.
    """
    try:
        data = orjson.loads(raw)
        marks = orjson.dumps(data).count(b'"')
    except orjson.JSONDecodeError as error:
        raise MalformedJSONError(str(error)) from None
    except orjson.JSONEncodeError:
        raise MalformedJSONError("it nests too deep") from None
    if raw.count(b'"') != marks or (b"\\" in raw and b"\\u0022" in raw):
        _refuse_duplicates(raw)
    return data


def _refuse_duplicates(raw: bytes) -> None:
    # Numbers are not looked at, and Python would refuse to read the longest.
    json.loads(raw, object_pairs_hook=_unique, parse_int=len, parse_float=len)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) == len(pairs):
        return
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    raise MalformedJSONError(f"the member {twice[:64]!r} appears twice in one object")
