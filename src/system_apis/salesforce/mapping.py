"""Salesforce's records as the canonical model has them, and the other way round.

Pure: what to read is named here, reading it is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

from portico.connectors.moments import timestamp, version_of
from portico.connectors.money import decimal_text, exponent_of
from portico.connectors.record import Record
from system_apis.salesforce import models
from system_apis.salesforce.org import SYSTEM, Org
from system_apis.salesforce.records import (
    children_of,
    day_of,
    id_of,
    modified,
    moment_of,
    number_of,
)
from system_apis.salesforce.soql import Query

Role = Literal["billing", "shipping"]

_ENVELOPE = ("Id", "IsDeleted", "CreatedDate", "SystemModstamp")
# A list of changes has what was deleted, and of each of its records the children that were.
NOT_DELETED = "IsDeleted = FALSE"
# A customer has a few people worth knowing; all of them are contacts of their own.
MAX_PEOPLE = 20
MAX_PRICES = 100
_COUNTRY = re.compile(r"[A-Z]{2}")
# What the canonical model has room for; an org's product code and price may be longer.
SKU = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_PRICE = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,4})?")
# Units of a product as an org is set up with; it may name them as it likes.
_UNITS = {"Each": "C62", "Piece": "C62", "Kilogram": "KGM", "Gram": "GRM", "Litre": "LTR"}
_UNITS |= {"Meter": "MTR", "Hour": "HUR", "Day": "DAY"}
# UN/ECE Recommendation 20 for units of one's own.
OWN_UNIT = "ZZ"


def address_fields(org: Org, prefix: str) -> Sequence[str]:
    """Return the fields of one of the addresses of a record."""
    codes = "Code" if org.country_codes else ""
    parts = ("Street", "City", "PostalCode", f"State{codes}", f"Country{codes}")
    return [prefix + part for part in parts]


def account_fields(org: Org) -> Sequence[str]:
    people = Query(
        source="Contacts",
        fields=["Id", "Name", "Email", "Phone", "MobilePhone"],
        conditions=[NOT_DELETED],
        order="Id",
        limit=MAX_PEOPLE,
    )
    return [
        *_ENVELOPE,
        org.external_id_field,
        *org.currency_fields,
        *("Name", "AccountNumber", "Type", "Phone", "Website", "ParentId", "MasterRecordId"),
        *address_fields(org, "Billing"),
        *address_fields(org, "Shipping"),
        people.nested(),
    ]


def contact_fields(org: Org) -> Sequence[str]:
    names = ("Name", "FirstName", "LastName", "Title", "Email", "Phone", "MobilePhone", "AccountId")
    return [*_ENVELOPE, org.external_id_field, *names, *address_fields(org, "Mailing")]


def product_fields(org: Org) -> Sequence[str]:
    prices = Query(
        source="PricebookEntries",
        fields=["UnitPrice", *org.currency_fields, "Pricebook2.Name", "Pricebook2.IsStandard"],
        conditions=["IsActive = TRUE", NOT_DELETED],
        order="Id",
        limit=MAX_PRICES,
    )
    names = ("ProductCode", "Name", "Description", "Family", "QuantityUnitOfMeasure", "IsActive")
    return [*_ENVELOPE, *names, prices.nested()]


def opportunity_fields(org: Org) -> Sequence[str]:
    names = ("Name", "AccountId", "StageName", "IsClosed", "IsWon", "Amount", "Probability")
    more = ("CloseDate", "NextStep", "LeadSource")
    return [*_ENVELOPE, org.external_id_field, *org.currency_fields, *names, *more]


def currency_of(record: Record, org: Org) -> str:
    return org.currency or record.text("CurrencyIsoCode")


def external_ids(record: Record, org: Org, entity: str) -> list[models.ExternalId]:
    """Return the id of a record, and its external key if it has one."""
    found: list[models.ExternalId] = [
        {"system": SYSTEM, "instance": org.instance, "entity": entity, "id": id_of(record)}
    ]
    if key := record.text(org.external_id_field):
        found.append({**found[0], "id": key[:200], "role": "external-key"})
    return found


def source_of(record: Record, org: Org) -> models.Source:
    return {"system": SYSTEM, "instance": org.instance, "version": timestamp(modified(record))}


def money(value: Decimal, currency: str) -> models.Money:
    return {"amount": decimal_text(value, exponent_of(currency)), "currency": currency}


def unit_code(unit: str) -> str:
    """Return the code of a unit by its name in the org; a product without one is sold by piece."""
    return _UNITS.get(unit, OWN_UNIT) if unit else "C62"


def extensions(values: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Return what Salesforce says beyond the canonical model, as far as it says anything."""
    return {SYSTEM: {name: value for name, value in values.items() if value}}


