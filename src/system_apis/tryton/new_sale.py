"""A new order in Tryton's terms: who and what it names is looked up, what is wrong is listed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from portico.problems import CONFLICT, Problem
from system_apis.tryton.units import unit_code
from system_apis.tryton.wire import Float, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from system_apis.tryton.connector import Exchange
    from system_apis.tryton.models import NewOrder, NewOrderLine

PARTY_FIELDS = (
    "customer_tax_rule.id",
    "customer_payment_term.id",
    "sale_invoice_method",
    "sale_shipment_method",
    "addresses.invoice",
    "addresses.delivery",
)
PRODUCT_FIELDS = (
    "code",
    "template.sale_uom.symbol",
    "template.account_category.customer_taxes_used.id",
)
# Room between two lines, for somebody who adds one in Tryton.
SEQUENCE_STEP = 10

Fault = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What Tryton knows of the things that an order names."""

    party: Record | None
    currency: Record | None
    products: Mapping[str, Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSale:
    """A sale ready to be created. `ruled` tells that a tax rule still has to be applied."""

    party: int
    reference: str
    values: Mapping[str, object]
    ruled: bool


async def prepare(erp: Exchange, body: NewOrder) -> NewSale:
    """Return the sale that an order asks for; raises Problem naming everything unknown."""
    looked = await _look_up(erp, body)
    faults = list(_faults(body, looked))
    if faults or looked.party is None or looked.currency is None:
        raise _conflict(faults)
    party, ruled = looked.party, looked.party.one("customer_tax_rule") is not None
    lines = [
        _line_values(position, line, looked.products[line["sku"]], ruled=ruled)
        for position, line in enumerate(body["lines"], start=1)
    ]
    values = {
        "company": erp.company.id,
        "currency": looked.currency.id,
        "reference": body["poNumber"],
        "lines": [["create", lines]],
        **_party_values(party),
    }
    if "requestedDelivery" in body:
        values["shipping_date"] = date.fromisoformat(body["requestedDelivery"])
    return NewSale(party=party.id, reference=body["poNumber"], values=values, ruled=ruled)


async def _look_up(erp: Exchange, body: NewOrder) -> Looked:
    skus = sorted({line["sku"] for line in body["lines"]})
    parties = await erp.search(
        "party.party", fields=PARTY_FIELDS, domain=[["code", "=", body["customerId"]]], limit=1
    )
    currencies = await erp.search(
        "currency.currency", fields=["id"], domain=[["code", "=", body["currency"]]], limit=1
    )
    products = await erp.search(
        "product.product",
        fields=PRODUCT_FIELDS,
        domain=[["code", "in", skus], ["template.salable", "=", True]],
        limit=len(skus),
    )
    return Looked(
        party=parties[0] if parties else None,
        currency=currencies[0] if currencies else None,
        products={product.text("code"): product for product in products},
    )


def _faults(body: NewOrder, looked: Looked) -> Iterator[Fault]:
    if looked.party is None:
        yield _fault(f"there is no customer {body['customerId']}", "#/customerId")
    elif not looked.party.many("addresses"):
        yield _fault(f"customer {body['customerId']} has no address", "#/customerId")
    if looked.currency is None:
        yield _fault(f"there is no currency {body['currency']}", "#/currency")
    for index, line in enumerate(body["lines"]):
        yield from _line_faults(line, looked.products.get(line["sku"]), body, f"#/lines/{index}")


def _line_faults(
    line: NewOrderLine, product: Record | None, body: NewOrder, place: str
) -> Iterator[Fault]:
    if line["unitPrice"]["currency"] != body["currency"]:
        detail = f"the price is not in {body['currency']}, the currency of the order"
        yield _fault(detail, f"{place}/unitPrice/currency")
    if product is None:
        yield _fault(f"there is no product {line['sku']}", f"{place}/sku")
        return
    own = unit_code(_sale_unit(product).text("symbol"))
    if line["quantity"].get("uom", own) != own:
        yield _fault(f"{line['sku']} is sold in {own}", f"{place}/quantity/uom")


def _fault(detail: str, pointer: str) -> Fault:
    return {"detail": detail, "pointer": pointer}


def _conflict(faults: Sequence[Fault]) -> Problem:
    detail = f"{len(faults)} places of the order cannot be taken over"
    if len(faults) == 1:
        detail = str(faults[0]["detail"])
    return Problem(CONFLICT, detail, extensions={"errors": list(faults)})


def _party_values(party: Record) -> dict[str, object]:
    """Return what Tryton's form fills in when a customer is chosen; its REST protocol does not."""
    values: dict[str, object] = {
        "party": party.id,
        "invoice_address": _address(party, "invoice"),
        "shipment_address": _address(party, "delivery"),
    }
    if term := party.one("customer_payment_term"):
        values["payment_term"] = term.id
    for name in ("invoice_method", "shipment_method"):
        if method := party.text(f"sale_{name}"):
            values[name] = method
    return values


def _address(party: Record, use: str) -> int:
    addresses = party.many("addresses")
    return next((item.id for item in addresses if item.flag(use)), addresses[0].id)


def _sale_unit(product: Record) -> Record:
    template = product.one("template") or product
    return template.one("sale_uom") or product


def _line_values(
    position: int, line: NewOrderLine, product: Record, *, ruled: bool
) -> dict[str, object]:
    # With a tax rule, Tryton works the taxes out after the line is there.
    taxes = [] if ruled else _taxes(product)
    return {
        "type": "line",
        "sequence": position * SEQUENCE_STEP,
        "product": product.id,
        "quantity": Float(Decimal(line["quantity"]["value"])),
        "unit": _sale_unit(product).id,
        "unit_price": Decimal(line["unitPrice"]["amount"]),
        "taxes": [["add", taxes]] if taxes else [],
    }


def _taxes(product: Record) -> list[int]:
    template = product.one("template")
    category = template.one("account_category") if template else None
    return [tax.id for tax in category.many("customer_taxes_used")] if category else []
