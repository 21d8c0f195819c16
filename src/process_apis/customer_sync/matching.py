"""Whether records of two systems are one customer. Never a guess: what is unclear people decide.

1. The same external key, or the same tax id, is the same customer.
2. So is the same name with an e-mail address in common.
3. The same name alone may be.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from process_apis.customer_sync.fields import tax_text

Likeness = Literal["same", "perhaps", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a record is recognised by."""

    keys: frozenset[str]
    tax_ids: frozenset[str]
    name: str
    emails: frozenset[str]

    @property
    def tokens(self) -> list[str]:
        """Return what any record like it has one of."""
        keys = [f"key {key}" for key in self.keys]
        return sorted([*keys, *(f"tax {each}" for each in self.tax_ids), f"name {self.name}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A customer that a record may be. `taken` tells that it has another record in the system."""

    customer_id: str
    likeness: Likeness
    taken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a record is: a known customer, or, without one and not `unclear`, a new one."""

    customer_id: str = ""
    unclear: Sequence[str] = ()


def identity_of(record: Mapping[str, Any]) -> Identity:
    """Return what a canonical customer of a system is recognised by."""
    ids = record.get("externalIds", [])
    keys = {str(each["id"]).lower() for each in ids if each.get("role") == "external-key"}
    if record["source"]["system"] == "tryton":
        # The ERP calls its customers by a code that people and integrations choose.
        keys.add(str(record["id"]).lower())
    emails = {str(record.get("email", "")).lower()}
    contacts = record.get("contacts", [])
    emails |= {str(each["value"]).lower() for each in contacts if each["kind"] == "email"}
    return Identity(
        keys=frozenset(keys),
        tax_ids=frozenset(tax_text(each) for each in record.get("taxIds", [])),
        name=name_key(str(record["name"])),
        emails=frozenset(emails - {""}),
    )


def name_key(name: str) -> str:
    """Return a name without what people write differently.

    >>> name_key("Café  Central, B.V.") == name_key("CAFE CENTRAL BV")
    True
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(letter for letter in plain if letter.isalnum() or letter.isspace())
    return " ".join(kept.split())


def likeness(one: Identity, other: Identity) -> Likeness:
    """Tell whether two records are one customer."""
    if one.keys & other.keys or one.tax_ids & other.tax_ids:
        return "same"
    if not one.name or one.name != other.name:
        return "other"
    return "same" if one.emails & other.emails else "perhaps"


def choose(candidates: Sequence[Candidate]) -> Match:
    """Return what a record is, of the customers that it may be."""
    known = sorted({each.customer_id for each in candidates if each.likeness != "other"})
    sure = {each.customer_id for each in candidates if each.likeness == "same"}
    taken = {each.customer_id for each in candidates if each.taken}
    if not known:
        return Match()
    if len(sure) == 1 and not sure & taken:
        return Match(customer_id=sure.pop())
    return Match(unclear=known)
