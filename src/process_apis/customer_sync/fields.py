"""The fields that are kept in step, which systems hold them, and how a system's record has them.

Pure. A field without a value is left out: an empty one says nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

System = Literal["salesforce", "tryton", "quickbooks"]
Field = Literal["name", "phone", "email", "billingAddress", "taxId"]
Values = Mapping[str, Any]

SYSTEMS: tuple[str, ...] = get_args(System)
FIELDS: tuple[str, ...] = get_args(Field)
# What the contracts of the systems can read and write. An account in the CRM has no address for
# mail, and only the ERP knows tax ids: there they are read, and compared when records are matched.
HOLDERS: Mapping[str, tuple[str, ...]] = {
    "name": SYSTEMS,
    "phone": SYSTEMS,
    "email": ("tryton", "quickbooks"),
    "billingAddress": SYSTEMS,
    "taxId": ("tryton",),
}
_ADDRESS_PARTS = ("line1", "city", "postalCode", "country")


def values_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a canonical customer as a system has it."""
    system = record["source"]["system"]
    found = {
        "name": " ".join(str(record["name"]).split()),
        "phone": str(record.get("phone", "")).strip(),
        "email": str(record.get("email", "")).strip().lower(),
        "billingAddress": _billing(record),
        "taxId": next((tax_text(each) for each in record.get("taxIds", [])), ""),
    }
    return {name: value for name, value in found.items() if value and system in HOLDERS[name]}


def tax_text(tax_id: Mapping[str, Any]) -> str:
    """Return a tax id without what people put in between, its country first.

    >>> tax_text({"scheme": "nl_vat", "value": "0012.34567.B01", "country": "NL"})
    'NL001234567B01'
    """
    text = "".join(letter for letter in str(tax_id["value"]).upper() if letter.isalnum())
    country = str(tax_id.get("country", ""))
    return text if text.startswith(country) else country + text


def _billing(record: Mapping[str, Any]) -> dict[str, str]:
    places = [place for place in record.get("addresses", []) if place.get("role") == "billing"]
    if not places:
        return {}
    return {name: str(places[0][name]) for name in _ADDRESS_PARTS if places[0].get(name)}


def body_of(values: Values) -> dict[str, Any]:
    """Return fields as the systems' contracts take them."""
    body = {name: values[name] for name in ("name", "phone", "email") if name in values}
    if "billingAddress" in values:
        body["addresses"] = [{"role": "billing", **values["billingAddress"]}]
    return body


def hash_of(values: Values) -> str:
    """Return a hash of fields, to know what we wrote when it comes back."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def merged_into(record: Mapping[str, Any]) -> str:
    """Return the record that one was merged into by people in its system, empty if it was not."""
    own = record.get("extensions", {}).get(record["source"]["system"], {})
    return str(own.get("masterRecordId") or own.get("replacedBy") or "")


def is_gone(record: Mapping[str, Any]) -> bool:
    """Tell whether a record was deleted, or set aside, which is how ERP and books delete one."""
    return record.get("deleted") is True or record["status"] == "inactive"
