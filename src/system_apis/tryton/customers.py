"""Customers are written under their code, which Tryton keeps unique."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portico.connectors.failures import RefusedError
from portico.connectors.moments import from_text
from portico.problems import CONFLICT, INVALID_PARAMETER, Problem
from system_apis.tryton.mapping import CUSTOMER_FIELDS, CUSTOMER_MODEL
from system_apis.tryton.wire import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from system_apis.tryton import models
    from system_apis.tryton.connector import Exchange
    from system_apis.tryton.wire import Record

# A party knows nothing of when its parts were changed.
_PARTS = ("addresses", "contact_mechanisms", "identifiers")
_USES = {"billing": "invoice", "shipping": "delivery"}

Command = list[object]


def changed_since(text: str) -> list[object]:
    """Return the domain of parties that were changed at a moment or later."""
    try:
        moment = from_text(text)
    except (ValueError, OverflowError):
        # RFC 3339 has leap seconds, and offsets that lead out of the calendar.
        error = {"detail": "no such moment", "parameter": "changedSince", "in": "query"}
        detail = "1 parameter does not match the contract"
        raise Problem(INVALID_PARAMETER, detail, extensions={"errors": [error]}) from None
    places = ["", *(f"{part}." for part in _PARTS)]
    stamps = [f"{place}{name}" for place in places for name in ("create_date", "write_date")]
    return ["OR", *([stamp, ">=", moment] for stamp in stamps)]


async def put(erp: Exchange, code: str, body: models.NewCustomer) -> tuple[Record, bool]:
    """Return the customer of a code as the body has it, and whether it was created."""
    countries = await _countries(erp, body)
    party = await _find(erp, code)
    if party is None:
        created = await _create(erp, code, _values(body, None, countries))
        if created is not None:
            return created, True
        party = await _find(erp, code)
    if party is None or party.id == erp.company.party:
        raise Problem(CONFLICT, f"the code {code} is not that of a customer")
    values = _values(body, party, countries)
    return await erp.write(CUSTOMER_MODEL, party.id, values, CUSTOMER_FIELDS), False


async def _create(erp: Exchange, code: str, values: Mapping[str, object]) -> Record | None:
    """Return the new customer, None if another process was first."""
    if "name" not in values:
        raise RefusedError("a new customer needs a name", system=SYSTEM)
    try:
        return await erp.create(CUSTOMER_MODEL, {"code": code, **values}, CUSTOMER_FIELDS)
    except RefusedError:
        if await _find(erp, code) is None:
            raise
    return None


async def _find(erp: Exchange, code: str) -> Record | None:
    found = await erp.search(
        CUSTOMER_MODEL,
        fields=CUSTOMER_FIELDS,
        domain=[["code", "=", code]],
        order=[["active", "DESC"]],
        limit=1,
    )
    return found[0] if found else None


async def _countries(erp: Exchange, body: models.NewCustomer) -> Mapping[str, int]:
    """Return the numbers of the countries; raises RefusedError for one Tryton does not have."""
    wanted = sorted({place["country"] for place in body.get("addresses", []) if "country" in place})
    if not wanted:
        return {}
    found = await erp.search(
        "country.country", fields=["code"], domain=[["code", "in", wanted]], limit=len(wanted)
    )
    numbers = {country.text("code"): country.id for country in found}
    if unknown := sorted(set(wanted) - numbers.keys()):
        raise RefusedError(f"tryton has no country {', '.join(unknown)}", system=SYSTEM)
    return numbers


def _values(
    body: models.NewCustomer, party: Record | None, countries: Mapping[str, int]
) -> dict[str, object]:
    """Return what the body has, as changes of a party where there is one."""
    values: dict[str, object] = {}
    if "name" in body:
        values["name"] = body["name"]
    known = party.many("contact_mechanisms") if party else []
    contacts = []
    if "email" in body:
        contacts.append(_contact("email", body["email"], known))
    if "phone" in body:
        contacts.append(_contact("phone", body["phone"], known))
    if contacts:
        values["contact_mechanisms"] = contacts
    places = party.many("addresses") if party else []
    if addresses := [_place(place, places, countries) for place in body.get("addresses", [])]:
        values["addresses"] = addresses
    return values


def _contact(kind: str, value: str, known: Sequence[Record]) -> Command:
    number = next((each.id for each in known if each.text("type") == kind), None)
    if number is None:
        return ["create", [{"type": kind, "value": value}]]
    return ["write", [number], {"value": value}]


def _place(
    place: models.NewAddress, known: Sequence[Record], countries: Mapping[str, int]
) -> Command:
    use = _USES[place["role"]]
    values: dict[str, object] = {
        "street_unstructured": place.get("line1"),
        "city": place.get("city"),
        "postal_code": place.get("postalCode"),
        "country": countries[place["country"]] if "country" in place else None,
    }
    number = next((each.id for each in known if each.flag(use)), None)
    if number is None:
        return ["create", [{**values, use: True}]]
    return ["write", [number], values]
