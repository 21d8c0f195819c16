"""JSON in which no number becomes a float: amounts of money are numbers in some systems' JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import NoReturn

import orjson


def decode(text: bytes) -> object:
    """Return what JSON stands for, numbers with a fraction as Decimal; raises ValueError.

    >>> decode(b'{"amount": 19.90}')
    {'amount': Decimal('19.90')}
    """
    try:
        data: object = json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    return data


def encode(data: object) -> bytes:
    """Return JSON text, each Decimal as a number with all its digits; raises TypeError.

    >>> encode({"amount": Decimal("19.90")})
    b'{"amount":19.90}'
    """
    return orjson.dumps(data, default=_number)


def _number(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f").encode())
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