def customer(account: Record, org: Org) -> models.Customer:
    """Return the customer that an account is."""
    result = _party(account, org, "Account")
    result["kind"] = "organization"
    if account.text("Type") == "Prospect" and not account.flag("IsDeleted"):
        result["status"] = "prospect"
    if currency := currency_of(account, org):
        result["currency"] = currency
    if parent := account.text("ParentId"):
        result["parentId"] = parent
    roles: tuple[tuple[str, Role], ...] = (("Billing", "billing"), ("Shipping", "shipping"))
    found = [(address(account, org, prefix), role) for prefix, role in roles]
    result["addresses"] = [{**place, "role": role} for place, role in found if place]
    result["contacts"] = [
        entry for each in children_of(account, "Contacts") for entry in _ways_to(each)
    ]
    if website := account.text("Website"):
        result["contacts"].append({"kind": "website", "value": website})
    result["extensions"] = extensions(
        {
            "type": account.text("Type"),
            "accountNumber": account.text("AccountNumber"),
            # Of an account that was merged into another and deleted: the other one.
            "masterRecordId": account.text("MasterRecordId"),
        }
    )
    return result


def contact(person: Record, org: Org) -> models.Customer:
    """Return the customer that a person at an account is."""
    result = _party(person, org, "Contact")
    result["familyName"] = person.text("LastName")
    if given := person.text("FirstName"):
        result["givenName"] = given
    if email := person.text("Email"):
        result["email"] = email
    if account := person.text("AccountId"):
        result["parentId"] = account
    place = address(person, org, "Mailing")
    result["addresses"] = [place] if place else []
    result["contacts"] = _ways_to(person)
    result["extensions"] = extensions({"title": person.text("Title")})
    return result


def _party(record: Record, org: Org, entity: str) -> models.Customer:
    result: models.Customer = {
        "id": id_of(record),
        "type": "customer",
        "version": version_of(modified(record)),
        "externalIds": external_ids(record, org, entity),
        "createdAt": timestamp(moment_of(record, "CreatedDate") or modified(record)),
        "updatedAt": timestamp(modified(record)),
        "source": source_of(record, org),
        "kind": "person",
        "name": record.text("Name"),
        "status": "inactive" if record.flag("IsDeleted") else "active",
    }
    if phone := record.text("Phone"):
        result["phone"] = phone
    if record.flag("IsDeleted"):
        result["deleted"] = True
    return result


def _ways_to(person: Record) -> list[models.Contact]:
    found: list[models.Contact] = []
    if email := person.text("Email"):
        found.append({"kind": "email", "value": email})
    if phone := person.text("Phone"):
        found.append({"kind": "phone", "value": phone})
    if mobile := person.text("MobilePhone"):
        found.append({"kind": "mobile", "value": mobile})
    return found


def address(record: Record, org: Org, prefix: str) -> models.Address:
    """Return one of the addresses of a record, empty where it has none."""
    street, city, postal_code, state, country = address_fields(org, prefix)
    result: models.Address = {}
    line1, *rest = record.text(street).splitlines() or [""]
    if line1:
        result["line1"] = line1[:300]
    if rest:
        result["line2"] = ", ".join(rest)[:300]
    if found := record.text(city):
        result["city"] = found
    if found := record.text(postal_code):
        result["postalCode"] = found
    if found := record.text(state):
        result["region"] = found
    if _COUNTRY.fullmatch(found := record.text(country)):
        result["country"] = found
    return result


def product(record: Record, org: Org) -> models.Product | None:
    """Return the product that a record is, with what it costs in each price book.

    None for one whose code is no SKU: nobody could ask for it.
    """
    if not SKU.fullmatch(record.text("ProductCode")):
        return None
    sold = record.flag("IsActive") and not record.flag("IsDeleted")
    service = record.text("Family") in org.service_families
    result: models.Product = {
        "id": record.text("ProductCode"),
        "type": "product",
        "version": version_of(modified(record)),
        "externalIds": external_ids(record, org, "Product2"),
        "createdAt": timestamp(moment_of(record, "CreatedDate") or modified(record)),
        "updatedAt": timestamp(modified(record)),
        "source": source_of(record, org),
        "sku": record.text("ProductCode"),
        "name": record.text("Name"),
        "kind": "service" if service else "good",
        "status": "active" if sold else "inactive",
        "uom": unit_code(record.text("QuantityUnitOfMeasure")),
        "prices": _prices(record, org),
        "extensions": extensions({"family": record.text("Family")}),
    }
    if description := record.text("Description"):
        result["description"] = description
    if record.flag("IsDeleted"):
        result["deleted"] = True
    return result


