"""Stripe's customers and products as canonical ones, and the other way round. Pure."""

from __future__ import annotations

from typing import Literal

from portico.connectors.moments import from_epoch, timestamp
from portico.connectors.record import Record
from system_apis.stripe.amounts import from_stripe, to_stripe
from system_apis.stripe.connector import KEY, Values
from system_apis.stripe.dialect import SYSTEM
from system_apis.stripe.models import (
    Address,
    Customer,
    ExternalId,
    ListPrice,
    NewAddress,
    NewCustomer,
    NewProduct,
    Product,
)

SKU = "sku"


def external_ids(entity: str, record: Record, account: str) -> list[ExternalId]:
    return [{"system": SYSTEM, "instance": account, "entity": entity, "id": record.text("id")}]


def created_at(record: Record) -> str:
    return timestamp(from_epoch(record.integer("created")))


def extensions(record: Record, **more: str) -> dict[str, dict[str, object]]:
    """Return what Stripe says beyond the model: the external key, other metadata, and `more`."""
    metadata = {
        str(name): value for name, value in record.record("metadata").values.items() if name != KEY
    }
    own: dict[str, object] = {name: value for name, value in more.items() if value}
    if key := record.record("metadata").text(KEY):
        own["externalKey"] = key
    if metadata:
        own["metadata"] = metadata
    return {SYSTEM: own} if own else {}


def customer(record: Record, account: str) -> Customer:
    """Return the canonical customer."""
    # Nothing is required of a customer in Stripe, not even a name.
    name = record.text("name") or record.text("email") or record.text("id")
    result: Customer = {
        "id": record.text("id"),
        "type": "customer",
        "externalIds": external_ids("customer", record, account),
        "createdAt": created_at(record),
        "source": {"system": SYSTEM, "instance": account},
        # Stripe does not tell a person from an organization.
        "kind": "organization",
        "name": name,
        "status": "active",
        "addresses": _addresses(record),
        "extensions": extensions(record),
    }
    if email := record.text("email"):
        result["email"] = email
    if phone := record.text("phone"):
        result["phone"] = phone
    if currency := record.text("currency"):
        result["currency"] = currency.upper()
    if locales := record.values.get("preferred_locales"):
        result["language"] = str(locales[0]) if isinstance(locales, list) else ""
    return result


def _addresses(record: Record) -> list[Address]:
    found = []
    if billing := record.optional_record("address"):
        found.append(_address(billing, "billing"))
    if shipping := record.optional_record("shipping"):
        found.append(_address(shipping.record("address"), "shipping"))
    return found


def _address(record: Record, role: Literal["billing", "shipping"]) -> Address:
    result: Address = {"role": role}
    if line1 := record.text("line1"):
        result["line1"] = line1
    if line2 := record.text("line2"):
        result["line2"] = line2
    if city := record.text("city"):
        result["city"] = city
    if region := record.text("state"):
        result["region"] = region
    if postal_code := record.text("postal_code"):
        result["postalCode"] = postal_code
    if country := record.text("country"):
        result["country"] = country
    return result


def customer_values(body: NewCustomer) -> Values:
    """Return a customer as Stripe's form has it; what the body leaves out is left out."""
    addresses = {address["role"]: address for address in body.get("addresses", [])}
    billing, shipping = addresses.get("billing"), addresses.get("shipping")
    language = body.get("language")
    return {
        "name": body["name"],
        "email": body.get("email"),
        "phone": body.get("phone"),
        "preferred_locales": [language] if language else None,
        "address": _address_values(billing) if billing else None,
        "shipping": {"name": body["name"], "address": _address_values(shipping)}
        if shipping
        else None,
    }


def _address_values(address: NewAddress) -> Values:
    return {
        "line1": address.get("line1"),
        "city": address.get("city"),
        "postal_code": address.get("postalCode"),
        "country": address.get("country"),
    }


def product(record: Record, account: str) -> Product:
    """Return the canonical product; its default price is expanded."""
    price = record.record("default_price")
    sku = record.record("metadata").text(SKU) or price.text("lookup_key") or record.text("id")
    result: Product = {
        "id": sku,
        "type": "product",
        "externalIds": external_ids("product", record, account),
        "createdAt": created_at(record),
        "updatedAt": timestamp(from_epoch(record.integer("updated"))),
        "source": {"system": SYSTEM, "instance": account},
        "sku": sku,
        "name": record.text("name"),
        "kind": "good" if record.text("type") != "service" else "service",
        "status": "active" if record.flag("active") else "inactive",
        "uom": "C62",
    }
    if description := record.text("description"):
        result["description"] = description
    if (units := price.optional_integer("unit_amount")) is not None:
        each = from_stripe(units, price.text("currency"))
        offer: ListPrice = {
            "list": "standard",
            "amount": each["amount"],
            "currency": each["currency"],
        }
        result["prices"] = [offer]
    result["extensions"] = extensions(
        record, priceId=price.text("id"), billedEvery=price.record("recurring").text("interval")
    )
    return result


def product_values(body: NewProduct, sku: str) -> Values:
    return {
        "name": body["name"],
        "description": body.get("description"),
        "metadata": {SKU: sku},
        "active": True,
    }


def price_values(body: NewProduct, sku: str) -> Values:
    """Return a price that takes over the lookup key, and so the offer, from the one before."""
    wanted, every = body["unitPrice"], body.get("billedEvery")
    return {
        "currency": wanted["currency"].lower(),
        "unit_amount": to_stripe(wanted["amount"], wanted["currency"]),
        "recurring": {"interval": every} if every else None,
        "lookup_key": sku,
        "transfer_lookup_key": True,
    }
