"""What is for sale; nothing here knows where products come from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from process_apis.catalog.calls.tryton import ListPrice, Product

STANDARD_LIST = "standard"
# What requests may name a product by, here and in every API above.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def for_sale(products: Iterable[Product], day: date) -> list[Product]:
    """Return the products that can be ordered on a day, with the prices of that day."""
    offered: list[Product] = []
    for product in products:
        prices = [price for price in product.get("prices", ()) if _holds(price, day)]
        if _can_be_ordered(product, prices):
            offered.append({**product, "prices": prices})
    return offered


def _can_be_ordered(product: Product, prices: Iterable[ListPrice]) -> bool:
    if product["status"] != "active" or not _NAME.fullmatch(product["sku"]):
        return False
    return any(price["list"] == STANDARD_LIST for price in prices)


def _holds(price: ListPrice, day: date) -> bool:
    # Dates in the form of ISO 8601 compare as text.
    first, last = price.get("validFrom", ""), price.get("validTo", "9999-12-31")
    return first <= day.isoformat() <= last
