"""What an org works out or refuses when a record is saved, beyond the kinds of its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from system_apis.salesforce.sandbox.errors import RefusalError
from system_apis.salesforce.sandbox.objects import STAGES

if TYPE_CHECKING:
    from system_apis.salesforce.sandbox.store import Store

Record = Mapping[str, Any]
_CENT = Decimal("0.01")


def derive(store: Store, name: str, old: Record | None, new: dict[str, Any]) -> None:
    """Fill in what the org computes for a record that is about to be saved; raises RefusalError."""
    rule = _RULES.get(name)
    if rule is not None:
        rule(store, old, new)


def _contact(store: Store, old: Record | None, new: dict[str, Any]) -> None:
    del store, old
    new["Name"] = " ".join(filter(None, (new.get("FirstName"), new.get("LastName"))))


def _opportunity(store: Store, old: Record | None, new: dict[str, Any]) -> None:
    del store
    probability, closed, won = STAGES[new["StageName"]]
    if old is None or old["StageName"] != new["StageName"]:
        new["Probability"] = float(probability)
    new["IsClosed"], new["IsWon"] = closed, won


def _pricebook_entry(store: Store, old: Record | None, new: dict[str, Any]) -> None:
    if old is not None:
        return
    same = ("Pricebook2Id", "Product2Id", "CurrencyIsoCode")
    for other in store.records("PricebookEntry"):
        if all(other[name] == new[name] for name in same):
            message = "This price definition already exists in this price book"
            raise RefusalError(400, "FIELD_INTEGRITY_EXCEPTION", message, ["Product2Id"])


def _order(store: Store, old: Record | None, new: dict[str, Any]) -> None:
    activated = new["Status"] == "Activated"
    if old is None:
        if activated:
            message = "Choose a valid order status and save your changes."
            raise RefusalError(400, "INVALID_STATUS", message, ["Status"])
        new["OrderNumber"] = f"{store.next_number('Order'):08d}"
        new["TotalAmount"] = 0.0
    elif old["StatusCode"] == "Draft" and activated:
        if not any(store.children("OrderItem", "OrderId", str(new["Id"]))):
            message = "An order must have at least one product."
            raise RefusalError(400, "FAILED_ACTIVATION", message)
        new["ActivatedDate"] = store.now()
    new["StatusCode"] = new["Status"]


def _order_item(store: Store, old: Record | None, new: dict[str, Any]) -> None:
    order = store.get("Order", str(new["OrderId"]))
    entry = store.get("PricebookEntry", str(new["PricebookEntryId"]))
    if order["StatusCode"] != "Draft":
        message = "You can't add, change or remove products of an activated order."
        raise RefusalError(400, "ENTITY_IS_LOCKED", message)
    if order["Pricebook2Id"] != entry["Pricebook2Id"]:
        message = "The price book entry is not in the price book of the order"
        raise RefusalError(400, "FIELD_INTEGRITY_EXCEPTION", message, ["PricebookEntryId"])
    if order["CurrencyIsoCode"] != entry["CurrencyIsoCode"]:
        message = "The currency of the price book entry is not that of the order"
        raise RefusalError(400, "FIELD_INTEGRITY_EXCEPTION", message, ["PricebookEntryId"])
    if old is None:
        new["OrderItemNumber"] = f"{store.next_number('OrderItem'):010d}"
    new["Product2Id"] = entry["Product2Id"]
    new["CurrencyIsoCode"] = order["CurrencyIsoCode"]
    new["TotalPrice"] = _product(new["Quantity"], new["UnitPrice"])


def add_up(store: Store, order_id: str) -> None:
    """Bring the total of an order up to date after one of its products was saved."""
    items = store.children("OrderItem", "OrderId", order_id)
    total = sum((Decimal(str(item["TotalPrice"])) for item in items), Decimal(0))
    store.touch("Order", order_id, {"TotalAmount": float(total)})


def _product(quantity: float, price: float) -> float:
    exact = Decimal(str(quantity)) * Decimal(str(price))
    return float(exact.quantize(_CENT, ROUND_HALF_UP))


_RULES: Mapping[str, Callable[[Store, Record | None, dict[str, Any]], None]] = {
    "Contact": _contact,
    "Opportunity": _opportunity,
    "PricebookEntry": _pricebook_entry,
    "Order": _order,
    "OrderItem": _order_item,
}
