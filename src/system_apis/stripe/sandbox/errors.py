"""Errors as Stripe words them (docs.stripe.com/api/errors)."""

from __future__ import annotations

from collections.abc import Mapping


class StripeError(Exception):
    """An answer of 400 and above."""

    def __init__(self, status: int, kind: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.error: Mapping[str, object] = {"type": kind, "message": message, **more}


def invalid(message: str, param: str = "", code: str = "") -> StripeError:
    """Return the error of a request that cannot be right."""
    more = {name: value for name, value in (("param", param), ("code", code)) if value}
    return StripeError(400, "invalid_request_error", message, **more)


def missing(entity: str, record_id: str, param: str = "id", status: int = 404) -> StripeError:
    """Return the error of a record that does not exist; 400 where a parameter names it."""
    message = f"No such {entity}: '{record_id}'"
    return StripeError(
        status, "invalid_request_error", message, param=param, code="resource_missing"
    )


def lacking(param: str) -> StripeError:
    """Return the error of a parameter that is required."""
    return invalid(f"Missing required param: {param}.", param, "parameter_missing")


def not_permitted(permission: str) -> StripeError:
    """Return the error of a restricted key that lacks a permission."""
    message = (
        "The provided key 'rk_test_***' does not have the required permissions for this endpoint "
        f"on account 'acct_1QSandbox'. Having the 'rak_{permission}' permission would allow this "
        "request to continue."
    )
    return StripeError(403, "invalid_request_error", message)


def declined(code: str, decline_code: str, message: str, intent: object) -> StripeError:
    """Return the error of a card that was not charged."""
    return StripeError(
        402,
        "card_error",
        message,
        code=code,
        decline_code=decline_code,
        payment_intent=intent,
    )
