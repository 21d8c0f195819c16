"""The records of the company: made, changed and voided with their rules."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from portico.sandbox.state import Record, State
from portico.sandbox.webhooks import Webhooks
from system_apis.quickbooks.sandbox import payments
from system_apis.quickbooks.sandbox.errors import (
    FaultError,
    bad_reference,
    business,
    missing,
    required,
    stale,
)

ENTITIES = ("Customer", "Item", "Account", "Invoice", "Payment", "CreditMemo", "RefundReceipt")
_LISTS = frozenset({"Customer", "Item", "Account"})
# Where payments go that name no account, as in a company that Intuit makes.
UNDEPOSITED = {"value": "4", "name": "Undeposited Funds"}
DUE_DAYS = 30
_SALES_LINE = "SalesItemLineDetail"
_CENT = Decimal("0.01")


class Books:
    """One company."""

    def __init__(
        self,
        state: State,
        webhooks: Webhooks,
        *,
        realm_id: str,
        currency: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.state = state
        self.currency = currency
        self._webhooks = webhooks
        self._realm_id = realm_id
        self._clock = clock

    def now(self) -> str:
        # QuickBooks stamps to the second, with an offset.
        moment = datetime.fromtimestamp(int(self._clock()), UTC)
        return moment.isoformat()

    def open_accounts(self) -> None:
        """Have the account that every company has."""
        stamp = {"CreateTime": self.now(), "LastUpdatedTime": self.now()}
        self.state.table("Account")[UNDEPOSITED["value"]] = {
            "Id": UNDEPOSITED["value"],
            "Name": UNDEPOSITED["name"],
            "Active": True,
            "AccountType": "Other Current Asset",
            "AccountSubType": "UndepositedFunds",
            "SyncToken": "0",
            "sparse": False,
            "domain": "QBO",
            "MetaData": stamp,
        }

    def find(self, entity: str, record_id: str) -> Record:
        """Return a record; raises FaultError."""
        found = self.state.table(entity).get(record_id)
        if found is None or found.get("status") == "Deleted":
            raise missing()
        return found

    def post(self, entity: str, values: Record, operation: str) -> Record:
        """Create, change, void or delete a record; an empty text is nothing at all."""
        values = {name: value for name, value in values.items() if value not in ("", None)}
        if "Id" not in values:
            if operation:
                raise required("Id")
            return self._create(entity, values)
        record = self.find(entity, str(values["Id"]))
        if str(values.get("SyncToken", "")) != record["SyncToken"]:
            raise stale(entity)
        if operation == "delete":
            return self._delete(entity, record)
        if operation == "void":
            return self._void(entity, record)
        return self._update(entity, record, values)

    def _create(self, entity: str, values: Record) -> Record:
        record = {
            **_defaults(entity, self.currency),
            **values,
            "Id": str(self.state.next_number(entity)),
            "SyncToken": "0",
            "sparse": False,
            "domain": "QBO",
            "MetaData": {"CreateTime": self.now(), "LastUpdatedTime": self.now()},
        }
        self._complete(entity, record)
        return self._keep(entity, record, "created")

    def _update(self, entity: str, record: Record, values: Record) -> Record:
        kept = {"Id", "SyncToken", "MetaData", "domain"}
        sent = {name: value for name, value in values.items() if name not in {*kept, "sparse"}}
        # A full update empties what it leaves out.
        before = record if values.get("sparse") else {name: record[name] for name in kept}
        changed = {**_defaults(entity, self.currency), **before, **sent, "sparse": False}
        if entity == "Payment":
            self._exchange(record, changed)
        else:
            self._complete(entity, changed)
        return self._touch(entity, changed, "updated")

    def _exchange(self, before: Record, changed: Record) -> None:
        """Have a payment pay something else, or what it paid before where that is refused."""
        payments.give_back(self.state, before, self._touch)
        try:
            self._complete("Payment", changed)
        except FaultError:
            payments.apply(self.state, before, self._touch)
            raise

    def _touch(self, entity: str, record: Record, what: str) -> Record:
        record = {
            **record,
            "SyncToken": str(int(record["SyncToken"]) + 1),
            "MetaData": {**record["MetaData"], "LastUpdatedTime": self.now()},
        }
        return self._keep(entity, record, what)

    def _keep(self, entity: str, record: Record, what: str) -> Record:
        self.state.table(entity)[record["Id"]] = record
        number = self.state.next_number("event")
        event = {
            "specversion": "1.0",
            "id": f"sandbox-{number:08d}",
            "source": "intuit.sandbox",
            "type": f"qbo.{entity.lower()}.{what}.v1",
            "datacontenttype": "application/json",
            "time": self.now(),
            "intuitentityid": record["Id"],
            "intuitaccountid": self._realm_id,
            "data": {},
        }
        self._webhooks.publish(orjson.dumps([event]))
        return record

    def _delete(self, entity: str, record: Record) -> Record:
        if entity in _LISTS:
            raise business("records of lists are made inactive, not deleted")
        self._unlink(entity, record)
        gone = self._touch(entity, {**record, "status": "Deleted"}, "deleted")
        return {"Id": gone["Id"], "domain": "QBO", "status": "Deleted"}

    def _unlink(self, entity: str, record: Record) -> None:
        """Part payments from the invoices that they pay, before one of the two goes."""
        if entity == "Payment":
            payments.give_back(self.state, record, self._touch)
        if entity == "Invoice":
            payments.set_free(self.state, record["Id"], self._touch)

    def _void(self, entity: str, record: Record) -> Record:
        if entity not in {"Invoice", "Payment"}:
            raise business(f"a {entity} cannot be voided")
        self._unlink(entity, record)
        record = {**record, "paid": 0}
        lines = [_emptied(line) for line in record.get("Line", [])]
        note = "Voided" if not record.get("PrivateNote") else f"Voided - {record['PrivateNote']}"
        void = {**record, "Line": lines, "TotalAmt": 0, "Balance": 0, "PrivateNote": note}
        return self._touch(entity, void, "voided")

    def _complete(self, entity: str, record: Record) -> None:
        """Check a record and compute what QuickBooks computes."""
        match entity:
            case "Customer":
                self._complete_customer(record)
            case "Item":
                self._complete_item(record)
            case "Invoice":
                self._complete_invoice(record)
            case "CreditMemo":
                self._complete_sale(record)
                record["Balance"] = record["RemainingCredit"] = record["TotalAmt"]
            case "RefundReceipt":
                self._refer(record, "DepositToAccountRef", "Account")
                self._complete_sale(record)
                record["Balance"] = 0
            case "Payment":
                self._complete_payment(record)
            case _:
                raise business(f"a {entity} is not made here")

    def _complete_customer(self, record: Record) -> None:
        name = record.get("DisplayName")
        if not isinstance(name, str) or not name.strip():
            raise required("DisplayName")
        record.setdefault("FullyQualifiedName", name)
        for other in self.state.table("Customer").values():
            if other["DisplayName"].lower() == name.lower() and other["Id"] != record["Id"]:
                detail = (
                    "The name supplied already exists. : Another customer, vendor or employee is "
                    f"already using this name. Id={other['Id']}"
                )
                raise FaultError("6240", "Duplicate Name Exists Error", detail)

    def _complete_item(self, record: Record) -> None:
        if not record.get("Name"):
            raise required("Name")

    def _complete_sale(self, record: Record) -> None:
        """Sum up the lines of a document, and date it."""
        self._refer(record, "CustomerRef", "Customer")
        lines = [line for line in record.get("Line", []) if line.get("DetailType") == _SALES_LINE]
        if not lines:
            raise required("Line")
        total = Decimal(0)
        for number, line in enumerate(lines, start=1):
            self._complete_line(number, line)
            total += Decimal(str(line["Amount"]))
        record["Line"] = [
            *lines,
            {"Amount": total, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        ]
        record["TotalAmt"] = total
        record["TxnTaxDetail"] = {"TotalTax": 0}
        _day(record.setdefault("TxnDate", self.now()[:10]), "TxnDate")

    def _complete_invoice(self, record: Record) -> None:
        self._complete_sale(record)
        record["Balance"] = record["TotalAmt"] - Decimal(str(record.get("paid", 0)))
        issued = _day(record["TxnDate"], "TxnDate")
        record.setdefault("DueDate", (issued + timedelta(days=DUE_DAYS)).isoformat())
        _day(record["DueDate"], "DueDate")
        number = record.setdefault("DocNumber", str(1000 + int(record["Id"])))
        for other in self.state.table("Invoice").values():
            taken = other["DocNumber"] == number and other["Id"] != record["Id"]
            if taken and other.get("status") != "Deleted":
                detail = f"Duplicate Document Number Error : {number} Id={other['Id']}"
                raise FaultError("6140", "Duplicate Document Number Error", detail)

    def _complete_line(self, number: int, line: Record) -> None:
        line.update(Id=str(number), LineNum=number)
        detail = line.get(_SALES_LINE, {})
        item = self._refer(detail, "ItemRef", "Item")
        quantity = _decimal(detail.get("Qty", 1), "Qty")
        price = _decimal(detail.get("UnitPrice", item.get("UnitPrice", 0)), "UnitPrice")
        expected = (quantity * price).quantize(_CENT)
        if _decimal(line.get("Amount", expected), "Amount") != expected:
            detail_text = "Amount calculation incorrect in the request."
            raise FaultError("6070", "Amount is not equal to UnitPrice * Qty", detail_text)
        line["Amount"] = expected

    def _complete_payment(self, record: Record) -> None:
        self._refer(record, "CustomerRef", "Customer")
        record.setdefault("DepositToAccountRef", dict(UNDEPOSITED))
        self._refer(record, "DepositToAccountRef", "Account")
        total = _decimal(record.get("TotalAmt"), "TotalAmt")
        if total <= 0:
            raise business("You must enter a transaction amount.")
        lines = record.get("Line", [])
        left = total - sum((_decimal(line.get("Amount"), "Amount") for line in lines), Decimal(0))
        if left < 0:
            raise business("The lines are more than the total amount.")
        _day(record.setdefault("TxnDate", self.now()[:10]), "TxnDate")
        payments.apply(self.state, record, self._touch)
        record.update(TotalAmt=total, UnappliedAmt=left)

    def _refer(self, record: Record, name: str, entity: str) -> Record:
        reference = record.get(name)
        if not isinstance(reference, dict) or "value" not in reference:
            raise required(name)
        if entity == "Account" and not self.state.table(entity):
            self.open_accounts()
        found = self.state.table(entity).get(str(reference["value"]))
        if found is None:
            raise bad_reference(name)
        record[name] = {
            "value": found["Id"],
            "name": found.get("DisplayName") or found.get("Name"),
        }
        return found

    def changed_since(self, entity: str, since: datetime) -> list[Record]:
        """Return what was changed; of deleted records little is told."""
        found = []
        for record in self.state.table(entity).values():
            if datetime.fromisoformat(record["MetaData"]["LastUpdatedTime"]) < since:
                continue
            if record.get("status") == "Deleted":
                names = ("Id", "status", "domain", "MetaData")
                record = {name: record[name] for name in names}  # noqa: PLW2901  # what is told
            found.append(record)
        return found


def _emptied(line: Record) -> Record:
    """Return a line of a voided document: amounts and quantities are zero."""
    emptied = {**line, "Amount": 0}
    if _SALES_LINE in line:
        emptied[_SALES_LINE] = {**line[_SALES_LINE], "Qty": 0}
    return emptied


def _defaults(entity: str, currency: str) -> Record:
    common = {"CurrencyRef": {"value": currency, "name": currency}}
    if entity == "Customer":
        return {**common, "Active": True, "Balance": 0, "Job": False, "Taxable": True}
    if entity == "Item":
        return {"Active": True, "Type": "Service", "TrackQtyOnHand": False, "Taxable": True}
    return dict(common)


def _decimal(value: Any, element: str) -> Decimal:
    if value is None:
        raise required(element)
    try:
        return Decimal(str(value))
    except InvalidOperation as error:
        raise FaultError("2040", "Invalid Number", f"{element} is not a number") from error


def _day(value: Any, element: str) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise FaultError("2060", "Invalid date", f"{element} is not a date") from error
