"""Products and prices."""

from __future__ import annotations

from portico.sandbox.state import Record
from system_apis.stripe.sandbox.account import Account
from system_apis.stripe.sandbox.errors import invalid
from system_apis.stripe.sandbox.parameters import Parameters

_PRODUCT = ("id", "name", "description", "active", "default_price", "metadata", "type")
_PRICE = (
    *("product", "currency", "unit_amount", "recurring", "lookup_key", "transfer_lookup_key"),
    *("active", "nickname", "metadata"),
)
_INTERVALS = ("day", "week", "month", "year")


def create_product(account: Account, parameters: Parameters) -> Record:
    parameters.only(_PRODUCT)
    record_id = parameters.text("id")
    if record_id in account.table("product"):
        message = f"Product already exists with ID: {record_id}"
        raise invalid(message, "id", "resource_already_exists")
    record = account.new(
        "product",
        record_id,
        name=parameters.required("name"),
        active=parameters.flag("active", default=True),
        default_price=None,
        images=[],
        marketing_features=[],
        description=parameters.optional_text("description"),
        type=parameters.text("type", "service"),
        updated=account.now(),
    )
    record["metadata"] = parameters.metadata()
    return account.put(record, "product.created")


def update_product(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(_PRODUCT[1:-1])
    record = dict(account.find("product", record_id))
    if parameters.has("name"):
        record["name"] = parameters.required("name")
    if parameters.has("description"):
        record["description"] = parameters.optional_text("description")
    if parameters.has("default_price"):
        price = account.find("price", parameters.required("default_price"), "default_price", 400)
        record["default_price"] = price["id"]
    record["active"] = parameters.flag("active", default=record["active"])
    record["metadata"] = parameters.metadata(record["metadata"])
    record["updated"] = account.now()
    return account.put(record, "product.updated")


def create_price(account: Account, parameters: Parameters) -> Record:
    parameters.only(_PRICE)
    product = account.find("product", parameters.required("product"), "product", 400)
    amount = parameters.integer("unit_amount")
    if amount < 0:
        raise invalid("Invalid non-negative integer", "unit_amount", "parameter_invalid_integer")
    recurring = _recurring(parameters)
    record = account.new(
        "price",
        product=product["id"],
        currency=parameters.required("currency").lower(),
        unit_amount=amount,
        unit_amount_decimal=str(amount),
        billing_scheme="per_unit",
        type="recurring" if recurring else "one_time",
        recurring=recurring,
        active=parameters.flag("active", default=True),
        lookup_key=_lookup_key(account, parameters),
    )
    record["metadata"] = parameters.metadata()
    return account.put(record, "price.created")


def _recurring(parameters: Parameters) -> dict[str, object] | None:
    if not parameters.has("recurring"):
        return None
    group = parameters.group("recurring")
    interval = group.required("interval")
    if interval not in _INTERVALS:
        raise invalid(f"Invalid interval: {interval}", "recurring[interval]")
    count = group.integer("interval_count", 1)
    return {"interval": interval, "interval_count": count, "usage_type": "licensed"}


def _lookup_key(account: Account, parameters: Parameters) -> str | None:
    """Return the lookup key, taken from the price that has it if that was asked."""
    key = parameters.optional_text("lookup_key")
    for other in account.table("price").values():
        if key is None or other["lookup_key"] != key:
            continue
        if not parameters.flag("transfer_lookup_key", default=False):
            message = f"A price (`{other['id']}`) already uses that lookup key."
            raise invalid(message, "lookup_key", "resource_already_exists")
        other["lookup_key"] = None
    return key


def update_price(account: Account, record_id: str, parameters: Parameters) -> Record:
    parameters.only(("active", "lookup_key", "transfer_lookup_key", "metadata", "nickname"))
    record = dict(account.find("price", record_id))
    record["active"] = parameters.flag("active", default=record["active"])
    if not record["active"]:
        product = account.table("product")[record["product"]]
        if product["default_price"] == record_id:
            raise invalid("This price is the default price of its product", "active")
    if parameters.has("lookup_key"):
        record["lookup_key"] = _lookup_key(account, parameters)
    record["metadata"] = parameters.metadata(record["metadata"])
    return account.put(record, "price.updated")
