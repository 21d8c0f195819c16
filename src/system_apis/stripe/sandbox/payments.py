"""Payment intents and refunds: the state machine (docs.stripe.com/payments/paymentintents)."""

from __future__ import annotations

from typing import Any

from portico.sandbox.state import Record
from system_apis.stripe.sandbox.account import Account
from system_apis.stripe.sandbox.customers import card_method
from system_apis.stripe.sandbox.errors import StripeError, declined, invalid
from system_apis.stripe.sandbox.parameters import Parameters

_INTENT = (
    *("amount", "currency", "customer", "payment_method", "confirm", "capture_method"),
    *("automatic_payment_methods", "payment_method_types", "metadata", "description"),
    *("off_session", "setup_future_usage", "receipt_email", "return_url"),
)
_UNCONFIRMED = ("requires_payment_method", "requires_confirmation", "requires_action")
# What a card declines with: code and decline code.
_DECLINES = {
    "visa_chargeDeclined": "generic_decline",
    "visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
}
MIN_AMOUNT = 50


def create_intent(account: Account, parameters: Parameters) -> Record:
    parameters.only(_INTENT)
    amount = parameters.integer("amount")
    if amount < MIN_AMOUNT:
        message = "Amount must be at least 50 cents"
        raise invalid(message, "amount", "amount_too_small")
    customer = parameters.optional_text("customer")
    if customer:
        account.find("customer", customer, "customer", 400)
    record = account.new(
        "payment_intent",
        amount=amount,
        amount_received=0,
        amount_capturable=0,
        currency=parameters.required("currency").lower(),
        customer=customer,
        capture_method=parameters.text("capture_method", "automatic"),
        payment_method=None,
        payment_method_types=["card"],
        confirmation_method="automatic",
        status="requires_payment_method",
        last_payment_error=None,
        latest_charge=None,
        canceled_at=None,
        cancellation_reason=None,
        description=parameters.optional_text("description"),
        client_secret=None,
    )
    record["client_secret"] = f"{record['id']}_secret_sandbox"
    record["metadata"] = parameters.metadata()
    _take_method(account, record, parameters)
    account.put(record, "payment_intent.created")
    if parameters.flag("confirm", default=False):
        return _confirm(account, record)
    return record


def update_intent(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(_INTENT)
    record = dict(account.find("payment_intent", record_id))
    if parameters.has("amount"):
        _require(record, _UNCONFIRMED)
        record["amount"] = parameters.integer("amount")
    record["metadata"] = parameters.metadata(record["metadata"])
    _take_method(account, record, parameters)
    return account.put(record)


def _take_method(account: Account, record: Record, parameters: Parameters) -> None:
    if method := parameters.text("payment_method"):
        found = account.put(card_method(account, method))
        record["payment_method"] = found["id"]
        record["status"] = "requires_confirmation"


def confirm_intent(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(("payment_method", "return_url", "off_session"))
    record = dict(account.find("payment_intent", record_id))
    _require(record, _UNCONFIRMED)
    _take_method(account, record, parameters)
    return _confirm(account, record)


def _confirm(account: Account, record: Record) -> Record:
    if record["payment_method"] is None:
        raise invalid("You cannot confirm this PaymentIntent without a payment method.")
    behaviour = account.table("payment_method")[record["payment_method"]]["behaviour"]
    if behaviour == "authenticationRequired":
        record["status"] = "requires_action"
        record["next_action"] = {"type": "use_stripe_sdk"}
        return account.put(record, "payment_intent.requires_action")
    if behaviour in _DECLINES:
        raise _decline(account, record, _DECLINES[behaviour])
    if record["capture_method"] == "manual":
        record["status"], record["amount_capturable"] = "requires_capture", record["amount"]
        return account.put(record, "payment_intent.amount_capturable_updated")
    return _capture(account, record, record["amount"])


def _decline(account: Account, record: Record, decline_code: str) -> StripeError:
    message = "Your card was declined."
    record["status"], record["payment_method"] = "requires_payment_method", None
    record["last_payment_error"] = {
        "type": "card_error",
        "code": "card_declined",
        "decline_code": decline_code,
        "message": message,
    }
    account.put(record, "payment_intent.payment_failed")
    return declined("card_declined", decline_code, message, dict(record))


def capture_intent(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(("amount_to_capture",))
    record = dict(account.find("payment_intent", record_id))
    _require(record, ("requires_capture",))
    amount = parameters.integer("amount_to_capture", record["amount_capturable"])
    if amount > record["amount_capturable"]:
        raise invalid("The amount is more than can be captured", "amount_to_capture")
    return _capture(account, record, amount)


def _capture(account: Account, record: Record, amount: int) -> Record:
    charge = account.new(
        "charge",
        amount=amount,
        amount_captured=amount,
        amount_refunded=0,
        billing_details={"address": None, "email": None, "name": None, "phone": None},
        captured=True,
        disputed=False,
        currency=record["currency"],
        customer=record["customer"],
        paid=True,
        payment_intent=record["id"],
        refunded=False,
        status="succeeded",
    )
    account.put(charge, "charge.succeeded")
    record.update(
        status="succeeded", amount_received=amount, amount_capturable=0, latest_charge=charge["id"]
    )
    return account.put(record, "payment_intent.succeeded")


def cancel_intent(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(("cancellation_reason",))
    record = dict(account.find("payment_intent", record_id))
    _require(record, (*_UNCONFIRMED, "requires_capture"))
    record["status"], record["canceled_at"] = "canceled", account.now()
    record["cancellation_reason"] = parameters.optional_text("cancellation_reason")
    return account.put(record, "payment_intent.canceled")


def _require(record: dict[str, Any], statuses: tuple[str, ...]) -> None:
    if record["status"] not in statuses:
        message = f"This PaymentIntent has a status of {record['status']}."
        raise invalid(message, code="payment_intent_unexpected_state")


def create_refund(account: Account, parameters: Parameters) -> Record:
    parameters.only(("payment_intent", "charge", "amount", "reason", "metadata"))
    intent = account.find(
        "payment_intent", parameters.required("payment_intent"), "payment_intent", 400
    )
    if intent["latest_charge"] is None:
        raise invalid("This PaymentIntent does not have a successful charge to refund.")
    charge = dict(account.table("charge")[intent["latest_charge"]])
    left = charge["amount"] - charge["amount_refunded"]
    amount = parameters.integer("amount", left)
    if left == 0:
        raise invalid("Charge has already been refunded.", code="charge_already_refunded")
    if not 0 < amount <= left:
        raise invalid("Refund amount is greater than the unrefunded amount", "amount")
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    record = account.new(
        "refund",
        amount=amount,
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=intent["id"],
        reason=parameters.optional_text("reason"),
        status="succeeded",
    )
    del record["livemode"]
    record["metadata"] = parameters.metadata()
    account.put(charge, "charge.refunded")
    return account.put(record, "refund.created")
