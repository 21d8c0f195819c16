"""What is billed for a subscription whose products have no price of a piece."""

from __future__ import annotations

from typing import Any

import pytest

from process_apis.order_to_cash import domain
from process_apis.order_to_cash.domain import Sale, UnbillableError

PRICE = {"amount": "27.40", "currency": "EUR"}


def sale(*items: dict[str, Any]) -> Sale:
    return Sale(subscription={"id": "sub_1", "items": list(items)}, invoice_id="in_1")


def line(amount: str, **more: str) -> dict[str, Any]:
    return {"netAmount": {"amount": amount, "currency": "EUR"}, **more}


def invoice(*lines: dict[str, Any]) -> dict[str, Any]:
    return {"id": "in_1", "lines": list(lines)}


TIERED = {"sku": "BEANS", "quantity": 3}


@pytest.mark.parametrize(
    ("item", "known"),
    [
        ({"sku": "BEANS", "quantity": 3, "unitPrice": PRICE}, True),
        (TIERED, False),
        ({"sku": "METERED", "quantity": 0, "unitPrice": PRICE}, False),
    ],
)
def test_a_price_is_of_a_piece_and_of_so_many(item: dict[str, Any], known: bool) -> None:
    assert sale(item).has_prices is known


def test_lines_of_the_invoice_are_billed_for_what_they_come_to() -> None:
    found = domain.books_invoice(
        sale(TIERED, {"sku": "CUPS", "quantity": 1}),
        invoice(
            line("82.21", description="3 \u00d7 Ethiopia\nwashed"),
            line("0.00", description="tier that nobody reached"),
            line("4.00", sku="CUPS"),
            line("1.00", sku="unknown"),
        ),
        "7",
    )

    assert found["currency"] == "EUR"
    assert [(each["sku"], each["unitPrice"]["amount"]) for each in found["lines"]] == [
        ("BEANS", "82.21"),
        ("CUPS", "4.00"),
        ("BEANS", "1.00"),
    ]
    assert all(each["quantity"] == {"value": "1"} for each in found["lines"])
    assert found["lines"][0]["description"] == "3 \u00d7 Ethiopia washed"
    assert "description" not in found["lines"][1]


@pytest.mark.parametrize(
    ("items", "billed", "cause"),
    [
        ([], None, "is of no product"),
        ([TIERED], None, "no invoice in Stripe yet"),
        ([TIERED], invoice(), "bills nothing"),
        ([TIERED], invoice(line("0.00")), "bills nothing"),
        ([TIERED], invoice(line("5.00"), line("-1.00")), "gives money back"),
    ],
)
def test_what_cannot_be_billed_says_why(
    items: list[dict[str, Any]], billed: dict[str, Any] | None, cause: str
) -> None:
    with pytest.raises(UnbillableError, match=cause) as error:
        domain.books_invoice(sale(*items), billed, "7")

    assert "sub_1" in str(error.value)
