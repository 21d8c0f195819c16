"""The company that every system holds: the same customers and products, under ids of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

COMPANY_FILE = Path(__file__).parent / "company.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a customer is; `uses` are invoice, delivery or both."""

    street: str
    postal_code: str
    city: str
    country: str
    uses: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer; `code` is what it is called across all systems."""

    code: str
    name: str
    language: str
    email: str
    phone: str
    addresses: Sequence[Address]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product; `code` is its SKU. `unit` is u for a piece, or kg."""

    code: str
    name: str
    description: str
    type: str
    unit: str
    list_price: Decimal
    on_hand: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """Who sells, and to whom and what."""

    name: str
    currency: str
    country: str
    customers: Sequence[Customer]
    products: Sequence[Product]


def read_company(file: Path = COMPANY_FILE) -> Company:
    """Return the company of a file."""
    data = json.loads(file.read_bytes(), parse_float=Decimal)
    return Company(
        **data["company"],
        customers=[_customer(entry) for entry in data["customers"]],
        products=[_product(entry) for entry in data["products"]],
    )


def _customer(entry: dict[str, object]) -> Customer:
    names = ("code", "name", "language", "email", "phone")
    addresses = entry["addresses"]
    if not isinstance(addresses, list):
        raise TypeError("addresses is not a list")
    return Customer(
        **{name: str(entry[name]) for name in names},
        addresses=[Address(**address) for address in addresses],
    )


def _product(entry: dict[str, object]) -> Product:
    names = ("code", "name", "description", "type", "unit")
    on_hand = entry.get("on_hand")
    return Product(
        **{name: str(entry[name]) for name in names},
        list_price=Decimal(str(entry["list_price"])),
        on_hand=None if on_hand is None else Decimal(str(on_hand)),
    )
