"""Customers: found by their number or external key, created once, changed as they were read."""

from __future__ import annotations

from portico.connectors.failures import BrokenError
from portico.connectors.messages import Errand
from portico.connectors.record import Record
from portico.connectors.versions import change as change_at_version
from portico.crossref.creating import Found
from portico.problems import NOT_FOUND, Problem
from system_apis.sap import models
from system_apis.sap.batch import Change
from system_apis.sap.connector import SAP, after_writing
from system_apis.sap.mapping import (
    EXTERNAL_KEY,
    PARTNER,
    PARTNER_EXPAND,
    partner_changes,
    partner_values,
)
from system_apis.sap.odata import Query, entity_path, equal, etag_of
from system_apis.sap.s4 import BUSINESS_PARTNERS, SYSTEM
from system_apis.sap.values import key_of

PARTNERS = Query(entity=PARTNER, order="BusinessPartner", expand=PARTNER_EXPAND)


async def find(sap: SAP, errand: Errand, operation: str, condition: str) -> Record | None:
    """Return the business partner that satisfies a condition."""
    query = PARTNERS.only(condition)
    return await sap.find(errand, operation, BUSINESS_PARTNERS, query)


async def read(sap: SAP, errand: Errand, operation: str, customer_id: str) -> Record:
    """Return the business partner of a customer number; raises Problem."""
    found = await find(sap, errand, operation, equal("Customer", customer_id))
    if found is None:
        raise Problem(NOT_FOUND, f"there is no customer {customer_id}")
    return found


async def create(
    sap: SAP, errand: Errand, operation: str, body: models.NewCustomer
) -> tuple[Record, bool]:
    """Create a customer, or return the one of its external key, and whether this call made it."""
    key = body["externalKey"]

    async def look_up() -> Found[Record] | None:
        found = await find(sap, errand, operation, equal(EXTERNAL_KEY, key))
        return None if found is None else _found(found)

    async def create(_operation_id: str) -> Found[Record]:
        values = partner_values(body, sap.s4)
        made, _ = await sap.create(errand, operation, BUSINESS_PARTNERS, PARTNER, values)
        condition = equal("BusinessPartner", key_of(made, "BusinessPartner"))
        with after_writing():
            record = await find(sap, errand, operation, condition)
        if record is None or not record.text("Customer"):
            message = f"{SYSTEM} made a business partner without a customer number"
            raise BrokenError(message, system=SYSTEM, in_doubt=True)
        return _found(record, created=True)

    async def linked(number: str) -> Record | None:
        return await find(sap, errand, operation, equal("Customer", number))

    made = await sap.create_once(errand, PARTNER, key, look_up, create, linked)
    return made.record, made.created


def _found(record: Record, *, created: bool = False) -> Found[Record]:
    return Found(external_id=key_of(record, "Customer"), record=record, created=created)


async def change(
    sap: SAP, errand: Errand, operation: str, customer_id: str, body: models.CustomerChange
) -> Record:
    """Change a customer as it was read, and once more if somebody else was faster."""

    async def read_it() -> Record:
        return await read(sap, errand, operation, customer_id)

    async def write(partner: Record) -> Record:
        path = entity_path(PARTNER, BusinessPartner=key_of(partner, "BusinessPartner"))
        wanted = Change(path=path, values=partner_changes(body), etag=etag_of(partner))
        await sap.change(errand, operation, BUSINESS_PARTNERS, wanted)
        with after_writing():
            return await read_it()

    return await change_at_version(read_it, write)
