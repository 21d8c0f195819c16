"""The JSON Canonicalization Scheme (RFC 8785): one text for all texts of the same data."""

from __future__ import annotations

import json
import math
from typing import Any

_MAX_SAFE_INTEGER = 2**53
# Only these are escaped (RFC 8785, 3.2.2.2); the rest of the control characters as \u00xx.
_ESCAPES = {
    **{code: f"\\u{code:04x}" for code in range(0x20)},
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0C: "\\f",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
}


class NotCanonicalError(ValueError):
    """The text is not JSON, or means different things to different readers."""


def canonicalize(raw: bytes) -> bytes:
    """Return the canonical form of a JSON text; raises NotCanonicalError.

    Members named twice, NaN, infinities and integers beyond 2^53 have no canonical form.
    """
    try:
        data = json.loads(
            raw.decode(),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_constant=_refuse_constant,
        )
        return _text(data).encode()
    except UnicodeError:
        raise NotCanonicalError("the text is not valid Unicode") from None
    except RecursionError:
        raise NotCanonicalError("the text nests too deep") from None
    except json.JSONDecodeError as error:
        raise NotCanonicalError(f"the text is not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotCanonicalError("a member appears twice in one object")
    return members


def _integer(digits: str) -> int:
    # A long row of digits is refused before it costs anything to read.
    if len(digits) > 17 or abs(int(digits)) > _MAX_SAFE_INTEGER:
        raise NotCanonicalError("an integer is beyond 2^53")
    return int(digits)


def _refuse_constant(name: str) -> Any:
    raise NotCanonicalError(f"{name} is not JSON")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    if isinstance(value, dict):
        # Names are sorted by their UTF-16 code units.
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{_text(name)}:{_text(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return number_text(value)


def number_text(value: float) -> str:
    """Return a number as ECMAScript writes it: the shortest digits that read back as the same."""
    number = float(value)
    if not math.isfinite(number):
        raise NotCanonicalError("a number is too large")
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    digits, exponent = _decimal(abs(number))
    return sign + _place(digits, exponent)


def _decimal(number: float) -> tuple[str, int]:
    """Return the shortest digits and where the point is: 0.digits times ten to the exponent."""
    mantissa, _, exponent = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    point = len(whole) - leading + int(exponent or 0)
    return digits.rstrip("0"), point


def _place(digits: str, point: int) -> str:
    """Write digits with their point as ECMAScript's Number::toString does."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    exponent = point - 1
    mantissa = digits[0] + (f".{digits[1:]}" if count > 1 else "")
    return f"{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
