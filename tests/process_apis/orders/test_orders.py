"""orders.v1: what is written to the ERP, what is refused, and what a repetition finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.durable import DurableParts
from portico.problems import (
    CONFLICT,
    CONTRACT_VIOLATION,
    NOT_FOUND,
    SYSTEM_UNAVAILABLE,
    UNPROCESSABLE,
    Problem,
)
from portico.server.call import Caller
from process_apis.orders import domain, mapping, placement
from process_apis.orders.app import Placing
from process_apis.orders.calls.catalog import Product
from process_apis.orders.calls.inventory import Availability
from process_apis.orders.calls.tryton import Customer
from process_apis.orders.models import OrderRequest
from tests.support.tiers import API, Made, contracts, response_example
from tests.support.until import until

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
WRITES = ["createSale", "confirmSale"]
CARD = {"payerId": "cus_1", "paymentToken": "pm_card_visa"}
Ordering = Callable[..., Awaitable[API]]


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

    assert placement.asks_for_same(order, asked)
    assert not placement.asks_for_same(order, request(("GRINDER-M1", "2")))
    assert not placement.asks_for_same(order, request(("FILTER-V60-100", "4"), ("GRINDER-M1", "2")))


def test_what_only_the_system_understands_is_not_passed_on() -> None:
    sale = canned("system/tryton.v1", "getSale")

    order = mapping.order(sale | {"extensions": {"tryton": {"state": "processing"}}})

    assert order == sale


@pytest.mark.anyio
async def test_an_order_is_priced_written_and_confirmed(ordering: Ordering) -> None:
    api = await ordering()

    reply = await api.call("createOrder", body={**REQUEST, "poNumber": "PO-4711"}, key="key-1")

    assert api.canned.operations() == [*READS, *WRITES]
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
async def test_a_requested_day_reaches_the_erp(ordering: Ordering) -> None:
    api = await ordering()

    await api.call("createOrder", body={**REQUEST, "requestedDelivery": "2026-12-01"}, key="k")

    assert api.canned.only("createSale").body["requestedDelivery"] == "2026-12-01"


@pytest.mark.anyio
async def test_an_unknown_customer_is_a_conflict_and_nothing_is_written(ordering: Ordering) -> None:
    api = await ordering(getCustomer=Problem(NOT_FOUND, "none"))

    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body=REQUEST, key="k")

    assert raised.value.status == 409
    assert refusals(raised) == [("#/customerId", "there is no customer C-1001")]
    assert "createSale" not in api.canned.operations()


@pytest.mark.anyio
async def test_stock_is_looked_at_only_when_shortages_are_refused(ordering: Ordering) -> None:
    api = await ordering()

    await api.call("createOrder", body={**REQUEST, "onShortage": "refuse"}, key="k")

    assert api.canned.operations() == [*READS, "getAvailability", *WRITES]


@pytest.mark.anyio
async def test_an_order_that_stock_cannot_fill_is_refused_on_request(ordering: Ordering) -> None:
    api = await ordering()
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
async def test_the_order_of_a_product_twice_asks_for_it_once(ordering: Ordering) -> None:
    api = await ordering()
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
async def test_a_fraction_of_what_is_weighed_reaches_the_erp_unchanged(ordering: Ordering) -> None:
    def weigh(made: Made) -> Any:
        return {"items": [product(sku, uom="KGM") for sku in made.arguments["skus"]]}

    api = await ordering(listProducts=weigh)
    line = {"sku": "BEANS-HOUSE", "quantity": {"value": "2.250", "uom": "KGM"}}

    await api.call("createOrder", body={**REQUEST, "lines": [line]}, key="k")

    (written,) = api.canned.only("createSale").body["lines"]
    assert written["quantity"] == {"value": "2.250", "uom": "KGM"}


@pytest.mark.anyio
async def test_the_way_to_the_next_page_has_only_the_filters_that_were_given() -> None:
    api = API("process/orders.v1", listSales={"items": [], "nextCursor": "abc"})

    reply = await api.call("listOrders")

    assert list(reply.headers) == [("Link", '<?limit=25&cursor=abc>; rel="next"')]


@pytest.mark.anyio
async def test_the_same_key_gives_the_same_order_and_writes_it_once(ordering: Ordering) -> None:
    api = await ordering()

    first = await api.call("createOrder", body=REQUEST, key="key-1")
    again = await api.call("createOrder", body=REQUEST, key="key-1")
    await api.call("createOrder", body=REQUEST, key="key-2")

    written = [made for made in api.canned.made if made.operation_id == "createSale"]
    assert again.body == first.body
    assert len(written) == 2
    assert written[0].body["poNumber"] != written[1].body["poNumber"]
    assert written[0].key != written[1].key


@pytest.mark.anyio
async def test_two_callers_with_the_same_key_write_two_orders(ordering: Ordering) -> None:
    api = await ordering()

    for name in ("a", "b"):
        caller = Caller(subject=name, client_id="s")
        await api.call("createOrder", body=REQUEST, key="1", caller=caller)

    written = [made.body["poNumber"] for made in api.canned.made if made.body]
    assert len(set(written)) == 2


@pytest.mark.anyio
async def test_a_repetition_finds_what_was_written_though_it_would_be_refused_now(
    ordering: Ordering,
) -> None:
    api = await ordering()
    request = {**REQUEST, "poNumber": "PO-4711"}
    first = await api.call("createOrder", body=request, key="k")
    api.canned.answers["listProducts"] = {"items": []}

    again = await api.call("createOrder", body=request, key="k")
    other_key = await api.call("createOrder", body=request, key="other")

    assert again.body == other_key.body == first.body
    assert api.canned.operations() == [*READS, *WRITES]


@pytest.mark.anyio
async def test_a_reference_taken_by_another_order_is_a_conflict(ordering: Ordering) -> None:
    api = await ordering()
    await api.call("createOrder", body={**REQUEST, "poNumber": "PO-4711"}, key="k")
    line = {"sku": "GRINDER-M1", "quantity": {"value": "1"}}

    with pytest.raises(Problem) as raised:
        await api.call(
            "createOrder", body={**REQUEST, "poNumber": "PO-4711", "lines": [line]}, key="other"
        )

    assert refusals(raised) == [
        ("#/poNumber", "the customer has another order with the reference PO-4711")
    ]
    assert api.canned.operations() == [*READS, *WRITES]


@pytest.mark.anyio
async def test_a_refusal_by_the_erp_is_passed_on_and_nothing_is_left_to_undo(
    ordering: Ordering,
) -> None:
    api = await ordering(createSale=TAKEN)

    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body=REQUEST, key="k")

    assert raised.value.status == 409
    assert "another sale has this reference" in raised.value.detail
    assert api.canned.operations() == [*READS, "createSale"]


@pytest.mark.anyio
@pytest.mark.parametrize("operation", READS)
async def test_a_system_that_is_down_is_named_before_anything_is_written(
    ordering: Ordering, operation: str
) -> None:
    api = await ordering(**{operation: DOWN})

    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body=REQUEST, key="k")

    assert (raised.value.status, raised.value.extensions["system"]) == (503, "tryton")
    assert api.canned.operations()[-1] == operation


@pytest.mark.anyio
@pytest.mark.parametrize("operation", WRITES)
async def test_a_write_that_fails_is_made_again_under_the_same_key(
    ordering: Ordering, operation: str
) -> None:
    answers = [DOWN, DOWN, canned("system/tryton.v1", operation)]
    api = await ordering(**{operation: lambda _: answers.pop(0)})

    reply = await api.call("createOrder", body=REQUEST, key="k")

    assert reply.status == 201
    made = [each for each in api.canned.made if each.operation_id == operation]
    assert len(made) == 3
    assert len({each.key for each in made}) == 1


@pytest.mark.anyio
async def test_an_order_that_takes_too_long_is_answered_202_and_placed_later(
    ordering: Ordering,
) -> None:
    there = asyncio.Event()

    async def slowly(_: Made) -> Any:
        await there.wait()
        return canned("system/tryton.v1", "confirmSale")

    api = await ordering(answer_seconds=0.2, confirmSale=slowly)
    request = {**REQUEST, "poNumber": "PO-4711"}

    reply = await api.call("createOrder", body=request, key="k")
    placing: Any = reply.body
    location = dict(reply.headers)["Location"]
    there.set()
    placed = await api.call("createOrder", body=request, key="k")
    after: Any = (await api.call("getPlacement", placementId=placing["id"])).body

    assert (reply.status, placing["phase"], placing["poNumber"]) == (202, "placing", "PO-4711")
    assert location == f"/process/orders/v1/placements/{placing['id']}"
    assert placing["steps"] == [{"step": "enter the order as a draft", "tries": 1, "failed": False}]
    assert placed.status == 201
    assert (after["phase"], after["orderId"]) == ("placed", "17")
    assert api.canned.operations() == [*READS, *WRITES]


@pytest.mark.anyio
async def test_an_outage_shows_its_tries_and_the_next_one(ordering: Ordering) -> None:
    api = await ordering(answer_seconds=0.1, first_retry_seconds=3600.0, confirmSale=DOWN)

    reply = await api.call("createOrder", body=REQUEST, key="k")
    begun: Any = reply.body

    async def waiting() -> Any:
        found: Any = (await api.call("getPlacement", placementId=begun["id"])).body
        return found if "nextTryAt" in found else None

    shown: Any = await until(waiting)
    assert (reply.status, shown["phase"]) == (202, "placing")
    assert shown["steps"][-1] == {"step": "confirm the order", "tries": 1, "failed": True}
    assert datetime.fromisoformat(shown["nextTryAt"]) > datetime.now(UTC)


@pytest.mark.anyio
async def test_a_placement_that_does_not_exist_is_not_found(ordering: Ordering) -> None:
    api = await ordering()

    with pytest.raises(Problem) as raised:
        await api.call("getPlacement", placementId=f"place-{'0' * 40}-1")

    assert raised.value.status == 404


def parts(api: API) -> DurableParts:
    placing: Placing = api.resources
    return placing.durable.parts


def payment(status: str) -> Any:
    return canned("system/stripe.v1", "putPayment") | {"id": "pi_1", "status": status}


PAYING = ["createSale", "putPayment"]


@pytest.mark.anyio
async def test_an_order_by_card_is_authorized_confirmed_and_then_charged(
    ordering: Ordering,
) -> None:
    api = await ordering(putPayment=payment("authorized"))

    reply = await api.call("createOrder", body={**REQUEST, "payment": CARD}, key="k")

    assert reply.status == 201
    assert api.canned.operations() == [*READS, *PAYING, "confirmSale", "capturePayment"]
    asked = api.canned.only("putPayment").body
    assert asked == {
        "customerId": "cus_1",
        "paymentToken": "pm_card_visa",
        "amount": {"amount": "392.04", "currency": "EUR"},
        "capture": "manual",
    }
    assert api.canned.only("capturePayment").arguments == {"paymentId": "pi_1"}


@pytest.mark.anyio
async def test_a_declined_card_cancels_the_order(ordering: Ordering) -> None:
    declined = Problem(UNPROCESSABLE, "Your card was declined.", extensions={"system": "stripe"})
    api = await ordering(putPayment=declined)

    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body={**REQUEST, "payment": CARD}, key="k")

    assert (raised.value.status, raised.value.detail) == (422, "stripe: Your card was declined.")
    assert api.canned.operations() == [*READS, *PAYING, "cancelSale"]


@pytest.mark.anyio
@pytest.mark.parametrize("gross", ["1000000.00", "0.00", "-1.00"])
async def test_a_total_that_no_card_is_charged_with_cancels_the_order(
    ordering: Ordering, gross: str
) -> None:
    draft = canned("system/tryton.v1", "createSale")
    draft["totals"]["gross"]["amount"] = gross
    api = await ordering(createSale=draft)

    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body={**REQUEST, "payment": CARD}, key="k")

    assert raised.value.status == 422
    assert api.canned.operations() == [*READS, "createSale", "cancelSale"]


@pytest.mark.anyio
async def test_a_payment_that_waits_for_its_owner_is_cancelled_with_the_order(
    ordering: Ordering,
) -> None:
    api = await ordering(putPayment=payment("pending"))

    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body={**REQUEST, "payment": CARD}, key="k")

    assert raised.value.status == 422
    assert api.canned.operations() == [*READS, *PAYING, "cancelPayment", "cancelSale"]


@pytest.mark.anyio
async def test_a_sale_that_is_not_confirmed_is_undone_the_last_step_first(
    ordering: Ordering,
) -> None:
    gone = Problem(CONFLICT, "sale 17 is cancelled", extensions={"system": "tryton"})
    api = await ordering(putPayment=payment("authorized"), confirmSale=gone)

    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body={**REQUEST, "payment": CARD}, key="k")

    assert (raised.value.status, raised.value.detail) == (409, "tryton: sale 17 is cancelled")
    assert api.canned.operations()[-3:] == ["confirmSale", "cancelPayment", "cancelSale"]


@pytest.mark.anyio
async def test_a_refused_reference_may_be_tried_again_under_another_key(
    ordering: Ordering,
) -> None:
    declined = Problem(UNPROCESSABLE, "Your card was declined.", extensions={"system": "stripe"})
    answers = [declined, payment("authorized")]
    api = await ordering(putPayment=lambda _: answers.pop(0))
    request = {**REQUEST, "poNumber": "PO-4711", "payment": CARD}

    for _ in range(2):
        with pytest.raises(Problem) as raised:
            await api.call("createOrder", body=request, key="k")
        assert raised.value.status == 422
    reply = await api.call("createOrder", body=request, key="another")

    assert reply.status == 201
    paid = [made for made in api.canned.made if made.operation_id == "putPayment"]
    assert len({made.arguments["externalKey"] for made in paid}) == 2


@pytest.mark.anyio
async def test_money_that_cannot_be_taken_is_for_people_to_see_to(ordering: Ordering) -> None:
    expired = Problem(CONFLICT, "payment pi_1 is canceled", extensions={"system": "stripe"})
    api = await ordering(putPayment=payment("authorized"), capturePayment=expired)

    reply = await api.call("createOrder", body={**REQUEST, "payment": CARD}, key="k")

    body: Any = reply.body
    assert (reply.status, body["phase"]) == (202, "dead")
    assert body["cause"] == "stripe: payment pi_1 is canceled"
    assert "cancelSale" not in api.canned.operations()


@pytest.mark.anyio
async def test_a_confirmation_that_cannot_be_understood_is_no_refusal(ordering: Ordering) -> None:
    """The sale may be binding: nothing is undone."""
    broken = Problem(CONTRACT_VIOLATION, "the answer has no status")
    api = await ordering(putPayment=payment("authorized"), confirmSale=broken)

    reply = await api.call("createOrder", body={**REQUEST, "payment": CARD}, key="k")

    body: Any = reply.body
    assert (reply.status, body["phase"]) == (202, "dead")
    assert api.canned.operations()[-1] == "confirmSale"


@pytest.mark.anyio
async def test_a_replay_goes_on_where_it_ended_and_not_where_it_had_stumbled(
    ordering: Ordering,
) -> None:
    """Created at the second try, confirmed, not charged: the sale that there is is its own."""
    creating = [DOWN, canned("system/tryton.v1", "createSale")]
    expired = Problem(CONFLICT, "payment pi_1 is held", extensions={"system": "stripe"})
    capturing = [expired, payment("captured")]
    api = await ordering(
        createSale=lambda _: creating.pop(0),
        putPayment=payment("authorized"),
        capturePayment=lambda _: capturing.pop(0),
    )
    request = {**REQUEST, "payment": CARD}
    dead: Any = (await api.call("createOrder", body=request, key="k")).body
    assert dead["phase"] == "dead"

    assert await parts(api).workflows.replay(dead["id"])
    reply = await api.call("createOrder", body=request, key="k")

    assert reply.status == 201
    assert api.canned.operations()[-2:] == ["capturePayment"] * 2
    assert api.canned.operations().count("createSale") == 2


@pytest.mark.anyio
async def test_an_order_that_is_there_is_taken_over_unless_it_is_to_be_paid(
    ordering: Ordering,
) -> None:
    """Another one placed it: by hand, or before the journal forgot of it."""
    api = await ordering(createSale=canned("system/tryton.v1", "confirmSale"))

    found = await api.call("createOrder", body=REQUEST, key="k")
    with pytest.raises(Problem) as raised:
        await api.call("createOrder", body={**REQUEST, "payment": CARD}, key="other")

    assert found.status == 201
    assert raised.value.status == 409
    assert api.canned.operations() == [*READS, "createSale"] * 2
