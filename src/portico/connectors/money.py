"""Amounts between the forms that systems give them. No float is ever made of one."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TypedDict

# The finest scale of the canonical amounts and quantities.
_FINEST = Decimal("0.000001")
# ISO 4217: currencies whose minor unit is not a hundredth.
_WITHOUT_DECIMALS = (
    *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
    *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
)
_WITH_THREE = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]
_WITH_FOUR = ["CLF", "UYW"]
_EXPONENTS = {
    **dict.fromkeys(_WITHOUT_DECIMALS, 0),
    **dict.fromkeys(_WITH_THREE, 3),
    **dict.fromkeys(_WITH_FOUR, 4),
}


class Money(TypedDict):
    """An amount of the canonical model."""

    amount: str
    currency: str


def exponent_of(currency: str) -> int:
    """Return how many digits the minor unit of a currency has (ISO 4217)."""
    return _EXPONENTS.get(currency, 2)


def decimal_text(value: Decimal, digits: int = 0) -> str:
    """Return a decimal as text with at least `digits` decimals and no other trailing zeros.

    >>> decimal_text(Decimal("149.0000"), 2), decimal_text(Decimal("2.0"))
    ('149.00', '2')
    """
    rounded = value.quantize(_FINEST, ROUND_HALF_UP).normalize()
    exponent = rounded.as_tuple().exponent
    scale = max(digits, -exponent if isinstance(exponent, int) else 0)
    text = f"{rounded:.{scale}f}"
    return text.lstrip("-") if not rounded else text


def money(value: Decimal, currency: str) -> Money:
    """Return a canonical amount.

    >>> money(Decimal("9.5"), "EUR")
    {'amount': '9.50', 'currency': 'EUR'}
    """
    return {"amount": decimal_text(value, exponent_of(currency)), "currency": currency}


def number(value: object) -> Decimal:
    """Return a JSON number or numeric string as Decimal; raises ValueError."""
    try:
        found = Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError(f"{type(value).__name__} is not a number") from error
    if not found.is_finite():
        raise ValueError("the number is not finite")
    return found


def from_minor_units(units: int, exponent: int) -> Decimal:
    """Return the amount of so many minor units.

    >>> from_minor_units(1999, 2)
    Decimal('19.99')
    """
    return Decimal(units).scaleb(-exponent)


def to_minor_units(amount: Decimal, exponent: int) -> int:
    """Return an amount in minor units; raises ValueError if it is not a whole number of them.

    >>> to_minor_units(Decimal("19.99"), 2)
    1999
    """
    units = amount.scaleb(exponent)
    if units != units.to_integral_value():
        raise ValueError(f"{amount} has more than {exponent} decimals")
    return int(units)
