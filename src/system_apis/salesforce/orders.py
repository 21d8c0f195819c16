"""Taking over an order, once, and making it binding.

Salesforce has no idempotency keys, but external ids. The name of an order, its customer and the
buyer's reference, becomes one that is unique in the org. So the org itself refuses a second order
of a name, whoever sends it and whatever became of the answer to the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from portico.connectors.failures import ConflictError, DuplicateError, RefusedError
from portico.connectors.messages import Errand
from portico.connectors.record import Record
from portico.crossref.creating import Found
from portico.problems import CONFLICT, NOT_FOUND, Problem
from portico.server.call import combine
from system_apis.salesforce import models
from system_apis.salesforce.connector import Salesforce, after_writing
from system_apis.salesforce.mapping import currency_of, unit_code
from system_apis.salesforce.order_mapping import ORDER, order_fields, priced_lines, status_of
from system_apis.salesforce.org import SYSTEM, Org
from system_apis.salesforce.records import id_of
from system_apis.salesforce.soql import Query, equal, one_of

Fault = Mapping[str, object]
# As many as a problem document holds.
MAX_FAULTS = 100


class FaultyOrderError(RefusedError):
    """An order that cannot be taken over, and where that is."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("the order cannot be taken over", system=SYSTEM)
        self.faults = faults


def external_key(body: models.NewOrder) -> str:
    """Return the external key that the name of an order stands for."""
    return combine(ORDER, body["customerId"], body["poNumber"])


async def create(
    salesforce: Salesforce, errand: Errand, operation: str, body: models.NewOrder
) -> tuple[Record, bool]:
    """Create an order, or return the one of its name, and whether this call made it."""

    async def look_up() -> Found[Record] | None:
        query = _by_key(body, salesforce.org)
        found = await salesforce.find(errand, operation, query)
        return None if found is None else Found(external_id=id_of(found), record=found)

    async def create(_operation_id: str) -> Found[Record]:
        # The external key is what Salesforce knows the order by, and not the operation.
        tree, made = await _prepared(salesforce, errand, operation, body), True
        try:
            await salesforce.create_tree(errand, operation, ORDER, tree)
        except DuplicateError as error:
            if error.code != "DUPLICATE_VALUE":
                raise
            # Somebody else was faster, or this call was, and the answer was lost.
            made = False
        with after_writing():
            found = await look_up()
        if found is None:
            message = f"{body['poNumber']} was deleted while it was created"
            raise ConflictError(message, system=SYSTEM)
        return replace(found, created=made)

    try:
        made = await salesforce.create_once(errand, ORDER, external_key(body), look_up, create)
    except FaultyOrderError as error:
        raise _conflict(error.faults) from error
    return made.record, made.created


async def _prepared(
    salesforce: Salesforce, errand: Errand, operation: str, body: models.NewOrder
) -> dict[str, object]:
    """Return the order as it is created with its lines; raises FaultyOrderError."""
    account = Query(source="Account", fields=["Id"], conditions=[equal("Id", body["customerId"])])
    queries = [account, _entries(body, salesforce.org)]
    accounts, entries = await salesforce.find_all(errand, operation, queries)
    offers: dict[str, list[Record]] = {}
    for entry in entries:
        offers.setdefault(_product_of(entry).text("ProductCode"), []).append(entry)
    if faults := list(_faults(body, offers, known=bool(accounts))):
        raise FaultyOrderError(faults)
    return _tree(body, {sku: found[0] for sku, found in offers.items()}, salesforce.org)


def _entries(body: models.NewOrder, org: Org) -> Query:
    """Return the query of the price book entries that the lines are of."""
    skus = sorted({line["sku"] for line in body["lines"]})
    conditions = [one_of("Product2.ProductCode", skus), "IsActive = TRUE"]
    if not org.currency:
        conditions.append(equal("CurrencyIsoCode", body["currency"]))
    if org.price_book:
        conditions.append(equal("Pricebook2.Name", org.price_book))
    else:
        conditions.append("Pricebook2.IsStandard = TRUE")
    product = ("Product2.ProductCode", "Product2.QuantityUnitOfMeasure")
    fields = ["Id", "Pricebook2Id", *product]
    return Query(source="PricebookEntry", fields=fields, conditions=conditions, order="Id")


def _by_key(body: models.NewOrder, org: Org) -> Query:
    condition = equal(org.external_id_field, external_key(body))
    return Query(source=ORDER, fields=order_fields(org), conditions=[condition], limit=1)


