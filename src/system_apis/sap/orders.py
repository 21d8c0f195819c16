"""Sales orders: taken over once, and changed as they were read, with their lines or not at all.

SAP has no idempotency keys. An order is named by its customer and the buyer's reference: it is
looked for before it is created, and looked for again where it is not known whether it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from portico.connectors.failures import ConflictError, RefusedError
from portico.connectors.messages import Errand
from portico.connectors.moments import version_of
from portico.connectors.record import Record
from portico.connectors.versions import change as change_at_version
from portico.crossref.creating import Found
from portico.problems import CONFLICT, NOT_FOUND, Problem
from portico.server.call import combine
from system_apis.sap import customers, models
from system_apis.sap.batch import Change
from system_apis.sap.connector import SAP, Messages, after_writing
from system_apis.sap.mapping import PRODUCT, PRODUCT_EXPAND
from system_apis.sap.odata import Query, entity_path, equal, etag_of, one_of, ticks
from system_apis.sap.order_mapping import ITEM, ORDER, ORDER_EXPAND, lines_of, priced_lines
from system_apis.sap.s4 import PRODUCTS, S4, SALES_ORDERS, SYSTEM
from system_apis.sap.values import key_of, moment_of, unit_code

Fault = Mapping[str, object]

ORDERS = Query(entity=ORDER, order="SalesOrder", expand=ORDER_EXPAND)
# PurchaseOrderByCustomer has 35 characters.
MAX_REFERENCE = 35
# As many as a problem document holds.
MAX_FAULTS = 100


class FaultyOrderError(RefusedError):
    """An order that cannot be taken over, and where that is."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("the order cannot be taken over", system=SYSTEM)
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An order, whether this call made it, and what SAP said besides."""

    record: Record
    created: bool
    messages: Messages = ()


async def read(sap: SAP, errand: Errand, operation: str, order_id: str) -> Record:
    """Return a sales order by its number; raises Problem."""
    query = ORDERS.only(equal("SalesOrder", order_id))
    found = await sap.find(errand, operation, SALES_ORDERS, query)
    if found is None:
        raise Problem(NOT_FOUND, f"there is no order {order_id}")
    return found


async def create(sap: SAP, errand: Errand, operation: str, body: models.NewOrder) -> Made:
    """Create an order, or return the one of its name; raises Problem."""
    said: list[Mapping[str, object]] = []

    async def look_up() -> Found[Record] | None:
        if len(body["poNumber"]) > MAX_REFERENCE:
            return None  # there can be none, and what it is cut off to may be another's
        query = ORDERS.only(
            equal("SoldToParty", body["customerId"]),
            equal("PurchaseOrderByCustomer", body["poNumber"]),
        )
        found = await sap.find(errand, operation, SALES_ORDERS, query)
        return None if found is None else _found(found)

    async def create(_operation_id: str) -> Found[Record]:
        values = await _prepared(sap, errand, operation, body)
        made, messages = await sap.create(errand, operation, SALES_ORDERS, ORDER, values)
        said.extend(messages)
        with after_writing():
            record = await read(sap, errand, operation, key_of(made, "SalesOrder"))
        return _found(record, created=True)

    async def linked(number: str) -> Record | None:
        query = ORDERS.only(equal("SalesOrder", number))
        return await sap.find(errand, operation, SALES_ORDERS, query)

    name = combine(ORDER, body["customerId"], body["poNumber"])
    try:
        made = await sap.create_once(errand, ORDER, name, look_up, create, linked)
    except FaultyOrderError as error:
        raise _conflict(error.faults) from error
    return Made(record=made.record, created=made.created, messages=said)


def _found(record: Record, *, created: bool = False) -> Found[Record]:
    return Found(external_id=key_of(record, "SalesOrder"), record=record, created=created)


async def _prepared(
    sap: SAP, errand: Errand, operation: str, body: models.NewOrder
) -> dict[str, object]:
    """Return the order as it is created with its lines; raises FaultyOrderError."""
    skus = sorted({line["sku"] for line in body["lines"]})
    query = Query(entity=PRODUCT, conditions=[one_of(PRODUCT, skus)], expand=PRODUCT_EXPAND)
    products = {
        record.text("Product"): record
        for record in await sap.search(errand, operation, PRODUCTS, query)
    }
    condition = equal("Customer", body["customerId"])
    known = await customers.find(sap, errand, operation, condition) is not None
    faults = list(_faults(body, products, known=known))
    if faults:
        raise FaultyOrderError(faults)
    return _values(body, products, sap.s4)


def _faults(
    body: models.NewOrder, products: Mapping[str, Record], *, known: bool
) -> Iterator[Fault]:
    if not known:
        yield _fault(f"there is no customer {body['customerId']}", "#/customerId")
    if len(body["poNumber"]) > MAX_REFERENCE:
        yield _fault(f"{SYSTEM} holds {MAX_REFERENCE} characters of it", "#/poNumber")
    for index, line in enumerate(body["lines"]):
        place = f"#/lines/{index}"
        if line["unitPrice"]["currency"] != body["currency"]:
            detail = f"the price is not in {body['currency']}, the currency of the order"
            yield _fault(detail, f"{place}/unitPrice/currency")
        product = products.get(line["sku"])
        if product is None:
            yield _fault(f"there is no product {line['sku']}", f"{place}/sku")
            continue
        own = unit_code(product.text("BaseUnit"))
        if line["quantity"].get("uom", own) != own:
            yield _fault(f"{line['sku']} is sold in {own}", f"{place}/quantity/uom")


def _fault(detail: str, pointer: str) -> Fault:
    return {"detail": detail, "pointer": pointer}


def _conflict(faults: Sequence[Fault]) -> Problem:
    detail = f"{len(faults)} places of the order cannot be taken over"
    if len(faults) == 1:
        detail = str(faults[0]["detail"])
    return Problem(CONFLICT, detail, extensions={"errors": list(faults[:MAX_FAULTS])})


def _values(body: models.NewOrder, products: Mapping[str, Record], s4: S4) -> dict[str, object]:
    values: dict[str, object] = {
        "SalesOrderType": s4.order_type,
        "SalesOrganization": s4.sales_organization,
        "DistributionChannel": s4.distribution_channel,
        "OrganizationDivision": s4.division,
        "SoldToParty": body["customerId"],
        "PurchaseOrderByCustomer": body["poNumber"],
        "TransactionCurrency": body["currency"],
        "to_Item": {"results": [_item(line, products[line["sku"]], s4) for line in body["lines"]]},
    }
    if "requestedDelivery" in body:
        values["RequestedDeliveryDate"] = ticks(date.fromisoformat(body["requestedDelivery"]))
    return values


def _item(line: models.NewOrderLine, product: Record, s4: S4) -> dict[str, object]:
    price = line["unitPrice"]
    condition = {
        "ConditionType": s4.price_condition,
        "ConditionRateValue": price["amount"],
        "ConditionCurrency": price["currency"],
        "ConditionQuantity": "1",
        "ConditionQuantityUnit": product.text("BaseUnit"),
    }
    return {
        "Material": line["sku"],
        "RequestedQuantity": line["quantity"]["value"],
        "RequestedQuantityUnit": product.text("BaseUnit"),
        "to_PricingElement": {"results": [condition]},
    }


def is_same(record: Record, body: models.NewOrder, s4: S4) -> bool:
    """Tell whether an order has the currency and the lines that are asked for."""
    asked = [
        (line["sku"], Decimal(line["quantity"]["value"]), Decimal(line["unitPrice"]["amount"]))
        for line in body["lines"]
    ]
    same_currency = record.text("TransactionCurrency") == body["currency"]
    return same_currency and priced_lines(record, s4) == asked


async def change(
    sap: SAP, errand: Errand, operation: str, order_id: str, body: models.OrderChange
) -> Made:
    """Change an order as it was read; raises ConflictError or Problem."""
    said: list[Mapping[str, object]] = []

    async def read_it() -> Record:
        return await read(sap, errand, operation, order_id)

    async def write(order: Record) -> Record:
        changed = moment_of(order, "LastChangeDateTime")
        if "version" in body and (changed is None or version_of(changed) != body["version"]):
            raise ConflictError("the order was changed since", system=SYSTEM)
        changes = _changes(order, body)
        said.extend(await sap.change_together(errand, operation, SALES_ORDERS, changes))
        with after_writing():
            return await read_it()

    return Made(record=await change_at_version(read_it, write), created=False, messages=said)


def _changes(order: Record, body: models.OrderChange) -> list[Change]:
    """Return the changes that belong together. That of the order also guards those of its lines."""
    number, lines = key_of(order, "SalesOrder"), lines_of(order)
    header: dict[str, object] = {
        "PurchaseOrderByCustomer": order.text("PurchaseOrderByCustomer"),
    }
    if "requestedDelivery" in body:
        header["RequestedDeliveryDate"] = ticks(date.fromisoformat(body["requestedDelivery"]))
    path = entity_path(ORDER, SalesOrder=number)
    changes = [Change(path=path, values=header, etag=etag_of(order))]
    for index, wanted in enumerate(body.get("lines", [])):
        if wanted["lineNo"] > len(lines):
            raise _conflict([_fault("the order has no such line", f"#/lines/{index}/lineNo")])
        item = lines[wanted["lineNo"] - 1]
        path = entity_path(ITEM, SalesOrder=number, SalesOrderItem=item.text("SalesOrderItem"))
        values = {
            "RequestedQuantity": wanted["quantity"]["value"],
            "RequestedQuantityUnit": item.text("RequestedQuantityUnit"),
        }
        changes.append(Change(path=path, values=values))
    return changes
