"""The company as its sales people keep it: accounts, people, products, prices, opportunities."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from portico.sandbox.company import Address, Company, Customer, Product
from system_apis.salesforce.sandbox.objects import EXTERNAL_ID, OBJECTS
from system_apis.salesforce.sandbox.store import Saving, Store
from system_apis.salesforce.sandbox.values import parse_instant

_SAVING = Saving(version="v68.0", allow_duplicates=True)
_UNITS = {"u": "Each", "kg": "Kilogram"}
DAYS_TO_CLOSE = 45
# What is hoped to be sold: whose code, what, at which stage, for how much.
_HOPES = (
    ("C-1001", "Grinders for the second counter", "Qualification", "1200.00"),
    ("C-1002", "House blend for a year", "Proposal/Price Quote", "9400.00"),
    ("C-1003", "Barista training for all branches", "Closed Won", "1440.00"),
)


def seed(store: Store, company: Company) -> None:
    """Fill an empty org with the company."""
    book = _insert(store, "Pricebook2", {"Name": "Standard Price Book", "IsActive": True})
    store.touch("Pricebook2", book, {"IsStandard": True})
    for product in company.products:
        _seed_product(store, product, book, company.currency)
    accounts = {each.code: _seed_customer(store, each, company) for each in company.customers}
    close = parse_instant(store.now()) + timedelta(days=DAYS_TO_CLOSE)
    for code, name, stage, amount in _HOPES:
        values = {
            "AccountId": accounts[code],
            "Name": name,
            "StageName": stage,
            "Amount": amount,
            "CloseDate": close.date().isoformat(),
            "CurrencyIsoCode": company.currency,
        }
        _insert(store, "Opportunity", values)


def _seed_product(store: Store, product: Product, book: str, currency: str) -> None:
    service = product.type == "service"
    values = {
        "Name": product.name,
        "ProductCode": product.code,
        "Description": product.description,
        "Family": "Services" if service else "Equipment",
        "QuantityUnitOfMeasure": _UNITS[product.unit],
        "IsActive": True,
        "CurrencyIsoCode": currency,
    }
    price = {
        "Pricebook2Id": book,
        "Product2Id": _insert(store, "Product2", values),
        "UnitPrice": str(product.list_price),
        "IsActive": True,
        "CurrencyIsoCode": currency,
    }
    _insert(store, "PricebookEntry", price)


def _seed_customer(store: Store, customer: Customer, company: Company) -> str:
    values: dict[str, object] = {
        "Name": customer.name,
        "AccountNumber": customer.code,
        EXTERNAL_ID: customer.code,
        "Type": "Customer",
        "Phone": customer.phone,
        "CurrencyIsoCode": company.currency,
    }
    for address in customer.addresses:
        for use, prefix in (("invoice", "Billing"), ("delivery", "Shipping")):
            if use in address.uses:
                values.update(_address(address, prefix))
    account = _insert(store, "Account", values)
    # Nobody's name is known, but where an order is confirmed to.
    person = {"AccountId": account, "LastName": "Purchasing", "Email": customer.email}
    _insert(store, "Contact", person)
    return account


def _address(address: Address, prefix: str) -> dict[str, object]:
    return {
        f"{prefix}Street": address.street,
        f"{prefix}PostalCode": address.postal_code,
        f"{prefix}City": address.city,
        f"{prefix}CountryCode": address.country,
    }


def _insert(store: Store, name: str, values: Mapping[str, object]) -> str:
    return store.insert(OBJECTS[name.lower()], values, _SAVING)
