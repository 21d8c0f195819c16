"""SAP's business partners and products as canonical customers and products.

Pure: what to read is named here, reading it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from portico.connectors.moments import timestamp, version_of
from portico.connectors.money import decimal_text, exponent_of
from portico.connectors.record import Record
from system_apis.sap import models
from system_apis.sap.odata import expanded
from system_apis.sap.s4 import S4, SYSTEM
from system_apis.sap.values import day_of, key_of, moment_of, unit_code

PARTNER, PRODUCT = "A_BusinessPartner", "Product"
PARTNER_EXPAND = (
    "to_Customer",
    "to_BusinessPartnerAddress/to_EmailAddress",
    "to_BusinessPartnerAddress/to_PhoneNumber",
)
PRODUCT_EXPAND = ("_ProductDescription",)
PRODUCT_LENGTH = 40
EXTERNAL_KEY = "BusinessPartnerIDByExtSystem"
_SERVICE_TYPE = "SERV"
_ORGANIZATION = "2"
_COUNTRY_LENGTH = 2
MAX_CONTACTS = 100  # of a canonical customer


def external_id(s4: S4, entity: str, name: str, role: str = "") -> models.ExternalId:
    found: models.ExternalId = {
        "system": SYSTEM,
        "instance": s4.instance,
        "entity": entity,
        "id": name,
    }
    if role:
        found["role"] = role
    return found


def source_of(s4: S4, changed: datetime | None) -> models.Source:
    source: models.Source = {"system": SYSTEM, "instance": s4.instance}
    if changed is not None:
        source["version"] = timestamp(changed)
    return source


def money(value: Decimal, currency: str) -> models.Money:
    return {"amount": decimal_text(value, exponent_of(currency)), "currency": currency}


def extensions(values: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return what SAP says beyond the canonical model, as far as it says anything."""
    return {SYSTEM: {name: value for name, value in values.items() if value}}


def customer(partner: Record, s4: S4) -> models.Customer:
    """Return the customer that a business partner is, named by its customer number."""
    number, created = key_of(partner, "Customer"), day_of(partner, "CreationDate")
    blocked = partner.flag("BusinessPartnerIsBlocked") or partner.flag("IsMarkedForArchiving")
    organization = partner.text("BusinessPartnerCategory") == _ORGANIZATION
    result: models.Customer = {
        "id": number,
        "type": "customer",
        "externalIds": [
            external_id(s4, "A_Customer", number),
            external_id(s4, PARTNER, key_of(partner, "BusinessPartner")),
        ],
        "source": source_of(s4, moment_of(partner, "LastChangeDate")),
        "kind": "organization" if organization else "person",
        "name": partner.text("BusinessPartnerName") or partner.text("BusinessPartnerFullName"),
        "status": "inactive" if blocked else "active",
        "addresses": [_address(each) for each in expanded(partner, "to_BusinessPartnerAddress")],
        "contacts": _contacts(partner),
        "extensions": extensions({"searchTerm": partner.text("SearchTerm1")}),
    }
    if key := partner.text(EXTERNAL_KEY):
        result["externalIds"].append(external_id(s4, PARTNER, key, "external-key"))
    if created is not None:
        result["createdAt"] = f"{created.isoformat()}T00:00:00Z"
    if language := partner.text("CorrespondenceLanguage"):
        result["language"] = language.lower()
    _add_person(result, partner)
    _add_first_contacts(result)
    return result


def _add_person(result: models.Customer, partner: Record) -> None:
    if result["kind"] == "person" and (given := partner.text("FirstName")):
        result["givenName"] = given
    if result["kind"] == "person" and (family := partner.text("LastName")):
        result["familyName"] = family
    if vat := partner.record("to_Customer").text("VATRegistration"):
        result["taxIds"] = [{"scheme": "eu_vat", "value": vat}]


