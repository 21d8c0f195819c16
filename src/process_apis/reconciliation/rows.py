"""What of a record is compared: a row, made from canonical records. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from portico.connectors.moments import from_text
from portico.server.call import combine
from process_apis.reconciliation.domain import Listing

# What is not in force: nobody misses it elsewhere.
QUIET = frozenset({"draft", "void", "cancelled", "inactive", "prospect"})
# How far an order has come within a system is that system's affair.
_ORDER_STATUS = {"open": "draft", "on_hold": "confirmed", "completed": "confirmed"}
# 16 hexadecimal digits, as order-to-cash has them.
_NUMBER_LENGTH = 16
# What a spreadsheet or a person cuts off is not a difference.
MAX_NAME = 200

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A record of a system. `key` is what it is matched by; it may have to be found first.

    `changed_at` is when it was made where the system tells of no later change.
    """

    record_id: str
    key: str
    status: str
    created_at: str
    changed_at: str
    currency: str = ""
    amount: str = ""
    name: str = ""
    alias: str = ""
    customer: str = ""
    number: str = ""
    subscription: str = ""

    @property
    def quiet(self) -> bool:
        return self.status in QUIET


def row_of(listing: Listing, record: Record) -> Row:
    """Return the row of a record of a list."""
    match listing.subject:
        case "invoices":
            return invoice(record)
        case "orders":
            return order(listing, record)
        case _:
            return customer(listing, record)


def invoice(record: Record) -> Row:
    """Return the row of an invoice, matched by its document number."""
    own = record.get("extensions", {}).get("stripe", {})
    subscription = str(own.get("subscriptionId", ""))
    number = str(own.get("externalKey") or record.get("number", ""))
    net = record["totals"]["net"]
    return Row(
        record_id=record["id"],
        key=document_number(subscription, record["id"]) if subscription else number,
        status=record["status"],
        currency=record["currency"],
        amount=net["amount"],
        customer=record["customerId"],
        subscription=subscription,
        **_moments(record),
    )


def document_number(subscription_id: str, invoice_id: str) -> str:
    """Return the number under which order-to-cash enters an invoice of a subscription."""
    digest = combine("order-to-cash", subscription_id, invoice_id)
    return f"O2C-{digest[:_NUMBER_LENGTH].upper()}"


def order(listing: Listing, record: Record) -> Row:
    """Return the row of an order. In Salesforce its customer is an account, not yet a key."""
    number, status = str(record.get("poNumber", "")), str(record["status"])
    known = listing.system == "tryton" and number
    return Row(
        record_id=record["id"],
        key=order_key(record["customerId"], number) if known else "",
        status=_ORDER_STATUS.get(status, status),
        currency=record["currency"],
        amount=record["totals"]["net"]["amount"],
        customer=record["customerId"],
        number=number,
        **_moments(record),
    )


def order_key(customer_key: str, number: str) -> str:
    """Return what an order is matched by: two customers may choose one number."""
    return f"{customer_key}/{number}"


def customer(listing: Listing, record: Record) -> Row:
    """Return the row of a customer, with the key that the system knows, if it does."""
    own = record.get("extensions", {}).get(listing.system, {})
    keys = {
        "tryton": record["id"],
        "salesforce": next(
            (each["id"] for each in record["externalIds"] if each.get("role") == "external-key"),
            "",
        ),
    }
    # Who has no name in Stripe goes by something else there.
    name = "" if record["name"] in {record["id"], record.get("email")} else record["name"]
    return Row(
        record_id=record["id"],
        key=keys.get(listing.system, str(own.get("externalKey", ""))),
        status=record["status"],
        name=name[:MAX_NAME],
        alias=alias(name),
        **_moments(record),
    )


def alias(name: str) -> str:
    """Return a name as it is compared: capitals and blanks make no other customer.

    >>> alias(" Old  Mill BAKERY")
    'old mill bakery'
    """
    return " ".join(name.casefold().split())[:MAX_NAME]


def _moments(record: Record) -> dict[str, str]:
    created = text_of(record.get("createdAt", ""))
    return {"created_at": created, "changed_at": text_of(record.get("updatedAt", "")) or created}


def text_of(moment: str) -> str:
    """Return a moment in the one form that is ordered as text; nothing of nothing."""
    return in_seconds(from_text(moment)) if moment else ""


def in_seconds(moment: datetime) -> str:
    """Return a moment in the one form that is ordered as text.

    >>> in_seconds(datetime(2026, 11, 2, 9, 30, 0, 5, tzinfo=UTC))
    '2026-11-02T09:30:00Z'
    """
    text = moment.astimezone(UTC).isoformat(timespec="seconds")
    return text.replace("+00:00", "Z")
