"""Records as their systems give them, and as the profile has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from process_apis.customer_360.models import (
    Customer,
    Invoice,
    Opportunity,
    Order,
    Payment,
    Subscription,
)

R = TypeVar("R", Opportunity, Order, Invoice, Subscription, Payment)


def stripped(customer: Customer) -> Customer:
    """Return a customer without what only its system understands."""
    mapped = customer.copy()
    mapped.pop("extensions", None)
    return mapped


def person(customer_id: str, contact: Customer) -> Customer:
    """Return someone at a customer, who is named by its code."""
    mapped = stripped(contact)
    mapped["parentId"] = customer_id
    return mapped


def of_customer(customer_id: str, records: Iterable[R]) -> list[R]:
    """Return records of a customer, who is named by its code, without what only systems know."""
    mapped = [record.copy() for record in records]
    for record in mapped:
        record.pop("extensions", None)
        record["customerId"] = customer_id
    return mapped
