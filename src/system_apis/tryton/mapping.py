"""Tryton's parties and products as canonical customers and products.

Pure: what to read is named here, reading it is not.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Literal

from system_apis.tryton.units import unit_code
from system_apis.tryton.wire import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from system_apis.tryton import models
    from system_apis.tryton.wire import Record

Role = Literal["billing", "shipping"]
ContactKind = Literal["email", "phone", "mobile", "fax", "website", "other"]

CUSTOMER_MODEL = "party.party"
PRODUCT_MODEL = "product.product"

ADDRESS_FIELDS = ("attn", "street", "postal_code", "city", "subdivision.code", "country.code")
CUSTOMER_FIELDS = (
    "code",
    "name",
    "active",
    "create_date",
    "write_date",
    "lang.code",
    "customer_currency.code",
    "customer_tax_rule.name",
    "replaced_by.code",
    "customer_payment_term.name",
    "customer_payment_term.lines.relativedeltas.days",
    "identifiers.type",
    "identifiers.code",
    "contact_mechanisms.type",
    "contact_mechanisms.value",
    "contact_mechanisms.write_date",
    "addresses.invoice",
    "addresses.delivery",
    "addresses.write_date",
    *(f"addresses.{name}" for name in ADDRESS_FIELDS),
)
PRODUCT_FIELDS = (
    "code",
    "active",
    "description",
    "sale_price_uom",
    "create_date",
    "write_date",
    "identifiers.type",
    "identifiers.code",
    "template.name",
    "template.type",
    "template.salable",
    "template.consumable",
    "template.sale_uom.symbol",
    "template.account_category.name",
    "template.account_category.customer_taxes_used.id",
    "template.write_date",
)

_CONTACT_KINDS: dict[str, ContactKind] = {
    "email": "email",
    "phone": "phone",
    "mobile": "mobile",
    "fax": "fax",
    "website": "website",
}
# The finest scale of the canonical amounts and quantities.
_FINEST = Decimal("0.000001")


def decimal_text(value: Decimal, digits: int = 0) -> str:
    """Return a decimal as text with at least `digits` decimals and no other trailing zeros.

    >>> decimal_text(Decimal("149.0000"), 2), decimal_text(Decimal("2.0"))
    ('149.00', '2')
    """
    rounded = value.quantize(_FINEST, ROUND_HALF_UP).normalize()
    exponent = rounded.as_tuple().exponent
    scale = max(digits, -exponent if isinstance(exponent, int) else 0)
    text = f"{rounded:.{scale}f}"
    return text.lstrip("-") if not rounded else text


def money(value: Decimal, currency: str, digits: int) -> models.Money:
    """Return an amount in a currency with so many digits."""
    return {"amount": decimal_text(value, digits), "currency": currency}


def quantity(value: Decimal, symbol: str) -> models.Quantity:
    """Return a quantity in a unit of Tryton."""
    return {"value": decimal_text(value), "uom": unit_code(symbol)}


def timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 has it.

    >>> timestamp(datetime(2026, 11, 2, 9, 30, tzinfo=UTC))
    '2026-11-02T09:30:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def sku_of(product: Record) -> str:
    """Return the name of a product, even of one that was never given a code."""
    return product.text("code") or f"{PRODUCT_MODEL},{product.id}"


def customer_name_of(party: Record) -> str:
    """Return the name of a customer, even of one that was never given a code."""
    return party.text("code") or f"{CUSTOMER_MODEL},{party.id}"


def external_ids(model: str, record: Record, instance: str) -> list[models.ExternalId]:
    return [{"system": SYSTEM, "instance": instance, "entity": model, "id": str(record.id)}]


def last_written(records: Iterable[Record | None]) -> datetime:
    """Return when any of these records was last written; a record knows nothing of its parts."""
    moments = [
        moment
        for record in records
        if record is not None
        for moment in (record.moment("create_date"), record.moment("write_date"))
        if moment is not None
    ]
    return max(moments, default=datetime.fromtimestamp(0, UTC))


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def source_of(instance: str, written: datetime) -> models.Source:
    return {"system": SYSTEM, "instance": instance, "version": timestamp(written)}


def customer(party: Record, instance: str) -> models.Customer:
    """Return the customer that a party is."""
    parts = party.many("addresses") + party.many("contact_mechanisms")
    written = last_written([party, *parts])
    result: models.Customer = {
        "id": customer_name_of(party),
        "type": "customer",
        "version": microseconds(written),
        "externalIds": external_ids(CUSTOMER_MODEL, party, instance),
        "createdAt": timestamp(party.moment("create_date") or written),
        "updatedAt": timestamp(written),
        "source": source_of(instance, written),
        # Tryton does not tell a person from an organization.
        "kind": "organization",
        "name": party.text("name"),
        "status": "active" if party.flag("active") else "inactive",
        "addresses": [entry for item in party.many("addresses") for entry in _addresses(item)],
        "contacts": [_contact(item) for item in party.many("contact_mechanisms")],
        "taxIds": [_tax_id(item) for item in party.many("identifiers") if item.text("type")],
    }
    _add_preferences(result, party)
    _add_first_contacts(result)
    return result


def _add_preferences(result: models.Customer, party: Record) -> None:
    if currency := party.one("customer_currency"):
        result["currency"] = currency.text("code")
    if language := party.one("lang"):
        result["language"] = language.text("code").replace("_", "-")
    if term := party.one("customer_payment_term"):
        result["paymentTerms"] = {"code": term.text("name"), "days": _days(term)}
    own: dict[str, object] = {}
    if rule := party.one("customer_tax_rule"):
        own["taxRule"] = rule.text("name")
    if other := party.one("replaced_by"):
        own["replacedBy"] = customer_name_of(other)
    if own:
        result["extensions"] = {SYSTEM: own}


def _add_first_contacts(result: models.Customer) -> None:
    for contact in reversed(result.get("contacts", [])):
        if contact["kind"] == "email":
            result["email"] = contact["value"]
        elif contact["kind"] == "phone":
            result["phone"] = contact["value"]


def _days(term: Record) -> int:
    """Return the days until the last part of a payment is due."""
    due = [
        sum(int(delta.number("days")) for delta in line.many("relativedeltas"))
        for line in term.many("lines")
    ]
    return max(due, default=0)


def _contact(mechanism: Record) -> models.Contact:
    kind = _CONTACT_KINDS.get(mechanism.text("type"), "other")
    return {"kind": kind, "value": mechanism.text("value")}


def _tax_id(identifier: Record) -> models.TaxId:
    scheme, value = identifier.text("type"), identifier.text("code")
    result: models.TaxId = {"scheme": scheme, "value": value}
    # Types are named nl_vat; a number of the European scheme begins with its country.
    country = (value if scheme == "eu_vat" else scheme)[:2].upper()
    if country.isascii() and country.isalpha():
        result["country"] = country
    return result


def _addresses(record: Record) -> list[models.Address]:
    """Return an address once for each of its roles; Tryton lets one address have several."""
    flags: list[tuple[str, Role]] = [("invoice", "billing"), ("delivery", "shipping")]
    roles = [role for name, role in flags if record.flag(name)]
    return [address(record, role) for role in roles] or [address(record, None)]


def address(record: Record, role: Role | None) -> models.Address:
    """Return an address, in a role where it has one."""
    line1, _, rest = record.text("street").partition("\n")
    country, region = record.one("country"), record.one("subdivision")
    result: models.Address = {"id": str(record.id)}
    if role is not None:
        result["role"] = role
    if attention := record.text("attn"):
        result["attention"] = attention
    if line1:
        result["line1"] = line1.strip()
    if rest.strip():
        result["line2"] = ", ".join(rest.split("\n"))
    if city := record.text("city"):
        result["city"] = city
    if postal_code := record.text("postal_code"):
        result["postalCode"] = postal_code
    if region is not None:
        result["region"] = region.text("code")
    if country is not None:
        result["country"] = country.text("code")
    return result


def product(record: Record, instance: str, currency: str, digits: int) -> models.Product:
    """Return the product that a variant is."""
    template = record.one("template") or record
    unit, written = template.one("sale_uom"), last_written([record, template])
    result: models.Product = {
        "id": sku_of(record),
        "type": "product",
        "version": microseconds(written),
        "externalIds": external_ids(PRODUCT_MODEL, record, instance),
        "createdAt": timestamp(record.moment("create_date") or written),
        "updatedAt": timestamp(written),
        "source": source_of(instance, written),
        "sku": sku_of(record),
        "name": template.text("name"),
        "kind": "service" if template.text("type") == "service" else "good",
        "status": "active" if record.flag("active") else "inactive",
        "uom": unit_code(unit.text("symbol") if unit else ""),
        "trackInventory": keeps_stock(template),
    }
    _add_offer(result, record, currency, digits)
    return result


def _add_offer(result: models.Product, record: Record, currency: str, digits: int) -> None:
    price = record.optional_number("sale_price_uom")
    if price is not None:
        amount = decimal_text(price, digits)
        result["prices"] = [{"list": "standard", "amount": amount, "currency": currency}]
    if description := record.text("description"):
        result["description"] = description
    template = record.one("template")
    if template and (category := template.one("account_category")):
        result["taxCategory"] = category.text("name")
    for identifier in record.many("identifiers"):
        if identifier.text("type") == "ean":
            result["gtin"] = identifier.text("code")


def keeps_stock(template: Record) -> bool:
    """Tell whether Tryton counts a product."""
    return template.text("type") != "service" and not template.flag("consumable")
