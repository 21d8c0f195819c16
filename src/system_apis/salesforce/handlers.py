"""The operations of system/salesforce.v1."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from portico.connectors.failures import ConflictError, as_problems
from portico.connectors.moments import version_of
from portico.connectors.record import Record
from portico.connectors.replies import put_reply
from portico.problems import CONFLICT, NOT_FOUND, Problem
from portico.server.call import Call, Reply
from system_apis.salesforce import models, orders
from system_apis.salesforce.connector import Salesforce, after_writing
from system_apis.salesforce.lists import Listing, page
from system_apis.salesforce.mapping import (
    account_changes,
    account_fields,
    account_values,
    contact,
    contact_fields,
    contact_values,
    customer,
    opportunity,
    opportunity_fields,
    opportunity_values,
    product,
    product_fields,
)
from system_apis.salesforce.order_mapping import ORDER, order, order_fields
from system_apis.salesforce.org import SYSTEM, Org
from system_apis.salesforce.records import id_of, modified
from system_apis.salesforce.soql import Query, containing, equal, one_of

ACCOUNT, CONTACT, PRODUCT, OPPORTUNITY = "Account", "Contact", "Product2", "Opportunity"


async def list_customers(
    call: Call[Salesforce],
    *,
    limit: int,
    q: str | None = None,
    external_key: str | None = None,
    changed_since: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of accounts."""
    org = call.resources.org
    conditions = []
    if q is not None:
        conditions.append(containing(q, "Name", "AccountNumber"))
    if external_key is not None:
        conditions.append(equal(org.external_id_field, external_key))
    listing = Listing(
        operation=call.operation_id,
        source=ACCOUNT,
        fields=account_fields(org),
        conditions=conditions,
        filters={"q": q, "externalKey": external_key},
    )
    return await _page(call, listing, customer, limit, cursor, changed_since)


async def get_customer(call: Call[Salesforce], *, customer_id: str) -> models.Customer:
    """Return an account by its id."""
    org = call.resources.org
    condition = equal("Id", customer_id)
    with as_problems():
        return customer(await _get(call, ACCOUNT, account_fields(org), condition, customer_id), org)


async def change_customer(
    call: Call[Salesforce], *, customer_id: str, body: models.CustomerChange
) -> models.Customer:
    """Change what the body has of an account."""
    org = call.resources.org
    shown = Query(source=ACCOUNT, fields=account_fields(org))
    with as_problems():
        changed = await call.resources.change(
            call, call.operation_id, customer_id, account_changes(body, org), shown
        )
        return customer(changed, org)


async def put_customer(
    call: Call[Salesforce], *, external_key: str, body: models.NewCustomer
) -> Reply:
    """Create or change the account of an external key."""
    org = call.resources.org
    return await _put(
        call,
        external_key,
        account_values(body, org),
        Query(source=ACCOUNT, fields=account_fields(org)),
        customer,
        "customers",
    )


