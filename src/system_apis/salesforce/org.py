"""What is particular to one org, as an administrator set it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SYSTEM = "salesforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Org:
    """One org. `currency` is that of an org without multiple currencies, else empty."""

    instance: str
    external_id_field: str = "Ext_Id__c"
    currency: str = ""
    country_codes: bool = True
    price_book: str = ""
    activated_status: str = "Activated"
    service_families: Sequence[str] = ("Services",)

    @property
    def currency_fields(self) -> Sequence[str]:
        """Return the field of a record's currency, which only some orgs have."""
        return () if self.currency else ("CurrencyIsoCode",)
