"""What is paid on invoices: by a charge, by payments that are attached, or outside of Stripe.

See docs.stripe.com/invoicing/partial-payments: an invoice has one invoice payment for each payment
that was credited to it, and is paid when they come to what is due.
"""

from __future__ import annotations

from collections.abc import Sequence

from portico.sandbox.state import Record
from system_apis.stripe.sandbox.account import Account
from system_apis.stripe.sandbox.errors import invalid, missing
from system_apis.stripe.sandbox.parameters import Parameters
from system_apis.stripe.sandbox.payments import create_intent


def pay_open(account: Account, invoice: Record, parameters: Parameters) -> Record:
    """Pay all that is due of an open invoice; raises StripeError."""
    if parameters.flag("paid_out_of_band", default=False):
        left = invoice["amount_remaining"]
        return _credit(account, {**invoice, "amount_paid_off_stripe": left}, left)
    customer = account.find("customer", invoice["customer"])
    method = parameters.text("payment_method") or customer["invoice_settings"].get(
        "default_payment_method"
    )
    if not method:
        raise missing("payment method", invoice["customer"], "payment_method", 400)
    if invoice["amount_remaining"] == 0:
        return _credit(account, invoice, 0)
    intent = create_intent(
        account,
        Parameters(
            {
                "customer": invoice["customer"],
                "amount": str(invoice["amount_remaining"]),
                "currency": invoice["currency"],
                "payment_method": method,
                "confirm": "true",
            }
        ),
    )
    return _attach(account, invoice, intent, is_default=True)


def attach_payment(account: Account, record_id: str, parameters: Parameters) -> Record:
    """Credit a payment that was made already; what it has beyond the invoice stays the payer's."""
    parameters.only(("payment_intent",))
    invoice = dict(account.find("invoice", record_id))
    if invoice["status"] != "open":
        raise invalid(f"Invoice is {invoice['status']}", code="invoice_not_open")
    intent = account.find(
        "payment_intent", parameters.required("payment_intent"), "payment_intent", 400
    )
    if intent["status"] != "succeeded":
        raise invalid("This sandbox attaches only payments that succeeded", "payment_intent")
    if intent["customer"] != invoice["customer"]:
        raise invalid("The payment is of another customer", "payment_intent")
    return _attach(account, invoice, intent, is_default=False)


def _attach(account: Account, invoice: Record, intent: Record, *, is_default: bool) -> Record:
    paid = min(intent["amount_received"], invoice["amount_remaining"])
    record = account.new(
        "invoice_payment",
        amount_paid=paid,
        amount_requested=paid,
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=is_default,
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
        status="paid",
        status_transitions={"canceled_at": None, "paid_at": account.now()},
    )
    del record["metadata"]
    # The invoice first: what the events tell of is all there when they are read.
    changed = _credited(account, invoice, paid)
    account.put(changed)
    account.put(record, "invoice_payment.paid")
    return _tell(account, changed)


def _credit(account: Account, invoice: Record, amount: int) -> Record:
    return _tell(account, _credited(account, invoice, amount))


def _credited(account: Account, invoice: Record, amount: int) -> Record:
    left = invoice["amount_remaining"] - amount
    changed = {
        **invoice,
        "amount_paid": invoice["amount_paid"] + amount,
        "amount_remaining": left,
        "attempted": True,
    }
    if left == 0:
        moments = {**invoice["status_transitions"], "paid_at": account.now()}
        changed.update(status="paid", status_transitions=moments)
    return changed


def _tell(account: Account, invoice: Record) -> Record:
    if invoice["status"] == "paid":
        return account.put(invoice, "invoice.paid", "invoice.payment_succeeded")
    return account.put(invoice, "invoice.updated")


def of_payment(records: Sequence[Record], parameters: Parameters) -> list[Record]:
    """Return the invoice payments of one payment, which a list is narrowed by."""
    parameters.only(("type", "payment_intent"))
    if parameters.required("type") != "payment_intent":
        return []
    wanted = parameters.required("payment_intent")
    return [record for record in records if record["payment"]["payment_intent"] == wanted]
