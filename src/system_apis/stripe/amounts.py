"""Stripe's amounts: whole numbers of the minor unit, with exceptions of its own."""

from __future__ import annotations

from decimal import Decimal

from portico.connectors.failures import BrokenError, RefusedError
from portico.connectors.money import exponent_of, from_minor_units, money, to_minor_units
from system_apis.stripe.models import Money

# Where Stripe's API departs from ISO 4217 (docs.stripe.com/currencies): the ariary has no minor
# unit there, and two currencies without one are written with two decimals that have to be zero.
_EXPONENTS = {"MGA": 0, "ISK": 2, "UGX": 2}
# What an amount is a multiple of; with three decimals the last has to be zero.
_STEPS = {"ISK": 100, "UGX": 100}
_STEP_OF_THREE_DECIMALS = 10


def exponent_at_stripe(currency: str) -> int:
    """Return how many digits the unit has in which Stripe counts a currency."""
    return _EXPONENTS.get(currency, exponent_of(currency))


def from_stripe(units: object, currency: object) -> Money:
    """Return an amount of Stripe; raises BrokenError."""
    if not isinstance(units, int) or not isinstance(currency, str):
        raise BrokenError("stripe answered an amount that is none")
    code = currency.upper()
    found = money(from_minor_units(units, exponent_at_stripe(code)), code)
    return {"amount": found["amount"], "currency": found["currency"]}


def to_stripe(amount: str, currency: str) -> int:
    """Return an amount as Stripe wants it; raises RefusedError if it is too fine."""
    exponent = exponent_at_stripe(currency)
    step = _STEPS.get(currency, _STEP_OF_THREE_DECIMALS if exponent == 3 else 1)
    try:
        units = to_minor_units(Decimal(amount), exponent)
    except ValueError as error:
        raise RefusedError(f"{currency} has no such amount: {error}", system="stripe") from error
    if units % step:
        raise RefusedError(f"stripe takes no such amount of {currency}", system="stripe")
    return units
