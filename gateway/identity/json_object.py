"""JSON objects read strictly, for documents where two readings would be an attack."""

from __future__ import annotations

import json
from math import isfinite


def read_object(data: bytes) -> dict[str, object]:
    """Return the JSON object in `data`.

    Raises ValueError for anything but one UTF-8 object: duplicate members at any depth,
    NaN and infinities in any spelling, nesting too deep to read, another type at the top.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the input is wrong, not the program
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _finite(literal: str) -> float:
    number = float(literal)
    if not isfinite(number):
        raise ValueError("number out of range")
    return number


def _refuse(literal: str) -> object:
    raise ValueError(f"{literal} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse)
