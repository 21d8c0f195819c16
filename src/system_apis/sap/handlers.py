"""The operations of system/sap.v1."""

from __future__ import annotations

from portico.connectors.failures import as_problems
from portico.connectors.replies import put_reply
from portico.problems import CONFLICT, NOT_FOUND, Problem
from portico.server.call import Call, Reply
from system_apis.sap import customers, models, orders
from system_apis.sap.connector import SAP
from system_apis.sap.lists import Listing, moment, page
from system_apis.sap.mapping import (
    EXTERNAL_KEY,
    PARTNER,
    PARTNER_EXPAND,
    PRODUCT,
    PRODUCT_EXPAND,
    PRODUCT_LENGTH,
    customer,
    product,
)
from system_apis.sap.odata import Query, containing, equal, one_of, since, since_day
from system_apis.sap.order_mapping import (
    INVOICE,
    INVOICE_EXPAND,
    ORDER,
    ORDER_EXPAND,
    invoice,
    order,
)
from system_apis.sap.orders import Made
from system_apis.sap.s4 import BILLING_DOCUMENTS, BUSINESS_PARTNERS, PRODUCTS, SALES_ORDERS, SYSTEM
from system_apis.sap.values import key_of


async def list_customers(
    call: Call[SAP],
    *,
    limit: int,
    q: str | None = None,
    external_key: str | None = None,
    changed_since: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of business partners that are customers."""
    conditions = ["Customer ne ''"]
    if q is not None:
        name = containing(BUSINESS_PARTNERS, "BusinessPartnerName", q)
        term = containing(BUSINESS_PARTNERS, "SearchTerm1", q.upper()[:20])
        conditions.append(f"({name} or {term})")
    if external_key is not None:
        conditions.append(equal(EXTERNAL_KEY, external_key))
    if changed_since is not None:
        conditions.append(since_day("LastChangeDate", moment(changed_since).date()))
    listing = Listing(
        operation=call.operation_id,
        service=BUSINESS_PARTNERS,
        entity=PARTNER,
        key="BusinessPartner",
        expand=PARTNER_EXPAND,
        conditions=conditions,
        filters={"q": q, "externalKey": external_key, "changedSince": changed_since},
    )
    with as_problems():
        return await page(call.resources, call, listing, customer, limit=limit, cursor=cursor)


async def create_customer(call: Call[SAP], *, body: models.NewCustomer) -> Reply:
    """Create a customer, or return the one of its external key."""
    with as_problems():
        record, created = await customers.create(call.resources, call, call.operation_id, body)
        found = customer(record, call.resources.s4)
    return put_reply(found, f"customers/{found['id']}", created=created)


async def get_customer(call: Call[SAP], *, customer_id: str) -> models.Customer:
    """Return a customer by its number."""
    with as_problems():
        record = await customers.read(call.resources, call, call.operation_id, customer_id)
        return customer(record, call.resources.s4)


async def change_customer(
    call: Call[SAP], *, customer_id: str, body: models.CustomerChange
) -> models.Customer:
    """Change a customer."""
    with as_problems():
        record = await customers.change(call.resources, call, call.operation_id, customer_id, body)
        return customer(record, call.resources.s4)


async def list_products(
    call: Call[SAP],
    *,
    limit: int,
    skus: list[str] | None = None,
    changed_since: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of products."""
    conditions = [] if skus is None else [one_of(PRODUCT, skus)]
    if changed_since is not None:
        conditions.append(since(PRODUCTS, "LastChangeDateTime", moment(changed_since)))
    listing = Listing(
        operation=call.operation_id,
        service=PRODUCTS,
        entity=PRODUCT,
        key="Product",
        expand=PRODUCT_EXPAND,
        conditions=conditions,
        filters={"skus": ",".join(skus) if skus else None, "changedSince": changed_since},
        key_length=PRODUCT_LENGTH,
    )
    with as_problems():
        return await page(call.resources, call, listing, product, limit=limit, cursor=cursor)


async def get_product(call: Call[SAP], *, sku: str) -> models.Product:
    """Return a product by its number."""
    query = Query(entity=PRODUCT, conditions=[equal(PRODUCT, sku)], expand=PRODUCT_EXPAND)
    with as_problems():
        found = await call.resources.find(call, call.operation_id, PRODUCTS, query)
        if found is None:
            raise Problem(NOT_FOUND, f"there is no product {sku}")
        return product(found, call.resources.s4)


async def list_orders(
    call: Call[SAP],
    *,
    limit: int,
    customer_id: str | None = None,
    po_number: str | None = None,
    changed_since: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of sales orders, the newest first."""
    conditions = []
    if customer_id is not None:
        conditions.append(equal("SoldToParty", customer_id))
    if po_number is not None:
        conditions.append(equal("PurchaseOrderByCustomer", po_number))
    if changed_since is not None:
        conditions.append(since(SALES_ORDERS, "LastChangeDateTime", moment(changed_since)))
    filters = {"customerId": customer_id, "poNumber": po_number, "changedSince": changed_since}
    listing = Listing(
        operation=call.operation_id,
        service=SALES_ORDERS,
        entity=ORDER,
        key="SalesOrder",
        expand=ORDER_EXPAND,
        conditions=conditions,
        filters=filters,
        newest_first=True,
    )
    with as_problems():
        return await page(call.resources, call, listing, order, limit=limit, cursor=cursor)


async def create_order(call: Call[SAP], *, body: models.NewOrder) -> Reply:
    """Create a sales order, or return the one that has the same customer and reference.

    These name the order in SAP; the idempotency key has no place there and is not needed.
    """
    s4 = call.resources.s4
    with as_problems():
        made = await orders.create(call.resources, call, call.operation_id, body)
        if not made.created and not orders.is_same(made.record, body, s4):
            raise _taken(made, body)
        found = _shown(call, made)
    headers = [("Location", f"orders/{found['id']}")]
    return Reply(status=201 if made.created else 200, body=found, headers=headers)


async def get_order(call: Call[SAP], *, order_id: str) -> models.Order:
    """Return a sales order by its number."""
    with as_problems():
        record = await orders.read(call.resources, call, call.operation_id, order_id)
        return order(record, call.resources.s4)


async def change_order(call: Call[SAP], *, order_id: str, body: models.OrderChange) -> models.Order:
    """Change the day of delivery and the quantities of a sales order."""
    with as_problems():
        made = await orders.change(call.resources, call, call.operation_id, order_id, body)
        return _shown(call, made)


async def list_invoices(
    call: Call[SAP],
    *,
    limit: int,
    customer_id: str | None = None,
    changed_since: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of billing documents, the newest first."""
    conditions = [] if customer_id is None else [equal("SoldToParty", customer_id)]
    if changed_since is not None:
        conditions.append(since(BILLING_DOCUMENTS, "LastChangeDateTime", moment(changed_since)))
    listing = Listing(
        operation=call.operation_id,
        service=BILLING_DOCUMENTS,
        entity=INVOICE,
        key="BillingDocument",
        expand=INVOICE_EXPAND,
        conditions=conditions,
        filters={"customerId": customer_id, "changedSince": changed_since},
        newest_first=True,
    )
    with as_problems():
        return await page(call.resources, call, listing, invoice, limit=limit, cursor=cursor)


async def get_invoice(call: Call[SAP], *, invoice_id: str) -> models.Invoice:
    """Return a billing document by its number."""
    condition = equal("BillingDocument", invoice_id)
    query = Query(entity=INVOICE, conditions=[condition], expand=INVOICE_EXPAND)
    with as_problems():
        found = await call.resources.find(call, call.operation_id, BILLING_DOCUMENTS, query)
        if found is None:
            raise Problem(NOT_FOUND, f"there is no invoice {invoice_id}")
        return invoice(found, call.resources.s4)


def _shown(call: Call[SAP], made: Made) -> models.Order:
    """Return an order with what SAP said while it was written."""
    found = order(made.record, call.resources.s4)
    if made.messages:
        said = {**found.get("extensions", {}).get(SYSTEM, {}), "messages": list(made.messages)}
        found["extensions"] = {SYSTEM: said}
    return found


def _taken(made: Made, body: models.NewOrder) -> Problem:
    number = key_of(made.record, "SalesOrder")
    detail = f"{body['poNumber']} of {body['customerId']} is order {number}, with other lines"
    return Problem(CONFLICT, detail, extensions={"orderId": number})
