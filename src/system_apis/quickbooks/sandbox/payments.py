"""What payments do to the balances of the invoices they are linked to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

from portico.sandbox.state import Record, State
from system_apis.quickbooks.sandbox.errors import bad_reference, business

# Keeps a record of an entity as changed.
Touch = Callable[[str, Record, str], Record]


def apply(state: State, payment: Record, touch: Touch) -> None:
    """Lower the balances of the invoices that a payment pays, of all or of none."""
    parts = _parts(payment)
    for invoice_id, part in parts.items():
        if part > _decimal(_invoice(state, invoice_id)["Balance"]):
            raise business("The amount is more than the balance of the invoice.")
    for invoice_id, part in parts.items():
        _pay(state, invoice_id, part, touch)


def give_back(state: State, payment: Record, touch: Touch) -> None:
    """Raise the balances again that a payment had lowered."""
    for invoice_id, part in _parts(payment).items():
        _pay(state, invoice_id, -part, touch)


def set_free(state: State, invoice_id: str, touch: Touch) -> None:
    """Leave with the customer, as a credit, what was paid on an invoice."""
    for payment in list(state.table("Payment").values()):
        freed = _parts(payment).get(invoice_id)
        if payment.get("status") == "Deleted" or freed is None:
            continue
        lines = [line for line in payment["Line"] if invoice_id not in _linked(line)]
        unapplied = _decimal(payment.get("UnappliedAmt", 0)) + freed
        touch("Payment", {**payment, "Line": lines, "UnappliedAmt": unapplied}, "updated")


def _pay(state: State, invoice_id: str, amount: Decimal, touch: Touch) -> None:
    invoice = _invoice(state, invoice_id)
    paid = _decimal(invoice.get("paid", 0)) + amount
    balance = _decimal(invoice["TotalAmt"]) - paid
    touch("Invoice", {**invoice, "paid": paid, "Balance": balance}, "updated")


def _invoice(state: State, invoice_id: str) -> Record:
    found = state.table("Invoice").get(invoice_id)
    if found is None or found.get("status") == "Deleted":
        raise bad_reference("LinkedTxn")
    return found


def _parts(payment: Record) -> dict[str, Decimal]:
    """Return how much a payment pays of which invoice."""
    parts: dict[str, Decimal] = defaultdict(Decimal)
    for line in payment.get("Line", []):
        for invoice_id in _linked(line):
            parts[invoice_id] += _decimal(line["Amount"])
    return parts


def _linked(line: Record) -> list[str]:
    return [str(link.get("TxnId")) for link in line.get("LinkedTxn", [])]


def _decimal(value: object) -> Decimal:
    return Decimal(str(value))
