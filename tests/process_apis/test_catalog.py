"""catalog.v1: only what can be ordered today is offered."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from portico.problems import NOT_FOUND, Problem
from process_apis.catalog import domain
from process_apis.catalog.calls.tryton import ListPrice, Product
from tests.support.tiers import API, contracts, response_example

TODAY = date(2026, 11, 2)


def product(**changes: Any) -> Product:
    contract = contracts()["system/tryton.v1"]
    found: Product = response_example(contract, contract.operations["getProduct"])
    return {**found, **changes}  # type: ignore[typeddict-item]  # tests change single members


def price(**changes: Any) -> ListPrice:
    standard: ListPrice = {"list": "standard", "amount": "149.00", "currency": "EUR"}
    return {**standard, **changes}  # type: ignore[typeddict-item]  # tests change single members


def test_an_active_product_with_a_standard_price_is_for_sale() -> None:
    assert domain.for_sale([product()], TODAY) == [product()]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "inactive"},
        {"sku": "not a name"},
        {"status": "discontinued"},
        {"prices": []},
        {"prices": [price(list="wholesale")]},
        {"prices": [price(validFrom="2026-11-03")]},
        {"prices": [price(validTo="2026-11-01")]},
    ],
)
def test_what_cannot_be_ordered_today_is_left_out(changes: dict[str, Any]) -> None:
    assert domain.for_sale([product(**changes)], TODAY) == []


def test_only_the_prices_of_the_day_are_shown() -> None:
    old, new = price(validTo="2026-11-01"), price(amount="155.00", validFrom="2026-11-02")
    last = price(amount="150.00", validTo="2026-11-02")

    (offered,) = domain.for_sale([product(prices=[old, new, last])], TODAY)

    assert offered["prices"] == [new, last]


def test_a_product_without_a_list_of_prices_is_not_for_sale() -> None:
    unpriced = product()
    del unpriced["prices"]

    assert domain.for_sale([unpriced], TODAY) == []


@pytest.mark.anyio
async def test_a_page_passes_filters_on_and_keeps_the_cursor() -> None:
    page = {"items": [product(), product(status="inactive")], "nextCursor": "abc"}
    api = API("process/catalog.v1", listProducts=page)

    reply = await api.call("listProducts", q="grinder", skus=["GRINDER-M1"], limit=10, cursor="xyz")

    assert reply.body == {"items": [product()], "nextCursor": "abc"}
    link = '<?q=grinder&skus=GRINDER-M1&limit=10&cursor=abc>; rel="next"'
    assert list(reply.headers) == [("Link", link)]
    assert api.canned.only("listProducts").arguments == {
        "q": "grinder",
        "skus": ["GRINDER-M1"],
        "limit": 10,
        "cursor": "xyz",
    }


@pytest.mark.anyio
async def test_a_product_for_sale_is_returned_as_the_system_has_it() -> None:
    reply = await API("process/catalog.v1").call("getProduct", sku="GRINDER-M1")

    assert reply.body == product()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer", [product(status="inactive"), Problem(NOT_FOUND, "there is no product X")]
)
async def test_a_product_not_for_sale_is_not_found(answer: Any) -> None:
    api = API("process/catalog.v1", getProduct=answer)

    with pytest.raises(Problem) as raised:
        await api.call("getProduct", sku="GRINDER-M1")

    assert raised.value.status == 404
