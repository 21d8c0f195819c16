"""orders.v1: what is written to the ERP, what is refused, and what a repetition finds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.problems import CONFLICT, NOT_FOUND, SYSTEM_UNAVAILABLE, Problem
from portico.server.call import Caller
from process_apis.orders import domain, mapping
from process_apis.orders.calls.catalog import Product
from process_apis.orders.calls.inventory import Availability
from process_apis.orders.calls.tryton import Customer
from process_apis.orders.models import OrderRequest
from tests.support.tiers import API, Made, contracts, response_example

DOWN = Problem(SYSTEM_UNAVAILABLE, "tryton does not answer", extensions={"system": "tryton"})
TAKEN = Problem(CONFLICT, "another sale has this reference")
REQUEST = {
    "customerId": "C-1001",
    "lines": [
        {"sku": "GRINDER-M1", "quantity": {"value": "2", "uom": "C62"}},
        {"sku": "FILTER-V60-100", "quantity": {"value": "4"}},
    ],
}
READS = ["getCustomer", "listProducts"]


def canned(api: str, operation_id: str, name: str = "") -> Any:
    contract = contracts()[api]
    return response_example(contract, contract.operations[operation_id], name)


def customer(**changes: Any) -> Customer:
    return cast(Customer, canned("system/tryton.v1", "getCustomer") | changes)


def product(sku: str, **changes: Any) -> Product:
    found = canned("process/catalog.v1", "getProduct")
    return cast(Product, found | {"id": sku, "sku": sku} | changes)


def prices(**amounts: str) -> list[dict[str, str]]:
    return [
        {"list": "standard", "amount": amount, "currency": currency}
        for currency, amount in amounts.items()
    ]


def request(*lines: tuple[str, str], unit: str = "") -> OrderRequest:
    return {
        "customerId": "C-1001",
        "onShortage": "backorder",
        "lines": [
            {"sku": sku, "quantity": {"value": value, "uom": unit} if unit else {"value": value}}
            for sku, value in lines
        ],
    }


def refusals(raised: pytest.ExceptionInfo[Problem]) -> list[tuple[object, object]]:
    errors: Any = raised.value.extensions["errors"]
    return [(error["pointer"], error["detail"]) for error in errors]


def stock(**available: str) -> dict[str, Availability]:
    return {
        sku: {"sku": sku, "status": "in_stock", "available": {"value": value, "uom": "C62"}}
        for sku, value in available.items()
    }


def quote_of(*lines: tuple[str, str]) -> domain.Quote:
    return domain.Quote(
        currency="EUR",
        lines=tuple(
            domain.PricedLine(product=product(sku), quantity=Decimal(value), unit_price="1")
            for sku, value in lines
        ),
    )


def test_lines_are_priced_in_the_currency_of_the_customer_where_there_is_a_choice() -> None:
    products = {"A": product("A", prices=prices(USD="160.00", EUR="149.00"))}

    quote = domain.quote(request(("A", "2")), customer(currency="EUR"), products)

    assert quote.currency == "EUR"
    assert [line.unit_price for line in quote.lines] == ["149.00"]


def test_prices_of_other_lists_are_not_for_everyone() -> None:
    wholesale = {"list": "wholesale", "amount": "99.00", "currency": "EUR"}
    products = {"A": product("A", prices=[*prices(EUR="149.00"), wholesale])}

    quote = domain.quote(request(("A", "2")), customer(), products)

    assert [line.unit_price for line in quote.lines] == ["149.00"]


@pytest.mark.parametrize("currency", ["JPY", None])
def test_a_customer_whose_currency_is_not_offered_pays_in_that_of_the_first_product(
    currency: str | None,
) -> None:
    buyer = customer()
    del buyer["currency"]
    if currency is not None:
        buyer["currency"] = currency

    quote = domain.quote(request(("A", "1")), buyer, {"A": product("A", prices=prices(USD="9"))})

    assert quote.currency == "USD"


def test_every_line_that_cannot_be_ordered_is_named() -> None:
    products = {
        "PIECE": product("PIECE"),
        "WEIGHED": product("WEIGHED", uom="KGM"),
        "DOLLARS": product("DOLLARS", prices=prices(USD="9.00")),
    }
    asked = request(("PIECE", "1.5"), ("WEIGHED", "1.5"), ("NONE", "1"), ("DOLLARS", "1"))

    with pytest.raises(Problem) as raised:
        domain.quote(asked, customer(), products)

    assert raised.value.status == 409
    assert refusals(raised) == [
        ("#/lines/0/quantity/value", "the product PIECE is sold in whole pieces"),
        ("#/lines/2/sku", "there is no product NONE for sale"),
        ("#/lines/3/sku", "the product DOLLARS has no price in EUR"),
    ]


def test_a_unit_other_than_the_product_s_own_is_refused() -> None:
    with pytest.raises(Problem) as raised:
        domain.quote(request(("A", "1"), unit="KGM"), customer(), {"A": product("A")})

    assert refusals(raised) == [("#/lines/0/quantity/uom", "the product A is sold in the unit C62")]


def test_an_inactive_customer_cannot_order() -> None:
    with pytest.raises(Problem) as raised:
        domain.quote(request(("A", "1")), customer(status="inactive"), {"A": product("A")})

    assert refusals(raised) == [("#/customerId", "the customer C-1001 is not active")]


def test_lines_of_one_product_draw_on_the_same_stock() -> None:
    short = domain.shortages(quote_of(("A", "3"), ("A", "3")), stock(A="5"))

    assert [refusal.pointer for refusal in short] == ["#/lines/1/quantity/value"]
    assert short[0].detail == "of the product A only 2 can be had now"


def test_a_line_that_is_too_much_takes_what_there_was_from_the_next() -> None:
    short = domain.shortages(quote_of(("A", "9"), ("A", "1")), stock(A="5"))

    assert [refusal.detail for refusal in short] == [
        "of the product A only 5 can be had now",
        "of the product A only 0 can be had now",
    ]


def test_the_last_piece_can_be_had() -> None:
    assert domain.shortages(quote_of(("A", "5")), stock(A="5")) == []


def test_stock_below_nothing_is_nothing() -> None:
    (short,) = domain.shortages(quote_of(("A", "1")), stock(A="-4"))

    assert short.detail == "of the product A only 0 can be had now"


def test_what_is_not_stocked_is_never_short() -> None:
    found: Mapping[str, Availability] = {"A": {"sku": "A", "status": "not_stocked"}}

    assert domain.shortages(quote_of(("A", "100")), found) == []


def test_a_shortage_cannot_be_ruled_out_while_stock_cannot_be_read() -> None:
    with pytest.raises(Problem) as raised:
        domain.shortages(quote_of(("A", "1")), {"A": {"sku": "A", "status": "unknown"}})

    assert raised.value.status == 503


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_own_references_are_equal_exactly_when_their_parts_are(
    one: list[str], other: list[str]
) -> None:
    assert (domain.own_reference(*one) == domain.own_reference(*other)) == (one == other)


def test_an_order_keeps_its_meaning_whatever_its_prices() -> None:
    order = canned("system/tryton.v1", "getSale")
    asked = request(("GRINDER-M1", "2.0"), ("FILTER-V60-100", "4"))

    assert domain.asks_for_same(order, asked)
    assert not domain.asks_for_same(order, request(("GRINDER-M1", "2")))
    assert not domain.asks_for_same(order, request(("FILTER-V60-100", "4"), ("GRINDER-M1", "2")))


def test_what_only_the_system_understands_is_not_passed_on() -> None:
    sale = canned("system/tryton.v1", "getSale")

    order = mapping.order(sale | {"extensions": {"tryton": {"state": "processing"}}})

    assert order == sale


@pytest.mark.anyio
async def test_an_order_is_priced_written_and_confirmed() -> None:
    api = API("process/orders.v1")

    reply = await api.call("createOrder", body={**REQUEST, "poNumber": "PO-4711"}, key="key-1")

    assert api.canned.operations() == [*READS, "createSale", "confirmSale"]
    assert api.canned.only("createSale").body == {
        "customerId": "C-1001",
        "currency": "EUR",
        "poNumber": "PO-4711",
        "lines": [
            {
                "sku": "GRINDER-M1",
                "quantity": {"value": "2", "uom": "C62"},
                "unitPrice": {"amount": "149.00", "currency": "EUR"},
            },
            {
                "sku": "FILTER-V60-100",
                "quantity": {"value": "4", "uom": "C62"},
                "unitPrice": {"amount": "6.50", "currency": "EUR"},
            },
        ],
    }
    assert reply.status == 201
    assert reply.body == canned("system/tryton.v1", "confirmSale")
    assert ("Location", "/process/orders/v1/orders/17") in reply.headers


@pytest.mark.anyio
async def test_the_same_key_gives_the_same_reference_and_the_same_inner_keys() -> None:
    first, again, other = (API("process/orders.v1") for _ in range(3))

    await first.call("createOrder", body=REQUEST, key="key-1")
    await again.call("createOrder", body=REQUEST, key="key-1")
    await other.call("createOrder", body=REQUEST, key="key-2")

    written = [api.canned.only("createSale") for api in (first, again, other)]
    assert written[0] == written[1]
    assert written[0].body["poNumber"] != written[2].body["poNumber"]
    assert written[0].key != written[2].key


@pytest.mark.anyio
async def test_two_callers_with_the_same_key_write_two_orders() -> None:
    one, two = API("process/orders.v1"), API("process/orders.v1")

    await one.call("createOrder", body=REQUEST, key="1", caller=Caller(subject="a", client_id="s"))
    await two.call("createOrder", body=REQUEST, key="1", caller=Caller(subject="b", client_id="s"))

    references = {api.canned.only("createSale").body["poNumber"] for api in (one, two)}
    assert len(references) == 2


@pytest.mark.anyio
async def test_a_requested_day_reaches_the_erp() -> None:
    api = API("process/orders.v1")

    await api.call("createOrder", body={**REQUEST, "requestedDelivery": "2026-12-01"}, key="k")

    assert api.canned.only("createSale").body["requestedDelivery"] == "2026-12-01"


@pytest.mark.anyio
async def test_an_unknown_customer_is_a_conflict_and_nothing_is_written() -> None:
    api = API("process/orders.v1", getCustomer=Problem(NOT_FOUND, "none"), listSales={"items": []})

    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body=REQUEST, key="k")

    assert raised.value.status == 409
    assert refusals(raised) == [("#/customerId", "there is no customer C-1001")]
    assert "createSale" not in api.canned.operations()


@pytest.mark.anyio
async def test_stock_is_looked_at_only_when_shortages_are_refused() -> None:
    api = API("process/orders.v1")

    await api.call("createOrder", body={**REQUEST, "onShortage": "refuse"}, key="k")

    assert api.canned.operations() == [*READS, "getAvailability", "createSale", "confirmSale"]


@pytest.mark.anyio
async def test_an_order_that_stock_cannot_fill_is_refused_on_request() -> None:
    api = API("process/orders.v1", listSales={"items": []})
    line = {"sku": "GRINDER-M1", "quantity": {"value": "39"}}

    with pytest.raises(Problem) as raised:
        await api.call(
            "createOrder", body={**REQUEST, "onShortage": "refuse", "lines": [line]}, key="k"
        )

    assert refusals(raised) == [
        ("#/lines/0/quantity/value", "of the product GRINDER-M1 only 38 can be had now")
    ]
    assert "createSale" not in api.canned.operations()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "refused",
    [{"createSale": TAKEN}, {"listProducts": {"items": []}}],
    ids=["the price has changed", "the product is no longer for sale"],
)
async def test_a_repetition_finds_what_was_written_though_it_would_be_refused_now(
    refused: dict[str, Any],
) -> None:
    draft = canned("system/tryton.v1", "createSale")
    api = API("process/orders.v1", listSales={"items": [draft]}, **refused)

    reply = await api.call("createOrder", body={**REQUEST, "poNumber": "PO-4711"}, key="k")

    assert reply.status == 201
    assert api.canned.only("listSales").arguments["poNumber"] == "PO-4711"
    assert api.canned.only("confirmSale").arguments["saleId"] == draft["id"]


@pytest.mark.anyio
async def test_a_reference_taken_by_another_order_is_a_conflict() -> None:
    api = API("process/orders.v1", createSale=TAKEN)
    line = {"sku": "GRINDER-M1", "quantity": {"value": "1"}}

    with pytest.raises(Problem) as raised:
        await api.call(
            "createOrder", body={**REQUEST, "poNumber": "PO-4711", "lines": [line]}, key="k"
        )

    assert refusals(raised) == [
        ("#/poNumber", "the customer has another order with the reference PO-4711")
    ]
    assert "confirmSale" not in api.canned.operations()


@pytest.mark.anyio
async def test_a_refusal_by_the_erp_is_passed_on_when_there_is_no_earlier_order() -> None:
    api = API("process/orders.v1", createSale=TAKEN, listSales={"items": []})

    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body=REQUEST, key="k")

    assert raised.value is TAKEN


@pytest.mark.anyio
@pytest.mark.parametrize("operation", ["getCustomer", "listProducts", "createSale", "confirmSale"])
async def test_a_system_that_is_down_is_named_and_no_write_is_repeated(operation: str) -> None:
    api = API("process/orders.v1", **{operation: DOWN})

    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body=REQUEST, key="k")

    assert (raised.value.status, raised.value.extensions["system"]) == (503, "tryton")
    assert api.canned.operations().count(operation) == 1
    assert api.canned.operations()[-1] == operation


@pytest.mark.anyio
async def test_the_order_of_a_product_twice_asks_for_it_once() -> None:
    api = API("process/orders.v1")
    line = {"sku": "GRINDER-M1", "quantity": {"value": "1"}}

    await api.call("createOrder", body={**REQUEST, "lines": [line, line]}, key="k")

    assert api.canned.only("listProducts").arguments["skus"] == ["GRINDER-M1"]
    assert len(api.canned.only("createSale").body["lines"]) == 2


@pytest.mark.anyio
async def test_an_order_is_read_by_its_id() -> None:
    api = API("process/orders.v1")

    reply = await api.call("getOrder", orderId="17")

    assert reply.body == canned("system/tryton.v1", "getSale")
    assert api.canned.only("getSale").arguments == {"saleId": "17"}


@pytest.mark.anyio
async def test_an_order_that_does_not_exist_is_not_found_in_words_of_this_api() -> None:
    missing = Problem(NOT_FOUND, "the system has no such record")
    api = API("process/orders.v1", getSale=missing)

    with pytest.raises(Problem) as raised:
        await api.call("getOrder", orderId="99")

    assert (raised.value.status, raised.value.detail) == (404, "there is no order 99")


@pytest.mark.anyio
async def test_a_list_passes_filters_on_and_keeps_the_cursor() -> None:
    sale = canned("system/tryton.v1", "getSale")
    api = API("process/orders.v1", listSales={"items": [sale], "nextCursor": "abc"})

    reply = await api.call("listOrders", customerId="C-1001", poNumber="PO-4711", limit=5)

    assert reply.body == {"items": [sale], "nextCursor": "abc"}
    link = '<?customerId=C-1001&poNumber=PO-4711&limit=5&cursor=abc>; rel="next"'
    assert list(reply.headers) == [("Link", link)]
    assert api.canned.only("listSales").arguments == {
        "customerId": "C-1001",
        "poNumber": "PO-4711",
        "limit": 5,
    }


@pytest.mark.anyio
async def test_a_fraction_of_what_is_weighed_reaches_the_erp_unchanged() -> None:
    def weigh(made: Made) -> Any:
        return {"items": [product(sku, uom="KGM") for sku in made.arguments["skus"]]}

    api = API("process/orders.v1", listProducts=weigh)
    line = {"sku": "BEANS-HOUSE", "quantity": {"value": "2.250", "uom": "KGM"}}

    await api.call("createOrder", body={**REQUEST, "lines": [line]}, key="k")

    (written,) = api.canned.only("createSale").body["lines"]
    assert written["quantity"] == {"value": "2.250", "uom": "KGM"}


@pytest.mark.anyio
async def test_the_way_to_the_next_page_has_only_the_filters_that_were_given() -> None:
    api = API("process/orders.v1", listSales={"items": [], "nextCursor": "abc"})

    reply = await api.call("listOrders")

    assert list(reply.headers) == [("Link", '<?limit=25&cursor=abc>; rel="next"')]