def _prices(record: Record, org: Org) -> list[models.ListPrice]:
    found = [_price(entry, org) for entry in children_of(record, "PricebookEntries")]
    return [price for price in found if _PRICE.fullmatch(price["amount"])]


def _price(entry: Record, org: Org) -> models.ListPrice:
    book, currency = entry.optional_record("Pricebook2"), currency_of(entry, org)
    standard = book is None or book.flag("IsStandard")
    return {
        "list": "standard" if standard or book is None else book.text("Name")[:100],
        "amount": decimal_text(entry.decimal("UnitPrice"), exponent_of(currency)),
        "currency": currency,
    }


def opportunity(record: Record, org: Org) -> models.Opportunity:
    """Return the opportunity that a record is."""
    day = day_of(record, "CloseDate") or modified(record).date()
    result: models.Opportunity = {
        "id": id_of(record),
        "type": "opportunity",
        "version": version_of(modified(record)),
        "externalIds": external_ids(record, org, "Opportunity"),
        "createdAt": timestamp(moment_of(record, "CreatedDate") or modified(record)),
        "updatedAt": timestamp(modified(record)),
        "source": source_of(record, org),
        "name": record.text("Name"),
        "stage": record.text("StageName"),
        "status": _status(record),
        "closeDate": day.isoformat(),
        "extensions": extensions({"leadSource": record.text("LeadSource")}),
    }
    if account := record.text("AccountId"):
        result["customerId"] = account
    if (amount := number_of(record, "Amount")) is not None:
        result["amount"] = money(amount, currency_of(record, org))
    if (probability := number_of(record, "Probability")) is not None:
        result["probability"] = int(probability)
    if next_step := record.text("NextStep"):
        result["nextStep"] = next_step
    if record.flag("IsDeleted"):
        result["deleted"] = True
    return result


def _status(record: Record) -> Literal["open", "won", "lost"]:
    if record.flag("IsWon"):
        return "won"
    return "lost" if record.flag("IsClosed") else "open"


def account_values(body: models.NewCustomer, org: Org) -> dict[str, object]:
    """Return the fields of an account that is to be so; what the body leaves out is cleared."""
    places = {place["role"]: place for place in body.get("addresses", [])}
    return {
        "Name": body["name"],
        "Type": "Prospect" if body.get("status") == "prospect" else "Customer",
        "Phone": body.get("phone"),
        "ParentId": body.get("parentId"),
        **_address_values(org, "Billing", places.get("billing")),
        **_address_values(org, "Shipping", places.get("shipping")),
        **_currency_values(org, body.get("currency")),
    }


def account_changes(body: models.CustomerChange, org: Org) -> dict[str, object]:
    """Return the fields of an account that the body speaks of."""
    values: dict[str, object] = {}
    if "name" in body:
        values["Name"] = body["name"]
    if "phone" in body:
        values["Phone"] = body["phone"]
    for place in body.get("addresses", []):
        prefix = "Billing" if place["role"] == "billing" else "Shipping"
        values.update(_address_values(org, prefix, place))
    return values


def _address_values(org: Org, prefix: str, place: models.NewAddress | None) -> dict[str, object]:
    street, city, postal_code, state, country = address_fields(org, prefix)
    given: Mapping[str, object] = {**place} if place else {}
    return {
        street: given.get("line1"),
        city: given.get("city"),
        postal_code: given.get("postalCode"),
        state: None,
        country: given.get("country"),
    }


def _currency_values(org: Org, currency: str | None) -> dict[str, object]:
    # A record cannot be without a currency; the org's own stays where none is given.
    return {"CurrencyIsoCode": currency} if currency and not org.currency else {}


def contact_values(body: models.NewContact) -> dict[str, object]:
    """Return the fields of a contact that is to be so; what the body leaves out is cleared."""
    return {
        "LastName": body["familyName"],
        "FirstName": body.get("givenName"),
        "Email": body.get("email"),
        "Phone": body.get("phone"),
        "AccountId": body["customerId"],
    }


def opportunity_values(body: models.NewOpportunity, org: Org) -> dict[str, object]:
    """Return the fields of an opportunity that is to be so; what is left out is cleared."""
    amount = body.get("amount")
    return {
        "Name": body["name"],
        "AccountId": body["customerId"],
        "StageName": body["stage"],
        "CloseDate": body["closeDate"],
        "Amount": Decimal(amount["amount"]) if amount else None,
        "NextStep": body.get("nextStep"),
        **_currency_values(org, amount["currency"] if amount else None),
    }
