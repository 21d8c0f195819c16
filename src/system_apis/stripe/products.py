"""Products by SKU: Stripe names them by ids, and finds a price by its lookup key."""

from __future__ import annotations

from portico.connectors.failures import DuplicateError, MissingError, RefusedError
from portico.connectors.record import Record
from portico.server.call import Call
from system_apis.stripe.connector import Stripe
from system_apis.stripe.dialect import SYSTEM
from system_apis.stripe.mapping import price_values, product_values
from system_apis.stripe.models import NewProduct

WITH_PRICE = [("expand[]", "default_price")]


async def find_price(stripe: Stripe, sku: str, call: Call[Stripe]) -> Record:
    """Return the price that is offered for a SKU; raises RefusedError if there is none."""
    query = [("lookup_keys[]", sku), ("active", "true"), ("limit", "1")]
    found = (await stripe.get("prices", call, query)).records("data")
    if not found:
        raise RefusedError(f"there is no price of {sku}", system=SYSTEM)
    return found[0]


async def find_product(stripe: Stripe, sku: str, call: Call[Stripe]) -> Record:
    """Return a product by the lookup key of its price, else by its id; raises MissingError."""
    try:
        product_id = (await find_price(stripe, sku, call)).id_of("product")
    except RefusedError:
        product_id = sku
    product = await stripe.get(f"products/{product_id}", call, WITH_PRICE)
    if product.flag("deleted"):
        raise MissingError(f"there is no product {sku}", system=SYSTEM)
    return product


async def change_product(
    stripe: Stripe, sku: str, body: NewProduct, call: Call[Stripe]
) -> tuple[Record, bool]:
    """Return the product of a SKU as it is to be, and whether it was created now.

    A product may be given its id, so the SKU itself keeps it from being made twice.
    """
    values, created = product_values(body, sku), False
    try:
        product = await find_product(stripe, sku, call)
    except MissingError:
        try:
            product = await stripe.post("products", {"id": sku, **values}, call)
            created = True
        except DuplicateError:
            product = await stripe.get(f"products/{sku}", call)
    product_id = product.text("id")
    price_id = await _price_of(stripe, product, sku, body, call)
    changed = {**values, "default_price": price_id}
    await stripe.post(f"products/{product_id}", changed, call)
    return await stripe.get(f"products/{product_id}", call, WITH_PRICE), created


async def _price_of(
    stripe: Stripe, product: Record, sku: str, body: NewProduct, call: Call[Stripe]
) -> str:
    """Return the price that is offered, another one if the amount is another."""
    wanted = price_values(body, sku)
    query = [("lookup_keys[]", sku), ("active", "true"), ("limit", "1")]
    found = (await stripe.get("prices", call, query)).records("data")
    if found and _offers(found[0], product, wanted["currency"], wanted["unit_amount"], body):
        return found[0].text("id")
    made = await stripe.post("prices", {"product": product.text("id"), **wanted}, call)
    for price in found:
        # The default price of a product cannot be retired before there is another.
        await stripe.post(
            f"products/{product.text('id')}", {"default_price": made.text("id")}, call
        )
        await stripe.post(f"prices/{price.text('id')}", {"active": False}, call)
    return made.text("id")


def _offers(
    price: Record, product: Record, currency: object, units: object, body: NewProduct
) -> bool:
    return (
        price.id_of("product") == product.text("id")
        and price.text("currency") == currency
        and price.optional_integer("unit_amount") == units
        and price.record("recurring").text("interval") == body.get("billedEvery", "")
    )