def _contacts(partner: Record) -> list[models.Contact]:
    found: list[models.Contact] = []
    for address in expanded(partner, "to_BusinessPartnerAddress"):
        emails = [each.text("EmailAddress") for each in expanded(address, "to_EmailAddress")]
        phones = [each.text("PhoneNumber") for each in expanded(address, "to_PhoneNumber")]
        found += [{"kind": "email", "value": email} for email in emails if email]
        found += [{"kind": "phone", "value": phone} for phone in phones if phone]
    return found[:MAX_CONTACTS]


def _add_first_contacts(result: models.Customer) -> None:
    for contact in reversed(result.get("contacts", [])):
        if contact["kind"] == "email":
            result["email"] = contact["value"]
        else:
            result["phone"] = contact["value"]


def _address(record: Record) -> models.Address:
    street = " ".join(filter(None, (record.text("StreetName"), record.text("HouseNumber"))))
    result: models.Address = {"id": record.text("AddressID")}
    if street:
        result["line1"] = street
    if city := record.text("CityName"):
        result["city"] = city
    if postal_code := record.text("PostalCode"):
        result["postalCode"] = postal_code
    if region := record.text("Region"):
        result["region"] = region
    if len(country := record.text("Country")) == _COUNTRY_LENGTH:
        result["country"] = country
    return result


def partner_values(body: models.NewCustomer, s4: S4) -> dict[str, object]:
    """Return a business partner that is a customer, with all that is created with it."""
    address = body.get("address", {})
    place: dict[str, object] = {
        "Country": address.get("country", ""),
        "StreetName": address.get("line1", ""),
        "CityName": address.get("city", ""),
        "PostalCode": address.get("postalCode", ""),
    }
    if email := body.get("email"):
        place["to_EmailAddress"] = {"results": [{"EmailAddress": email}]}
    if phone := body.get("phone"):
        place["to_PhoneNumber"] = {"results": [{"PhoneNumber": phone}]}
    return {
        "BusinessPartnerCategory": _ORGANIZATION,
        "OrganizationBPName1": body["name"],
        EXTERNAL_KEY: body["externalKey"],
        "CorrespondenceLanguage": body.get("language", s4.language).upper(),
        "to_BusinessPartnerRole": {
            "results": [{"BusinessPartnerRole": role} for role in s4.customer_roles]
        },
        "to_BusinessPartnerAddress": {"results": [place]},
    }


def partner_changes(body: models.CustomerChange) -> dict[str, object]:
    """Return what is to be changed of a business partner."""
    changes: dict[str, object] = {}
    if "name" in body:
        changes["OrganizationBPName1"] = body["name"]
    if "language" in body:
        changes["CorrespondenceLanguage"] = body["language"].upper()
    if "status" in body:
        changes["BusinessPartnerIsBlocked"] = body["status"] == "inactive"
    return changes


def product(record: Record, s4: S4) -> models.Product:
    """Return the product that an entity is; what it costs is a matter of conditions."""
    changed, name = moment_of(record, "LastChangeDateTime"), record.text("Product")
    texts = {
        each.text("Language"): each.text("ProductDescription")
        for each in record.records("_ProductDescription")
    }
    result: models.Product = {
        "id": name,
        "type": "product",
        "externalIds": [external_id(s4, PRODUCT, name)],
        "source": source_of(s4, changed),
        "sku": name,
        "name": texts.get(s4.language) or next(iter(texts.values()), name),
        "kind": "service" if record.text("ProductType") == _SERVICE_TYPE else "good",
        "status": "inactive" if record.flag("IsMarkedForDeletion") else "active",
        "uom": unit_code(record.text("BaseUnit")),
        "extensions": extensions(
            {"productType": record.text("ProductType"), "baseUnit": record.text("BaseUnit")}
        ),
    }
    if changed is not None:
        result["version"] = version_of(changed)
        result["updatedAt"] = timestamp(changed)
    if created := day_of(record, "CreationDate"):
        result["createdAt"] = f"{created.isoformat()}T00:00:00Z"
    return result
