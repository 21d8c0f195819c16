"""QuickBooks' customers, items, invoices and payments as canonical ones, and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from portico.connectors.failures import BrokenError
from portico.connectors.moments import from_text, timestamp
from portico.connectors.money import decimal_text, money
from portico.connectors.record import Record
from system_apis.quickbooks.dialect import SYSTEM
from system_apis.quickbooks.models import (
    Address,
    Customer,
    CustomerChange,
    ExternalId,
    Invoice,
    InvoiceLine,
    Money,
    NewAddress,
    NewCustomer,
    NewInvoice,
    NewPayment,
    Payment,
    Product,
    Source,
)

InvoiceStatus = Literal["draft", "issued", "partially_paid", "paid", "void"]
_COUNTRY = re.compile(r"[A-Z]{2}\Z")
# QuickBooks marks a voided document by this note and by amounts of zero.
VOIDED = "Voided"
SALES_LINE = "SalesItemLineDetail"


def version(record: Record) -> int:
    """Return the SyncToken, which grows by one with each change."""
    token = record.text("SyncToken")
    if not (token.isascii() and token.isdigit()):
        raise BrokenError("quickbooks answered a record without a SyncToken")
    return int(token)


def moment(record: Record, name: str) -> str:
    """Return a time of a record as RFC 3339 has it."""
    try:
        return timestamp(from_text(record.record("MetaData").text(name)))
    except ValueError as error:
        raise BrokenError(f"quickbooks answered a record without {name}") from error


def external_ids(entity: str, record: Record, realm_id: str) -> list[ExternalId]:
    return [{"system": SYSTEM, "instance": realm_id, "entity": entity, "id": record.text("Id")}]


def source(record: Record, realm_id: str) -> Source:
    return {"system": SYSTEM, "instance": realm_id, "version": record.text("SyncToken")}


def currency_of(record: Record, home: str) -> str:
    """Return the currency of a record; with one currency QuickBooks names none."""
    return record.record("CurrencyRef").text("value") or home


def amount(value: Decimal, currency: str) -> Money:
    found = money(value, currency)
    return {"amount": found["amount"], "currency": found["currency"]}


def customer(record: Record, realm_id: str, home: str, external_key: str = "") -> Customer:
    """Return the canonical customer; its key is known here and not in QuickBooks."""
    own: dict[str, object] = {"balance": decimal_text(record.decimal("Balance"))}
    if external_key:
        own["externalKey"] = external_key
    result: Customer = {
        "id": record.text("Id"),
        "type": "customer",
        "version": version(record),
        "externalIds": external_ids("Customer", record, realm_id),
        "createdAt": moment(record, "CreateTime"),
        "updatedAt": moment(record, "LastUpdatedTime"),
        "source": source(record, realm_id),
        "kind": "person" if _is_person(record) else "organization",
        "name": record.text("DisplayName"),
        "status": "active" if record.flag("Active") else "inactive",
        "currency": currency_of(record, home),
        "addresses": _addresses(record),
        "extensions": {SYSTEM: own},
    }
    if company := record.text("CompanyName"):
        result["legalName"] = company
    if given := record.text("GivenName"):
        result["givenName"] = given
    if family := record.text("FamilyName"):
        result["familyName"] = family
    if email := record.record("PrimaryEmailAddr").text("Address"):
        result["email"] = email
    if phone := record.record("PrimaryPhone").text("FreeFormNumber"):
        result["phone"] = phone
    return result


def _is_person(record: Record) -> bool:
    return not record.text("CompanyName") and bool(record.text("FamilyName"))


def _addresses(record: Record) -> list[Address]:
    roles: list[tuple[str, Literal["billing", "shipping"]]] = [
        ("BillAddr", "billing"),
        ("ShipAddr", "shipping"),
    ]
    return [
        _address(found, role) for name, role in roles if (found := record.optional_record(name))
    ]


def _address(record: Record, role: Literal["billing", "shipping"]) -> Address:
    result: Address = {"role": role}
    if line1 := record.text("Line1"):
        result["line1"] = line1
    if line2 := record.text("Line2"):
        result["line2"] = line2
    if city := record.text("City"):
        result["city"] = city
    if region := record.text("CountrySubDivisionCode"):
        result["region"] = region
    if postal_code := record.text("PostalCode"):
        result["postalCode"] = postal_code
    # People write what they like there.
    if _COUNTRY.match(country := record.text("Country")):
        result["country"] = country
    return result


def customer_values(body: NewCustomer) -> dict[str, object]:
    """Return a customer as QuickBooks wants it; what the body leaves out is left out."""
    values = customer_changes(body)
    if "currency" in body:
        values["CurrencyRef"] = {"value": body["currency"]}
    return values


def customer_changes(body: NewCustomer | CustomerChange) -> dict[str, object]:
    """Return what of a customer the body speaks of."""
    values: dict[str, object] = {}
    if "name" in body:
        values |= {"DisplayName": body["name"], "CompanyName": body["name"]}
    if "email" in body:
        values["PrimaryEmailAddr"] = {"Address": body["email"]}
    if "phone" in body:
        values["PrimaryPhone"] = {"FreeFormNumber": body["phone"]}
    for address in body.get("addresses", []):
        name = "BillAddr" if address["role"] == "billing" else "ShipAddr"
        values[name] = _address_values(address)
    return values


def _address_values(address: NewAddress) -> dict[str, str]:
    names = {
        "line1": "Line1",
        "city": "City",
        "postalCode": "PostalCode",
        "country": "Country",
    }
    return {names[name]: str(value) for name, value in address.items() if name in names}


def product(record: Record, realm_id: str, home: str) -> Product:
    """Return the canonical product that an item with a SKU is."""
    kind = record.text("Type")
    result: Product = {
        "id": record.text("Sku"),
        "type": "product",
        "version": version(record),
        "externalIds": external_ids("Item", record, realm_id),
        "createdAt": moment(record, "CreateTime"),
        "updatedAt": moment(record, "LastUpdatedTime"),
        "source": source(record, realm_id),
        "sku": record.text("Sku"),
        "name": record.text("Name"),
        "kind": "service" if kind == "Service" else "good",
        "status": "active" if record.flag("Active") else "inactive",
        # QuickBooks has no units.
        "uom": "C62",
        "trackInventory": record.flag("TrackQtyOnHand"),
        "extensions": {SYSTEM: {"type": kind}},
    }
    if description := record.text("Description"):
        result["description"] = description
    if record.values.get("UnitPrice") is not None:
        price = amount(record.decimal("UnitPrice"), home)
        result["prices"] = [
            {"list": "standard", "amount": price["amount"], "currency": price["currency"]}
        ]
    return result


def sales_lines(record: Record) -> list[Record]:
    """Return the lines that sell something; others are sums and discounts."""
    return [line for line in record.records("Line") if line.text("DetailType") == SALES_LINE]


def item_id(line: Record) -> str:
    """Return the item that a line sells."""
    return line.record(SALES_LINE).record("ItemRef").text("value")


def invoice(record: Record, realm_id: str, home: str, skus: Mapping[str, str]) -> Invoice:
    """Return the canonical invoice; `skus` are those of the items on its lines."""
    currency = currency_of(record, home)
    gross, due = record.decimal("TotalAmt"), record.decimal("Balance")
    tax = record.record("TxnTaxDetail").decimal("TotalTax")
    result: Invoice = {
        "id": record.text("Id"),
        "type": "invoice",
        "version": version(record),
        "externalIds": external_ids("Invoice", record, realm_id),
        "createdAt": moment(record, "CreateTime"),
        "updatedAt": moment(record, "LastUpdatedTime"),
        "source": source(record, realm_id),
        "kind": "invoice",
        "customerId": record.record("CustomerRef").text("value"),
        "currency": currency,
        "status": _status(record, gross, due),
        "lines": [
            _line(number, line, currency, skus)
            for number, line in enumerate(sales_lines(record), start=1)
        ],
        "totals": {
            "net": amount(gross - tax, currency),
            "tax": amount(tax, currency),
            "gross": amount(gross, currency),
            "paid": amount(gross - due, currency),
            "due": amount(due, currency),
        },
    }
    if number := record.text("DocNumber"):
        result["number"] = number
    if issued := record.text("TxnDate"):
        result["issueDate"] = issued
    if due_date := record.text("DueDate"):
        result["dueDate"] = due_date
    return result


def is_void(record: Record) -> bool:
    """Tell whether a document was voided."""
    return record.decimal("TotalAmt") == 0 and VOIDED in record.text("PrivateNote")


def _status(record: Record, gross: Decimal, due: Decimal) -> InvoiceStatus:
    if is_void(record):
        return "void"
    if due <= 0:
        return "paid"
    return "partially_paid" if due < gross else "issued"


def _line(number: int, line: Record, currency: str, skus: Mapping[str, str]) -> InvoiceLine:
    detail = line.record(SALES_LINE)
    result: InvoiceLine = {
        "lineNo": number,
        "netAmount": amount(line.decimal("Amount"), currency),
    }
    if description := line.text("Description"):
        result["description"] = description
    if sku := skus.get(item_id(line)):
        result["sku"] = sku
    if detail.values.get("Qty") is not None:
        result["quantity"] = {"value": decimal_text(detail.decimal("Qty")), "uom": "C62"}
    if detail.values.get("UnitPrice") is not None:
        result["unitPrice"] = amount(detail.decimal("UnitPrice"), currency)
    return result


def invoice_values(
    document_number: str, body: NewInvoice, items: dict[str, Record]
) -> dict[str, object]:
    """Return an invoice as QuickBooks wants it; `items` are those of its SKUs."""
    values: dict[str, object] = {
        "DocNumber": document_number,
        "CustomerRef": {"value": body["customerId"]},
        "CurrencyRef": {"value": body["currency"]},
        "Line": [
            {
                "DetailType": SALES_LINE,
                "Amount": _line_amount(line["quantity"]["value"], line["unitPrice"]["amount"]),
                "Description": line.get("description", items[line["sku"]].text("Name")),
                SALES_LINE: {
                    "ItemRef": {"value": items[line["sku"]].text("Id")},
                    "Qty": Decimal(line["quantity"]["value"]),
                    "UnitPrice": Decimal(line["unitPrice"]["amount"]),
                },
            }
            for line in body["lines"]
        ],
    }
    if "issueDate" in body:
        values["TxnDate"] = body["issueDate"]
    if "dueDate" in body:
        values["DueDate"] = body["dueDate"]
    return values


def _line_amount(quantity: str, price: str) -> Decimal:
    # QuickBooks refuses an amount that is not quantity by price, rounded to the cent.
    return (Decimal(quantity) * Decimal(price)).quantize(Decimal("0.01"))


def payment(record: Record, realm_id: str, home: str) -> Payment:
    """Return the canonical payment."""
    reference = record.text("PaymentRefNum")
    result: Payment = {
        "id": record.text("Id"),
        "type": "payment",
        "version": version(record),
        "externalIds": external_ids("Payment", record, realm_id),
        "createdAt": moment(record, "CreateTime"),
        "updatedAt": moment(record, "LastUpdatedTime"),
        "source": source(record, realm_id),
        "customerId": record.record("CustomerRef").text("value"),
        "amount": amount(record.decimal("TotalAmt"), currency_of(record, home)),
        # What a payment method is called is up to each company.
        "method": "other",
        "status": "cancelled" if is_void(record) else "captured",
        "invoiceIds": [
            link.text("TxnId")
            for line in record.records("Line")
            for link in line.records("LinkedTxn")
            if link.text("TxnType") == "Invoice"
        ],
        "extensions": {SYSTEM: {"referenceNumber": reference} if reference else {}},
    }
    if day := record.text("TxnDate"):
        result["paidAt"] = f"{day}T00:00:00Z"
    return result


def payment_values(
    reference_number: str, body: NewPayment, due: list[tuple[str, Decimal]]
) -> dict[str, object]:
    """Return a payment as QuickBooks wants it, spread over what is due of each invoice."""
    total = left = Decimal(body["amount"]["amount"])
    lines = []
    for invoice_id, open_amount in due:
        part = min(left, open_amount)
        left -= part
        if part > 0:
            link = {"TxnId": invoice_id, "TxnType": "Invoice"}
            lines.append({"Amount": part, "LinkedTxn": [link]})
    values: dict[str, object] = {
        "PaymentRefNum": reference_number,
        "CustomerRef": {"value": body["customerId"]},
        "CurrencyRef": {"value": body["amount"]["currency"]},
        "TotalAmt": total,
        "Line": lines,
    }
    if "paidAt" in body:
        values["TxnDate"] = body["paidAt"]
    return values