def _product_of(entry: Record) -> Record:
    return entry.optional_record("Product2") or entry


def _faults(
    body: models.NewOrder, offers: Mapping[str, Sequence[Record]], *, known: bool
) -> Iterator[Fault]:
    if not known:
        yield _fault(f"there is no customer {body['customerId']}", "#/customerId")
    for index, line in enumerate(body["lines"]):
        place = f"#/lines/{index}"
        if line["unitPrice"]["currency"] != body["currency"]:
            detail = f"the price is not in {body['currency']}, the currency of the order"
            yield _fault(detail, f"{place}/unitPrice/currency")
        found = offers.get(line["sku"], ())
        if len(found) != 1:
            # A product code need not be unique in an org, and nobody should guess.
            detail = f"{line['sku']} is {len(found)} times in the price book in {body['currency']}"
            if not found:
                detail = f"{line['sku']} is not in the price book in {body['currency']}"
            yield _fault(detail, f"{place}/sku")
            continue
        own = unit_code(_product_of(found[0]).text("QuantityUnitOfMeasure"))
        if line["quantity"].get("uom", own) != own:
            yield _fault(f"{line['sku']} is sold in {own}", f"{place}/quantity/uom")


def _fault(detail: str, pointer: str) -> Fault:
    return {"detail": detail, "pointer": pointer}


def _conflict(faults: Sequence[Fault]) -> Problem:
    detail = f"{len(faults)} places of the order cannot be taken over"
    if len(faults) == 1:
        detail = str(faults[0]["detail"])
    return Problem(CONFLICT, detail, extensions={"errors": list(faults[:MAX_FAULTS])})


def _tree(body: models.NewOrder, offers: Mapping[str, Record], org: Org) -> dict[str, object]:
    """Return the order with its lines, as they are created together."""
    first = offers[body["lines"][0]["sku"]]
    values: dict[str, object] = {
        "attributes": {"type": ORDER, "referenceId": "order"},
        org.external_id_field: external_key(body),
        "AccountId": body["customerId"],
        "Pricebook2Id": first.text("Pricebook2Id"),
        "EffectiveDate": datetime.now(UTC).date().isoformat(),
        "Status": "Draft",
        "PoNumber": body["poNumber"],
        "OrderItems": {
            "records": [
                _item(number, line, offers[line["sku"]], body.get("requestedDelivery"))
                for number, line in enumerate(body["lines"], start=1)
            ]
        },
    }
    if not org.currency:
        values["CurrencyIsoCode"] = body["currency"]
    return values


def _item(
    number: int, line: models.NewOrderLine, entry: Record, delivery: str | None
) -> dict[str, object]:
    return {
        "attributes": {"type": "OrderItem", "referenceId": f"line{number}"},
        "PricebookEntryId": id_of(entry),
        "Quantity": Decimal(line["quantity"]["value"]),
        "UnitPrice": Decimal(line["unitPrice"]["amount"]),
        "ServiceDate": delivery,
    }


def is_same(record: Record, body: models.NewOrder, org: Org) -> bool:
    """Tell whether an order has the currency and the lines that are asked for."""
    asked = [
        (line["sku"], Decimal(line["quantity"]["value"]), Decimal(line["unitPrice"]["amount"]))
        for line in body["lines"]
    ]
    return currency_of(record, org) == body["currency"] and priced_lines(record) == asked


async def confirm(salesforce: Salesforce, errand: Errand, order_id: str) -> Record:
    """Activate an order and return it; one that is active already is returned as it is."""
    shown = Query(source=ORDER, fields=order_fields(salesforce.org))
    record = await read(salesforce, errand, "confirmOrder", order_id)
    match status_of(record):
        case "confirmed":
            return record
        case "cancelled":
            raise Problem(CONFLICT, f"order {order_id} is cancelled")
    values = {"Status": salesforce.org.activated_status}
    return await salesforce.change(errand, "confirmOrder", order_id, values, shown)


async def read(salesforce: Salesforce, errand: Errand, operation: str, order_id: str) -> Record:
    """Return an order by its id; raises Problem."""
    query = Query(
        source=ORDER,
        fields=order_fields(salesforce.org),
        conditions=[equal("Id", order_id)],
        limit=1,
    )
    found = await salesforce.find(errand, operation, query)
    if found is None:
        raise Problem(NOT_FOUND, f"there is no order {order_id}")
    return found
