"""What an S/4HANA works out or refuses when something is saved.

A price comes from the condition that is given with an item, or from the price list; tax is that
of one country. The message numbers are from knowledge and unverified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from system_apis.sap.sandbox.errors import RefusalError
from system_apis.sap.sandbox.model import Navigation, entity_named
from system_apis.sap.sandbox.values import padded

if TYPE_CHECKING:
    from system_apis.sap.sandbox.store import Store

Row = dict[str, Any]
Below = Sequence[tuple[Navigation, Sequence[Mapping[str, object]]]]

PRICE_CONDITION = "PR00"
TAX_RATE = Decimal("0.21")
CUSTOMER_ROLE = "FLCU01"
ISO_UNITS = {"PC": "PCE", "KG": "KGM", "G": "GRM", "L": "LTR", "H": "HUR"}
# An address that is nobody's own has no person.
MAY_HAVE_BLANK_KEYS = frozenset({"A_AddressEmailAddress", "A_AddressPhoneNumber"})
_FIRST_ORDER, _FIRST_PARTNER, _FIRST_CUSTOMER, _FIRST_ADDRESS = 1, 1_000_001, 17_100_001, 23_001
_CENT = Decimal("0.001")


def before_create(store: Store, name: str, row: Row, below: Below) -> None:
    """Fill in what is not given, or refuse; raises RefusalError."""
    rule = _BEFORE.get(name)
    if rule is not None:
        rule(store, row, below)


def after_write(store: Store, name: str, row: Row) -> None:
    """Bring up to date what follows from a row that was created or changed."""
    rule = _AFTER.get(name)
    if rule is not None:
        rule(store, row)


def before_delete(store: Store, name: str, row: Row) -> None:
    """Refuse to delete what others build on; raises RefusalError."""
    billed = (item["SalesDocument"] for item in store.rows("A_BillingDocumentItem"))
    if name == "A_SalesOrder" and row["SalesOrder"] in billed:
        raise RefusalError(400, "V1/400", "Sales order has subsequent documents")
    if name not in ("A_SalesOrder", "A_SalesOrderItem", "A_SalesOrderItemPrElement"):
        raise RefusalError(405, "/IWFND/CM_CONSUMER/101", "Method not allowed")


def _order(store: Store, row: Row, below: Below) -> None:
    today = store.now().date().isoformat()
    if store.find("A_Customer", row["SoldToParty"]) is None:
        sold_to = row["SoldToParty"].lstrip("0")
        raise RefusalError(400, "V1/384", f"Sold-to party {sold_to} not maintained")
    if not any(navigation.name == "to_Item" for navigation, _ in below):
        raise RefusalError(400, "V1/555", "Please enter items")
    row["SalesOrder"] = padded(str(store.next_number("SalesOrder", _FIRST_ORDER)))
    row["SalesOrderType"] = row["SalesOrderType"] or "OR"
    row["SalesOrderDate"] = row["SalesOrderDate"] or today
    row["TransactionCurrency"] = row["TransactionCurrency"] or "EUR"
    row["CreationDate"] = today
    row.update(OverallDeliveryStatus="A", OverallSDProcessStatus="A")
    row.update(OverallSDDocumentRejectionSts="A", OverallOrdReltdBillgStatus="A")
    row["LastChangeDateTime"] = store.now().isoformat()


def _item(store: Store, row: Row, below: Below) -> None:
    del below
    product = store.find("Product", row["Material"])
    if product is None:
        raise RefusalError(400, "V1/382", f"Material {row['Material']} is not defined")
    if Decimal(row["RequestedQuantity"]) <= 0:
        raise RefusalError(400, "V1/369", "Enter a quantity greater than zero")
    if not row["RequestedQuantityUnit"]:
        message = "RequestedQuantityUnit is needed beside RequestedQuantity"
        raise RefusalError(400, "/IWBEP/CM_MGW_RT/021", message)
    order = store.find("A_SalesOrder", row["SalesOrder"]) or {}
    count = sum(each["SalesOrder"] == row["SalesOrder"] for each in store.rows("A_SalesOrderItem"))
    row["SalesOrderItem"] = row["SalesOrderItem"] or str((count + 1) * 10)
    row["RequestedQuantitySAPUnit"] = row["RequestedQuantityUnit"]
    row["RequestedQuantityISOUnit"] = ISO_UNITS.get(row["RequestedQuantityUnit"], "")
    row["TransactionCurrency"] = order.get("TransactionCurrency", "EUR")
    row["SalesOrderItemText"] = row["SalesOrderItemText"] or _text_of(store, row["Material"])
    row.update(DeliveryStatus="A", SDProcessStatus="A")


def _text_of(store: Store, product: str) -> str:
    found = store.find("ProductDescription", product, "EN")
    return str(found["ProductDescription"]) if found else ""


def _condition(store: Store, row: Row, below: Below) -> None:
    del store, below
    row["PricingProcedureStep"] = row["PricingProcedureStep"] or "010"
    row["PricingProcedureCounter"] = row["PricingProcedureCounter"] or "01"
    if Decimal(row["ConditionQuantity"]) <= 0:
        row["ConditionQuantity"] = "1"


def _partner(store: Store, row: Row, below: Below) -> None:
    row["BusinessPartner"] = padded(str(store.next_number("BusinessPartner", _FIRST_PARTNER)))
    row["CreationDate"] = store.now().date().isoformat()
    roles = [
        role.get("BusinessPartnerRole")
        for navigation, children in below
        if navigation.name == "to_BusinessPartnerRole"
        for role in children
    ]
    _name(store, row)
    if CUSTOMER_ROLE in roles:
        row["Customer"] = padded(str(store.next_number("Customer", _FIRST_CUSTOMER)))
        customer: Row = dict.fromkeys(entity_named("A_Customer").properties, "")
        customer.update(Customer=row["Customer"], CustomerName=row["BusinessPartnerName"])
        store.keep(entity_named("A_Customer"), {**customer, "DeletionIndicator": False})


def _name(store: Store, row: Row) -> None:
    organization = row["BusinessPartnerCategory"] == "2"
    person = f"{row['FirstName']} {row['LastName']}".strip()
    row["BusinessPartnerName"] = row["OrganizationBPName1"] if organization else person
    if not row["BusinessPartnerName"]:
        raise RefusalError(400, "R11/124", "Enter a name of the business partner")
    row["BusinessPartnerFullName"] = row["BusinessPartnerName"]
    now = store.now()
    row["LastChangeDate"] = now.date().isoformat()
    row["LastChangeTime"] = now.strftime("PT%HH%MM%SS")
    row["ETag"] = now.strftime("%Y%m%d%H%M%S%f")


def _address(store: Store, row: Row, below: Below) -> None:
    del below
    row["AddressID"] = row["AddressID"] or str(store.next_number("AddressID", _FIRST_ADDRESS))


def _communication(store: Store, row: Row, below: Below) -> None:
    del store, below
    row["OrdinalNumber"] = row["OrdinalNumber"] or "1"


def _partner_changed(store: Store, row: Row) -> None:
    renamed = dict(row)
    _name(store, renamed)
    store.keep(entity_named("A_BusinessPartner"), renamed)


def _order_changed(store: Store, row: Row) -> None:
    """Work out prices, tax and the total, and stamp the change."""
    total = Decimal(0)
    items = [
        item for item in store.rows("A_SalesOrderItem") if item["SalesOrder"] == row["SalesOrder"]
    ]
    for item in items:
        net = _net_amount(store, item)
        priced = {**item, "NetAmount": str(net), "TaxAmount": _rounded(net * TAX_RATE)}
        store.keep(entity_named("A_SalesOrderItem"), priced)
        total += net
    stamp = store.now().isoformat()
    changed = {**row, "TotalNetAmount": str(total), "LastChangeDateTime": stamp}
    store.keep(entity_named("A_SalesOrder"), changed)


def _net_amount(store: Store, item: Row) -> Decimal:
    navigation = entity_named("A_SalesOrderItem").navigations["to_PricingElement"]
    quantity = Decimal(item["RequestedQuantity"])
    for condition in store.reached(item, navigation):
        if condition["ConditionType"] == PRICE_CONDITION:
            rate = Decimal(condition["ConditionRateValue"])
            net = _rounded(quantity * rate / Decimal(condition["ConditionQuantity"]))
            return Decimal(net)
    return Decimal(0)


def _rounded(amount: Decimal) -> str:
    return str(amount.quantize(Decimal("0.01"), ROUND_HALF_UP).quantize(_CENT))


def _item_changed(store: Store, row: Row) -> None:
    order = store.find("A_SalesOrder", row["SalesOrder"])
    if order is not None:
        _order_changed(store, order)


_BEFORE: Mapping[str, Callable[[Store, Row, Below], None]] = {
    "A_SalesOrder": _order,
    "A_SalesOrderItem": _item,
    "A_SalesOrderItemPrElement": _condition,
    "A_BusinessPartner": _partner,
    "A_BusinessPartnerAddress": _address,
    "A_AddressEmailAddress": _communication,
    "A_AddressPhoneNumber": _communication,
}
_AFTER: Mapping[str, Callable[[Store, Row], None]] = {
    "A_SalesOrder": _order_changed,
    "A_SalesOrderItem": _item_changed,
    "A_BusinessPartner": _partner_changed,
}
