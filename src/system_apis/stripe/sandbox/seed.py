"""The company's customers and products as Stripe holds them."""

from __future__ import annotations

from portico.connectors.money import exponent_of, to_minor_units
from portico.sandbox.company import Address, Company, Customer, Product
from system_apis.stripe.sandbox.account import Account
from system_apis.stripe.sandbox.catalogue import create_price, create_product, update_product
from system_apis.stripe.sandbox.customers import create_customer
from system_apis.stripe.sandbox.parameters import Parameters


def seed(account: Account, company: Company) -> None:
    """Make the records; their keys are the codes that the company gives them."""
    for customer in company.customers:
        create_customer(account, Parameters(_customer(customer)))
    for product in company.products:
        _create_product(account, product, company.currency)


def _customer(customer: Customer) -> dict[str, object]:
    billing = next(found for found in customer.addresses if "invoice" in found.uses)
    shipping = next(found for found in customer.addresses if "delivery" in found.uses)
    return {
        "name": customer.name,
        "email": customer.email,
        "phone": customer.phone,
        "preferred_locales": {"0": customer.language},
        "address": _address(billing),
        "shipping": {"name": customer.name, "address": _address(shipping)},
        "metadata": {"external_key": customer.code},
    }


def _address(address: Address) -> dict[str, str]:
    return {
        "line1": address.street,
        "postal_code": address.postal_code,
        "city": address.city,
        "country": address.country,
    }


def _create_product(account: Account, product: Product, currency: str) -> None:
    values = {
        "name": product.name,
        "description": product.description,
        "type": "service" if product.type == "service" else "good",
        "metadata": {"sku": product.code},
    }
    made = create_product(account, Parameters(values))
    amount = to_minor_units(product.list_price, exponent_of(currency))
    price = create_price(
        account,
        Parameters(
            {
                "product": made["id"],
                "currency": currency,
                "unit_amount": str(amount),
                "lookup_key": product.code,
            }
        ),
    )
    update_product(account, made["id"], Parameters({"default_price": price["id"]}))
