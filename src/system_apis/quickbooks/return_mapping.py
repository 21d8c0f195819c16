"""QuickBooks' credit memos and refund receipts in the canonical model, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from portico.connectors.record import Record
from system_apis.quickbooks import mapping
from system_apis.quickbooks.dialect import SYSTEM
from system_apis.quickbooks.models import Invoice, NewCredit, NewRefund, Payment


def credit(record: Record, realm_id: str, home: str, skus: Mapping[str, str]) -> Invoice:
    """Return the canonical invoice that a credit memo is; what is due of it is to be used yet."""
    left = record.values.get("RemainingCredit", record.values.get("Balance", 0))
    shown = mapping.invoice(Record({**record.values, "Balance": left}), realm_id, home, skus)
    shown["kind"] = "credit_note"
    shown["externalIds"] = mapping.external_ids("CreditMemo", record, realm_id)
    return shown


def credit_values(document_number: str, body: NewCredit, item: Record) -> dict[str, object]:
    """Return a credit memo as QuickBooks wants it."""
    description = body.get("description", item.text("Name"))
    return {
        "DocNumber": document_number,
        "CustomerRef": {"value": body["customerId"]},
        "CurrencyRef": {"value": body["amount"]["currency"]},
        "Line": [_line(Decimal(body["amount"]["amount"]), description, item)],
    }


def refund(record: Record, realm_id: str, home: str) -> Payment:
    """Return the canonical payment that a refund receipt is: its amount is negative."""
    currency = mapping.currency_of(record, home)
    shown: Payment = {
        "id": record.text("Id"),
        "type": "payment",
        "version": mapping.version(record),
        "externalIds": mapping.external_ids("RefundReceipt", record, realm_id),
        "createdAt": mapping.moment(record, "CreateTime"),
        "updatedAt": mapping.moment(record, "LastUpdatedTime"),
        "source": mapping.source(record, realm_id),
        "customerId": record.record("CustomerRef").text("value"),
        "amount": mapping.amount(-record.decimal("TotalAmt"), currency),
        "method": "other",
        "status": "refunded",
        "extensions": {SYSTEM: {"referenceNumber": record.text("DocNumber")}},
    }
    if day := record.text("TxnDate"):
        shown["paidAt"] = f"{day}T00:00:00Z"
    return shown


def refund_values(
    reference_number: str, body: NewRefund, item: Record, account: object
) -> dict[str, object]:
    """Return a refund receipt as QuickBooks wants it; the money leaves the account."""
    values: dict[str, object] = {
        "DocNumber": reference_number,
        "PaymentRefNum": reference_number,
        "CustomerRef": {"value": body["customerId"]},
        "CurrencyRef": {"value": body["amount"]["currency"]},
        "DepositToAccountRef": account,
        "Line": [_line(Decimal(body["amount"]["amount"]), item.text("Name"), item)],
    }
    if "paidAt" in body:
        values["TxnDate"] = body["paidAt"]
    return values


def _line(amount: Decimal, description: str, item: Record) -> dict[str, object]:
    """Return one line over an amount, which need not be a number of units of its product."""
    detail = {"ItemRef": {"value": item.text("Id")}, "Qty": Decimal(1), "UnitPrice": amount}
    return {
        "DetailType": mapping.SALES_LINE,
        "Amount": amount,
        "Description": description,
        mapping.SALES_LINE: detail,
    }
