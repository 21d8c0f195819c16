"""Customers and their payment methods."""

from __future__ import annotations

from typing import Any

from portico.sandbox.state import Record
from system_apis.stripe.sandbox.account import Account
from system_apis.stripe.sandbox.errors import invalid, missing
from system_apis.stripe.sandbox.parameters import Parameters

_CUSTOMER = (
    *("name", "email", "phone", "description", "address", "shipping", "metadata"),
    *("preferred_locales", "payment_method", "invoice_settings", "balance"),
)
# Stripe's test methods: what each does is known to everyone who tests (docs.stripe.com/testing).
TEST_METHODS = {
    "pm_card_visa": "visa",
    "pm_card_mastercard": "mastercard",
    "pm_card_chargeDeclined": "visa_chargeDeclined",
    "pm_card_chargeDeclinedInsufficientFunds": "visa_chargeDeclinedInsufficientFunds",
    "pm_card_authenticationRequired": "authenticationRequired",
}


def create_customer(account: Account, parameters: Parameters) -> Record:
    parameters.only(_CUSTOMER)
    record = account.new(
        "customer",
        balance=0,
        currency=None,
        default_source=None,
        delinquent=False,
        name=None,
        email=None,
        phone=None,
        description=None,
        address=None,
        shipping=None,
        preferred_locales=[],
        invoice_settings={"default_payment_method": None},
    )
    return account.put(_fill(account, record, parameters), "customer.created")


def update_customer(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(_CUSTOMER)
    record = account.find("customer", record_id)
    if record.get("deleted"):
        raise missing("customer", record_id)
    return account.put(_fill(account, dict(record), parameters), "customer.updated")


def _fill(account: Account, record: Record, parameters: Parameters) -> Record:
    for name in ("name", "email", "phone", "description"):
        if parameters.has(name):
            record[name] = parameters.optional_text(name)
    if parameters.has("email") and record["email"] and "@" not in record["email"]:
        raise invalid(f"Invalid email address: {record['email']}", "email", "email_invalid")
    if parameters.has("address"):
        record["address"] = _address(parameters.group("address"))
    if parameters.has("shipping"):
        shipping = parameters.group("shipping")
        address = _address(shipping.group("address"))
        record["shipping"] = {"name": shipping.text("name"), "phone": None, "address": address}
    if parameters.has("preferred_locales"):
        record["preferred_locales"] = parameters.texts("preferred_locales")
    if method := parameters.group("invoice_settings").text("default_payment_method"):
        found = account.find("payment_method", method, "invoice_settings", 400)
        record["invoice_settings"] = {"default_payment_method": found["id"]}
    record["metadata"] = parameters.metadata(record["metadata"])
    return record


def _address(parameters: Parameters) -> dict[str, str | None]:
    names = ("line1", "line2", "city", "state", "postal_code", "country")
    parameters.only(names)
    return {name: parameters.optional_text(name) for name in names}


def delete_customer(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(())
    record = account.find("customer", record_id)
    gone = {"id": record_id, "object": "customer", "deleted": True}
    account.put({**record, "deleted": True}, "customer.deleted")
    account.table("customer")[record_id] = gone
    return gone


def attach_method(account: Account, method_id: str, parameters: Parameters) -> Record:
    """Attach a payment method; one of Stripe's test methods becomes one of the account's own."""
    parameters.only(("customer",))
    customer = account.find("customer", parameters.required("customer"), "customer", 400)
    record = dict(card_method(account, method_id), customer=customer["id"])
    return account.put(record, "payment_method.attached")


def create_method(account: Account, parameters: Parameters) -> Record:
    parameters.only(("type", "card", "billing_details", "metadata"))
    if parameters.required("type") != "card":
        raise invalid("This sandbox knows cards only", "type")
    token = parameters.group("card").required("token")
    if not token.startswith("tok_"):
        raise missing("token", token, "card[token]", 400)
    return account.put(_card(account, token.removeprefix("tok_")))


def card_method(account: Account, method_id: str) -> Record:
    """Return a payment method of the account, or one of Stripe's for tests."""
    if method_id in TEST_METHODS:
        return _card(account, TEST_METHODS[method_id])
    return account.find("payment_method", method_id, "payment_method", 400)


def _card(account: Account, token: str) -> Record:
    card: dict[str, Any] = {
        "brand": token.partition("_")[0],
        "last4": "4242",
        "exp_month": 12,
        "exp_year": 2034,
        "country": "US",
        "funding": "credit",
    }
    # What the card will do is kept with it; Stripe knows it by its number.
    nobody = {"address": None, "email": None, "name": None, "phone": None}
    return account.new(
        "payment_method",
        type="card",
        customer=None,
        billing_details=nobody,
        card=card,
        behaviour=token,
    )