async def list_contacts(
    call: Call[Salesforce],
    *,
    limit: int,
    customer_id: str | None = None,
    changed_since: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of people at accounts."""
    listing = Listing(
        operation=call.operation_id,
        source=CONTACT,
        fields=contact_fields(call.resources.org),
        conditions=_at_customer(customer_id),
        filters={"customerId": customer_id},
    )
    return await _page(call, listing, contact, limit, cursor, changed_since)


async def get_contact(call: Call[Salesforce], *, contact_id: str) -> models.Customer:
    """Return a person by the id of the contact."""
    org = call.resources.org
    condition = equal("Id", contact_id)
    with as_problems():
        return contact(await _get(call, CONTACT, contact_fields(org), condition, contact_id), org)


async def put_contact(
    call: Call[Salesforce], *, external_key: str, body: models.NewContact
) -> Reply:
    """Create or change the contact of an external key."""
    shown = Query(source=CONTACT, fields=contact_fields(call.resources.org))
    return await _put(call, external_key, contact_values(body), shown, contact, "contacts")


async def list_products(
    call: Call[Salesforce],
    *,
    limit: int,
    q: str | None = None,
    skus: list[str] | None = None,
    changed_since: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of products, of which those not sold are only told as changes."""
    conditions = ["ProductCode != NULL"]
    if changed_since is None:
        conditions.append("IsActive = TRUE")
    if q is not None:
        conditions.append(containing(q, "Name", "ProductCode"))
    if skus is not None:
        conditions.append(one_of("ProductCode", skus))
    listing = Listing(
        operation=call.operation_id,
        source=PRODUCT,
        fields=product_fields(call.resources.org),
        conditions=conditions,
        filters={"q": q, "skus": ",".join(skus) if skus else None},
    )
    return await _page(call, listing, product, limit, cursor, changed_since)


async def get_product(call: Call[Salesforce], *, sku: str) -> models.Product:
    """Return an active product by its code."""
    org = call.resources.org
    condition = f"{equal('ProductCode', sku)} AND IsActive = TRUE"
    with as_problems():
        found = product(await _get(call, PRODUCT, product_fields(org), condition, sku), org)
    if found is None:
        raise Problem(NOT_FOUND, f"there is no product {sku}")
    return found


async def list_orders(
    call: Call[Salesforce],
    *,
    limit: int,
    customer_id: str | None = None,
    po_number: str | None = None,
    changed_since: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of orders, the newest first."""
    conditions = _at_customer(customer_id)
    if po_number is not None:
        conditions.append(equal("PoNumber", po_number))
    listing = Listing(
        operation=call.operation_id,
        source=ORDER,
        fields=order_fields(call.resources.org),
        conditions=conditions,
        filters={"customerId": customer_id, "poNumber": po_number},
        newest_first=True,
    )
    return await _page(call, listing, order, limit, cursor, changed_since)


async def create_order(call: Call[Salesforce], *, body: models.NewOrder) -> Reply:
    """Create a draft order, or return the one that has the same customer and reference.

    These name the order in the org; the idempotency key has no place there and is not needed.
    """
    org = call.resources.org
    with as_problems():
        record, made = await orders.create(call.resources, call, call.operation_id, body)
        if not made and not orders.is_same(record, body, org):
            raise _taken(record, body)
        headers = [("Location", f"orders/{id_of(record)}")]
        return Reply(status=201 if made else 200, body=order(record, org), headers=headers)


async def get_order(call: Call[Salesforce], *, order_id: str) -> models.Order:
    """Return an order by its id."""
    with as_problems():
        record = await orders.read(call.resources, call, call.operation_id, order_id)
        return order(record, call.resources.org)


async def confirm_order(call: Call[Salesforce], *, order_id: str) -> models.Order:
    """Activate an order, as often as asked."""
    with as_problems():
        record = await orders.confirm(call.resources, call, order_id)
        return order(record, call.resources.org)


async def list_opportunities(
    call: Call[Salesforce],
    *,
    limit: int,
    customer_id: str | None = None,
    stage: str | None = None,
    changed_since: str | None = None,
    cursor: str | None = None,
) -> Reply:
    """Return one page of opportunities."""
    conditions = _at_customer(customer_id)
    if stage is not None:
        conditions.append(equal("StageName", stage))
    listing = Listing(
        operation=call.operation_id,
        source=OPPORTUNITY,
        fields=opportunity_fields(call.resources.org),
        conditions=conditions,
        filters={"customerId": customer_id, "stage": stage},
    )
    return await _page(call, listing, opportunity, limit, cursor, changed_since)


async def get_opportunity(call: Call[Salesforce], *, opportunity_id: str) -> models.Opportunity:
    """Return an opportunity by its id."""
    with as_problems():
        return opportunity(await _get_opportunity(call, opportunity_id), call.resources.org)


async def put_opportunity(
    call: Call[Salesforce], *, external_key: str, body: models.NewOpportunity
) -> Reply:
    """Create or change the opportunity of an external key."""
    org = call.resources.org
    return await _put(
        call,
        external_key,
        opportunity_values(body, org),
        Query(source=OPPORTUNITY, fields=opportunity_fields(org)),
        opportunity,
        "opportunities",
    )


async def move_opportunity(
    call: Call[Salesforce], *, opportunity_id: str, body: models.StageMove
) -> models.Opportunity:
    """Set the stage of an opportunity, if asked so only of one that nobody changed."""
    org, values = call.resources.org, {"StageName": body["stage"]}
    if "version" not in body:
        shown = Query(source=OPPORTUNITY, fields=opportunity_fields(org))
        with as_problems():
            moved = await call.resources.change(
                call, call.operation_id, opportunity_id, values, shown
            )
            return opportunity(moved, org)
    with as_problems():
        record = await _get_opportunity(call, opportunity_id)
        if version_of(modified(record)) != body["version"]:
            raise ConflictError("the opportunity was changed since", system=SYSTEM)
        await call.resources.change_unmodified(
            call,
            call.operation_id,
            opportunity_id,
            values,
            entity=OPPORTUNITY,
            since=modified(record),
        )
        with after_writing():
            return opportunity(await _get_opportunity(call, opportunity_id), org)


async def _page(
    call: Call[Salesforce],
    listing: Listing,
    shown: Callable[[Record, Org], object],
    limit: int,
    cursor: str | None,
    changed_since: str | None,
) -> Reply:
    with as_problems():
        return await page(
            call.resources,
            call,
            listing,
            shown,
            limit=limit,
            cursor=cursor,
            changed_since=changed_since,
        )


async def _get(
    call: Call[Salesforce], source: str, fields: Sequence[str], condition: str, name: str
) -> Record:
    query = Query(source=source, fields=fields, conditions=[condition], order="Id", limit=1)
    found = await call.resources.find(call, call.operation_id, query)
    if found is None:
        raise Problem(NOT_FOUND, f"there is no {source} {name}")
    return found


async def _get_opportunity(call: Call[Salesforce], opportunity_id: str) -> Record:
    fields = opportunity_fields(call.resources.org)
    return await _get(call, OPPORTUNITY, fields, equal("Id", opportunity_id), opportunity_id)


async def _put(
    call: Call[Salesforce],
    key: str,
    values: dict[str, object],
    query: Query,
    shown: Callable[[Record, Org], object],
    path: str,
) -> Reply:
    with as_problems():
        record, created = await call.resources.put(call, call.operation_id, key, values, query)
        body = shown(record, call.resources.org)
    return put_reply(body, f"{path}/{id_of(record)}", created=created)


def _at_customer(customer_id: str | None) -> list[str]:
    return [] if customer_id is None else [equal("AccountId", customer_id)]


def _taken(record: Record, body: models.NewOrder) -> Problem:
    detail = (
        f"{body['poNumber']} of {body['customerId']} is order {id_of(record)}, with other lines"
    )
    return Problem(CONFLICT, detail, extensions={"orderId": id_of(record)})
