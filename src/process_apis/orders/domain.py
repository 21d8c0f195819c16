"""Rules of placing an order: prices, shortages, and what makes two orders the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from portico.problems import CONFLICT, SYSTEM_UNAVAILABLE, Problem
from portico.server.call import combine
from process_apis.orders.calls.catalog import Product
from process_apis.orders.calls.inventory import Availability
from process_apis.orders.calls.tryton import Customer
from process_apis.orders.models import OrderRequest, OrderRequestLine

STANDARD_LIST = "standard"
PIECE = "C62"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One reason not to take an order, and the place in the request that it is about."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedLine:
    """A line of an order with its product and what one unit of it costs."""

    product: Product
    quantity: Decimal
    unit_price: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What an order would be: all lines priced in one currency."""

    currency: str
    lines: tuple[PricedLine, ...]


def conflict(refusals: Sequence[Refusal]) -> Problem:
    """Return the problem that names every reason."""
    errors = [{"detail": refusal.detail, "pointer": refusal.pointer} for refusal in refusals]
    return Problem(CONFLICT, refusals[0].detail, extensions={"errors": errors})


def unknown_customer(customer_id: str) -> Problem:
    """Return the problem of an order for a customer that does not exist."""
    # A conflict rather than a 404: the address of the request does exist.
    detail = f"there is no customer {customer_id}"
    return conflict([Refusal(pointer="#/customerId", detail=detail)])


def taken_reference(reference: str) -> Problem:
    """Return the problem of an order whose reference the customer has used for another one."""
    detail = f"the customer has another order with the reference {reference}"
    return conflict([Refusal(pointer="#/poNumber", detail=detail)])


def spent_reference(reference: str) -> Problem:
    """Return the problem of an order that was refused too often to be tried again."""
    detail = f"an order with the reference {reference} was refused too often: use another one"
    return conflict([Refusal(pointer="#/poNumber", detail=detail)])


def own_reference(*parts: str) -> str:
    """Return the reference of an order whose buyer gave none, the same for the same parts.

    The parts are the caller, the customer and the key: callers choose their keys without knowing
    each other's.
    """
    return f"P-{combine(*parts)[:24].upper()}"


def quote(request: OrderRequest, customer: Customer, products: Mapping[str, Product]) -> Quote:
    """Return the request priced from the standard list; raises a conflict if that cannot be."""
    if customer["status"] == "inactive":
        detail = f"the customer {customer['id']} is not active"
        raise conflict([Refusal(pointer="#/customerId", detail=detail)])
    currency = _currency(request["lines"], customer, products)
    outcomes = [
        _price_line(f"#/lines/{index}", line, products.get(line["sku"]), currency)
        for index, line in enumerate(request["lines"])
    ]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    if refusals:
        raise conflict(refusals)
    lines = tuple(outcome for outcome in outcomes if isinstance(outcome, PricedLine))
    return Quote(currency=currency, lines=lines)


def _currency(
    lines: Iterable[OrderRequestLine], customer: Customer, products: Mapping[str, Product]
) -> str:
    """Return the customer's currency if a product is priced in it, else that of the first."""
    named = [products[line["sku"]] for line in lines if line["sku"] in products]
    offered = [currency for product in named for currency in _prices(product)]
    preferred = customer.get("currency", "")
    return preferred if preferred in offered or not offered else offered[0]


def _prices(product: Product) -> dict[str, str]:
    """Return what one unit costs on the standard list, by currency."""
    return {
        price["currency"]: price["amount"]
        for price in product.get("prices", ())
        if price["list"] == STANDARD_LIST
    }


def _price_line(
    place: str, line: OrderRequestLine, product: Product | None, currency: str
) -> PricedLine | Refusal:
    sku, quantity = line["sku"], Decimal(line["quantity"]["value"])
    if product is None:
        return Refusal(pointer=f"{place}/sku", detail=f"there is no product {sku} for sale")
    unit = product["uom"]
    if line["quantity"].get("uom", unit) != unit:
        detail = f"the product {sku} is sold in the unit {unit}"
        return Refusal(pointer=f"{place}/quantity/uom", detail=detail)
    if unit == PIECE and quantity % 1:
        detail = f"the product {sku} is sold in whole pieces"
        return Refusal(pointer=f"{place}/quantity/value", detail=detail)
    price = _prices(product).get(currency)
    if price is None:
        detail = f"the product {sku} has no price in {currency}"
        return Refusal(pointer=f"{place}/sku", detail=detail)
    return PricedLine(product=product, quantity=quantity, unit_price=price)


def shortages(quote: Quote, stock: Mapping[str, Availability]) -> list[Refusal]:
    """Return the lines that stock cannot fill at once; what is not stocked is never short.

    Lines of one product draw on the same stock, the first one first. Raises Problem where stock
    could not be read: a shortage cannot be ruled out then.
    """
    left = {sku: _available(found) for sku, found in stock.items()}
    short = []
    for index, line in enumerate(quote.lines):
        sku = line.product["sku"]
        available = left.get(sku)
        if available is None:
            continue
        if line.quantity > available:
            detail = f"of the product {sku} only {available:f} can be had now"
            short.append(Refusal(pointer=f"#/lines/{index}/quantity/value", detail=detail))
        left[sku] = max(available - line.quantity, Decimal())
    return short


def _available(found: Availability) -> Decimal | None:
    """Return what can be promised, None for what no stock is kept of."""
    if found["status"] == "unknown":
        raise Problem(SYSTEM_UNAVAILABLE, f"the stock of {found['sku']} cannot be read now")
    if found["status"] == "not_stocked" or "available" not in found:
        return None
    return max(Decimal(found["available"]["value"]), Decimal())
