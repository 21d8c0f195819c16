"""JSON data as bytes."""

from __future__ import annotations

import json

import orjson


def encode(data: object) -> bytes:
    """Return the JSON text of data; raises TypeError or ValueError for what JSON does not have.

    orjson is fast and stops at 64 bits; JSON and a parameter of a request know no such end.
    """
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError:
        return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
