"""Tryton's records as canonical ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system_apis.tryton.mapping import customer, decimal_text, product
from system_apis.tryton.sale_mapping import order
from system_apis.tryton.units import unit_code
from system_apis.tryton.wire import Record, WireError

CREATED = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
WRITTEN = datetime(2026, 11, 2, 9, 30, 0, 5, tzinfo=UTC)
CANONICAL_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?")
AMOUNTS = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14, places=4
)


@given(AMOUNTS, st.integers(0, 3))
def test_every_amount_is_a_canonical_decimal_of_the_same_value(
    amount: Decimal, digits: int
) -> None:
    text = decimal_text(amount, digits)

    assert CANONICAL_DECIMAL.fullmatch(text)
    assert Decimal(text) == amount
    assert len(text.partition(".")[2]) >= digits


@pytest.mark.parametrize(
    ("amount", "digits", "text"),
    [
        ("149.0000", 2, "149.00"),
        ("0.3333", 2, "0.3333"),
        ("1E+3", 0, "1000"),
        ("-0.00", 2, "0.00"),
        ("-0.0000001", 2, "0.00"),
        ("1.23456789", 2, "1.234568"),
    ],
)
def test_amounts_have_the_digits_of_their_currency_or_more(
    amount: str, digits: int, text: str
) -> None:
    assert decimal_text(Decimal(amount), digits) == text


def test_a_unit_of_ones_own_is_mutually_defined() -> None:
    assert unit_code("u") == "C62"
    assert unit_code("pallet of twelve") == "ZZ"


def a_party(**fields: Any) -> Record:
    return Record(
        {"id": 7, "code": "C-1", "name": "A", "active": 1, "create_date": CREATED} | fields
    )


def test_the_version_of_a_customer_grows_with_its_parts() -> None:
    plain = customer(a_party(), "erp")
    changed = customer(a_party(addresses=[{"id": 1, "write_date": WRITTEN}]), "erp")

    assert changed["version"] == plain["version"] + 5
    assert changed["updatedAt"] == "2026-11-02T09:30:00.000005Z"
    assert changed["createdAt"] == "2026-11-02T09:30:00Z"


def test_a_party_that_is_archived_is_an_inactive_customer() -> None:
    assert customer(a_party(active=0), "erp")["status"] == "inactive"


def test_tax_numbers_name_their_country() -> None:
    identifiers = [
        {"id": 1, "type": "eu_vat", "code": "NL001234567B01"},
        {"id": 2, "type": "be_vat", "code": "0403019261"},
        {"id": 3, "type": None, "code": "our own"},
    ]

    assert customer(a_party(identifiers=identifiers), "erp")["taxIds"] == [
        {"scheme": "eu_vat", "value": "NL001234567B01", "country": "NL"},
        {"scheme": "be_vat", "value": "0403019261", "country": "BE"},
    ]


def test_an_address_without_a_role_has_none_and_keeps_its_further_lines() -> None:
    address = {
        "id": 4,
        "street": "Building 7\nGate B\nDock 2",
        "attn": "Receiving",
        "country": {"id": 1, "code": "NL"},
        "subdivision": {"id": 2, "code": "NL-ZH"},
    }

    assert customer(a_party(addresses=[address]), "erp")["addresses"] == [
        {
            "id": "4",
            "attention": "Receiving",
            "line1": "Building 7",
            "line2": "Gate B, Dock 2",
            "region": "NL-ZH",
            "country": "NL",
        }
    ]


def test_the_first_email_and_phone_are_the_customers() -> None:
    values = [("phone", "1"), ("email", "a@x.example"), ("email", "b@x.example"), ("irc", "#x")]
    mechanisms = [
        {"id": number, "type": kind, "value": value} for number, (kind, value) in enumerate(values)
    ]

    found = customer(a_party(contact_mechanisms=mechanisms), "erp")

    assert (found["email"], found["phone"]) == ("a@x.example", "1")
    assert [contact["kind"] for contact in found["contacts"]] == [
        "phone",
        "email",
        "email",
        "other",
    ]


def a_product(**fields: Any) -> Record:
    template = {"id": 3, "name": "Grinder", "type": "goods", "sale_uom": {"id": 1, "symbol": "u"}}
    return Record(
        {"id": 3, "code": "G-1", "active": 1, "create_date": CREATED, "template": template} | fields
    )


def test_a_product_without_a_price_has_no_prices() -> None:
    assert "prices" not in product(a_product(), "erp", "EUR", 2)


def test_a_currency_without_minor_units_has_no_decimals() -> None:
    found = product(a_product(sale_price_uom=Decimal("1200.0000")), "erp", "JPY", 0)

    assert found["prices"] == [{"list": "standard", "amount": "1200", "currency": "JPY"}]


def test_an_article_number_is_the_gtin() -> None:
    identifiers = [{"id": 1, "type": "ean", "code": "4006381333931"}]

    assert product(a_product(identifiers=identifiers), "erp", "EUR", 2)["gtin"] == "4006381333931"


def a_sale(**fields: Any) -> Record:
    return Record(
        {
            "id": 17,
            "state": "processing",
            "invoice_state": "none",
            "shipment_state": "none",
            "create_date": CREATED,
            "party": {"id": 7, "code": "C-1"},
            "currency": {"id": 1, "code": "EUR", "digits": 2},
            "lines": [],
        }
        | fields
    )


def a_line(number: int, amount: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": "line",
        "sequence": number,
        "quantity": Decimal(2),
        "unit": {"id": 1, "symbol": "u"},
        "unit_price": Decimal(amount) / 2,
        "amount": Decimal(amount),
        "product": {"id": 3, "code": "G-1", "template": {"id": 3, "name": "Grinder"}},
    } | fields


@pytest.mark.parametrize(
    ("state", "invoice_state", "shipment_state", "status"),
    [
        ("draft", "none", "none", "draft"),
        ("quotation", "none", "none", "open"),
        ("confirmed", "none", "none", "confirmed"),
        ("processing", "pending", "waiting", "confirmed"),
        ("processing", "pending", "exception", "on_hold"),
        ("processing", "exception", "sent", "on_hold"),
        ("done", "paid", "sent", "completed"),
        ("cancelled", "none", "none", "cancelled"),
    ],
)
def test_each_state_of_a_sale_is_a_status(
    state: str, invoice_state: str, shipment_state: str, status: str
) -> None:
    sale = a_sale(state=state, invoice_state=invoice_state, shipment_state=shipment_state)

    assert order(sale, "erp")["status"] == status


def test_a_state_nobody_knows_is_refused() -> None:
    with pytest.raises(WireError):
        order(a_sale(state="teleported"), "erp")


def test_fulfilment_and_payment_are_told_apart() -> None:
    found = order(a_sale(shipment_state="partially shipped", invoice_state="partially paid"), "erp")

    assert (found["fulfilmentStatus"], found["paymentStatus"]) == ("partial", "partial")


def test_lines_are_numbered_in_their_sequence() -> None:
    lines = [a_line(9, "20.00"), a_line(4, "10.00", sequence=99), a_line(3, "5.00", sequence=1)]

    found = order(a_sale(lines=lines), "erp")

    assert [(line["lineNo"], line["netAmount"]["amount"]) for line in found["lines"]] == [
        (1, "5.00"),
        (2, "20.00"),
        (3, "10.00"),
    ]


def test_what_has_no_product_is_a_charge_and_the_sums_hold() -> None:
    lines = [
        a_line(1, "100.00"),
        a_line(2, "-10.00", product=None),
        a_line(3, "4.00", product=None),
        {"id": 4, "type": "comment", "sequence": 4},
    ]
    sale = a_sale(
        lines=lines,
        untaxed_amount=Decimal("94.00"),
        tax_amount=Decimal("19.74"),
        total_amount=Decimal("113.74"),
    )

    found = order(sale, "erp")

    assert [charge["kind"] for charge in found["charges"]] == ["discount", "handling"]
    assert {name: value["amount"] for name, value in found["totals"].items()} == {  # type: ignore[index]  # all members are money
        "net": "100.00",
        "tax": "19.74",
        "charges": "-6.00",
        "gross": "113.74",
    }


def test_only_what_left_for_the_customer_is_shipped() -> None:
    def move(state: str, quantity: str, to: str, symbol: str = "u") -> dict[str, Any]:
        return {
            "id": 1,
            "state": state,
            "quantity": Decimal(quantity),
            "unit": {"id": 1, "symbol": symbol},
            "to_location": {"id": 1, "type": to},
        }

    moves = [
        move("done", "1", "customer"),
        move("assigned", "1", "customer"),
        move("done", "1", "storage"),
        move("done", "500", "customer", "g"),
    ]

    (line,) = order(a_sale(lines=[a_line(1, "10.00", moves=moves)]), "erp")["lines"]

    assert line["shippedQty"] == {"value": "1", "uom": "C62"}


def test_what_is_on_a_cancelled_invoice_is_not_invoiced() -> None:
    billed = [
        {"id": 1, "quantity": Decimal(2), "invoice": {"id": 1, "state": "cancelled"}},
        {"id": 2, "quantity": Decimal(1), "invoice": {"id": 2, "state": "posted"}},
    ]

    (line,) = order(a_sale(lines=[a_line(1, "10.00", invoice_lines=billed)]), "erp")["lines"]

    assert line["invoicedQty"] == {"value": "1", "uom": "C62"}


def test_a_product_that_was_never_given_a_code_still_has_a_name() -> None:
    lines = [a_line(1, "10.00", product={"id": 3, "code": None, "template": None})]

    (line,) = order(a_sale(lines=lines), "erp")["lines"]

    assert line["sku"] == "product.product,3"
