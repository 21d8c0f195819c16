"""storefront.v1: what the shop shows, and what a checkout becomes."""

from __future__ import annotations

from typing import Any, cast

import pytest

from experience_apis.storefront import mapping
from experience_apis.storefront.calls import catalog, inventory, orders
from portico.problems import (
    CONFLICT,
    DEADLINE_EXCEEDED,
    FORBIDDEN,
    NOT_FOUND,
    SYSTEM_UNAVAILABLE,
    TOO_MANY_REQUESTS,
    Problem,
)
from tests.support.tiers import API, contracts, response_example

DOWN = Problem(SYSTEM_UNAVAILABLE, "tryton does not answer", extensions={"system": "tryton"})
CHECKOUT = {"customerId": "C-1001", "items": [{"sku": "GRINDER-M1", "quantity": 2}]}


def canned(api: str, operation_id: str) -> Any:
    contract = contracts()[api]
    return response_example(contract, contract.operations[operation_id])


def product(**changes: Any) -> catalog.Product:
    return cast(catalog.Product, canned("process/catalog.v1", "getProduct") | changes)


def order(**changes: Any) -> orders.Order:
    return cast(orders.Order, canned("process/orders.v1", "getOrder") | changes)


def availability(status: Any, value: str = "") -> inventory.Availability:
    found: inventory.Availability = {"sku": "GRINDER-M1", "status": status}
    if value:
        found["available"] = {"value": value, "uom": "C62"}
    return found


@pytest.mark.parametrize(
    ("found", "shown", "quantity"),
    [
        (availability("in_stock", "6"), "in_stock", 6),
        (availability("in_stock", "5"), "low_stock", 5),
        (availability("in_stock", "0.5"), "low_stock", 0),
        (availability("in_stock", "310.5"), "in_stock", 310),
        (availability("out_of_stock", "0"), "out_of_stock", 0),
        (availability("out_of_stock", "-3"), "out_of_stock", 0),
        (availability("not_stocked"), "on_request", None),
        (availability("unknown"), "unknown", None),
        (None, "unknown", None),
    ],
)
def test_availability_is_shown_in_the_words_of_a_shop(
    found: inventory.Availability | None, shown: str, quantity: int | None
) -> None:
    item = mapping.product(product(), {} if found is None else {"GRINDER-M1": found})

    assert item["availability"] == shown
    assert item.get("availableQuantity") == quantity


def test_the_shop_shows_the_standard_price() -> None:
    prices = [
        {"list": "wholesale", "amount": "99.00", "currency": "EUR"},
        {"list": "standard", "amount": "149.00", "currency": "EUR"},
    ]

    item = mapping.product(product(prices=prices), {})

    assert item["price"] == {"amount": "149.00", "currency": "EUR"}


@pytest.mark.parametrize(
    ("status", "fulfilment", "shown"),
    [
        ("draft", "none", "received"),
        ("open", "none", "received"),
        ("confirmed", "none", "confirmed"),
        ("confirmed", "partial", "partly_shipped"),
        ("confirmed", "full", "shipped"),
        ("completed", "full", "completed"),
        ("on_hold", "none", "on_hold"),
        ("cancelled", "none", "cancelled"),
    ],
)
def test_an_order_has_one_status_for_the_shopper(status: str, fulfilment: str, shown: str) -> None:
    assert mapping.order(order(status=status, fulfilmentStatus=fulfilment))["status"] == shown


@pytest.mark.parametrize(
    ("status", "states"),
    [
        ("received", ["done", "current", "upcoming", "upcoming"]),
        ("confirmed", ["done", "done", "current", "upcoming"]),
        ("partly_shipped", ["done", "done", "current", "upcoming"]),
        ("shipped", ["done", "done", "done", "current"]),
        ("completed", ["done", "done", "done", "done"]),
        ("on_hold", ["done", "current", "upcoming", "upcoming"]),
    ],
)
def test_steps_tell_what_is_done_and_what_is_to_come(status: Any, states: list[str]) -> None:
    steps = mapping.steps(status)

    assert [step["step"] for step in steps] == list(mapping.STEPS)
    assert [step["state"] for step in steps] == states


def test_the_way_of_a_cancelled_order_ends_there() -> None:
    assert [step["step"] for step in mapping.steps("cancelled")] == ["placed", "cancelled"]


def test_an_order_without_charges_shows_no_shipping_costs_in_its_own_places() -> None:
    totals = {
        "net": {"amount": "-3200", "currency": "JPY"},
        "tax": {"amount": "-320", "currency": "JPY"},
        "gross": {"amount": "-3520", "currency": "JPY"},
    }

    assert mapping.order(order())["totals"]["shipping"] == {"amount": "0.00", "currency": "EUR"}
    assert mapping.order(order(totals=totals))["totals"]["shipping"]["amount"] == "0"


def test_charges_are_the_shipping_costs() -> None:
    totals = {**order()["totals"], "charges": {"amount": "4.95", "currency": "EUR"}}

    shown = mapping.order(order(totals=totals))["totals"]["shipping"]

    assert shown == {"amount": "4.95", "currency": "EUR"}


def test_whole_quantities_are_shown_whole_and_weighed_ones_with_their_fraction() -> None:
    (first, second) = order()["lines"]
    lines = [first, {**second, "quantity": {"value": "2.25", "uom": "KGM"}}]

    items = mapping.order(order(lines=lines))["items"]

    assert [repr(item["quantity"]) for item in items] == ["2", "2.25"]


def test_a_line_without_a_text_is_shown_by_its_sku() -> None:
    line = order()["lines"][0]
    del line["description"]

    (item,) = mapping.order(order(lines=[line]))["items"]

    assert item["name"] == "GRINDER-M1"


def test_an_integer_written_with_a_fraction_is_ordered_as_one() -> None:
    request = mapping.order_request(
        {
            "customerId": "C-1001",
            "allowBackorder": True,
            "items": [{"sku": "GRINDER-M1", "quantity": 2.0}],  # type: ignore[typeddict-item]  # as JSON may say it
        }
    )

    assert request["lines"][0]["quantity"] == {"value": "2"}


@pytest.mark.anyio
async def test_a_page_is_joined_with_its_availability_by_one_call() -> None:
    api = API("experience/storefront.v1")

    reply = await api.call("browseProducts", q="coffee", limit=10)

    body: Any = reply.body
    assert api.canned.operations() == ["listProducts", "getAvailability"]
    assert api.canned.only("getAvailability").arguments["skus"] == ["FILTER-V60-100", "GRINDER-M1"]
    assert api.canned.only("listProducts").arguments == {"q": "coffee", "limit": 10}
    assert [item["availability"] for item in body["products"]] == ["in_stock", "in_stock"]
    assert body["nextCursor"] == "R1JJTkRFUi1NMQ"
    link = '<?q=coffee&limit=10&cursor=R1JJTkRFUi1NMQ>; rel="next"'
    assert list(reply.headers) == [("Link", link)]


@pytest.mark.anyio
async def test_the_way_to_the_next_page_has_only_the_filters_that_were_given() -> None:
    reply = await API("experience/storefront.v1").call("browseProducts")

    link = '<?limit=20&cursor=R1JJTkRFUi1NMQ>; rel="next"'
    assert list(reply.headers) == [("Link", link)]


@pytest.mark.anyio
async def test_an_empty_page_asks_for_no_availability() -> None:
    api = API("experience/storefront.v1", listProducts={"items": []})

    reply = await api.call("browseProducts")

    assert reply.body == {"products": []}
    assert list(reply.headers) == []
    assert api.canned.operations() == ["listProducts"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "problem", [DOWN, Problem(DEADLINE_EXCEEDED), Problem(TOO_MANY_REQUESTS)], ids=str
)
async def test_products_are_shown_though_their_availability_cannot_be_read(
    problem: Problem,
) -> None:
    api = API("experience/storefront.v1", getAvailability=problem)

    listed: Any = (await api.call("browseProducts")).body
    one: Any = (await api.call("getProduct", sku="GRINDER-M1")).body

    assert {item["availability"] for item in listed["products"]} == {"unknown"}
    assert one["availability"] == "unknown"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "parameters"), [("browseProducts", {}), ("getProduct", {"sku": "GRINDER-M1"})]
)
async def test_without_a_catalogue_the_system_is_named(
    operation: str, parameters: dict[str, Any]
) -> None:
    api = API("experience/storefront.v1", listProducts=DOWN, getProduct=DOWN)

    with pytest.raises(Problem) as raised:
        await api.call(operation, **parameters)

    assert (raised.value.status, raised.value.extensions["system"]) == (503, "tryton")


@pytest.mark.anyio
async def test_a_product_that_does_not_exist_is_not_found() -> None:
    api = API("experience/storefront.v1", getProduct=Problem(NOT_FOUND, "no product X"))

    with pytest.raises(Problem) as raised:
        await api.call("getProduct", sku="X")

    assert raised.value.status == 404


@pytest.mark.anyio
async def test_a_checkout_becomes_an_order_with_a_key_of_its_own() -> None:
    api = API("experience/storefront.v1")

    reply = await api.call("placeOrder", body={**CHECKOUT, "reference": "PO-4711"}, key="key-1")

    made = api.canned.only("createOrder")
    assert made.body == {
        "customerId": "C-1001",
        "poNumber": "PO-4711",
        "onShortage": "backorder",
        "lines": [{"sku": "GRINDER-M1", "quantity": {"value": "2"}}],
    }
    assert made.key not in {"", "key-1"}
    contract = contracts()["experience/storefront.v1"]
    assert reply.status == 201
    assert reply.body == response_example(contract, contract.operations["placeOrder"])
    assert ("Location", "/experience/storefront/v1/orders/17") in reply.headers


@pytest.mark.anyio
async def test_a_shopper_may_refuse_to_wait() -> None:
    api = API("experience/storefront.v1")

    await api.call("placeOrder", body={**CHECKOUT, "allowBackorder": False}, key="key-1")

    assert api.canned.only("createOrder").body["onShortage"] == "refuse"


@pytest.mark.anyio
async def test_a_refusal_points_into_the_checkout() -> None:
    errors = [
        {"detail": "only 38 can be had now", "pointer": "#/lines/0/quantity/value"},
        {"detail": "there is no product", "pointer": "#/lines/12/sku"},
        {"detail": "there is no customer", "pointer": "#/customerId"},
        {"detail": "there is another order", "pointer": "#/poNumber"},
        {"detail": "a reason without a place"},
    ]
    refused = Problem(CONFLICT, "only 38 can be had now", extensions={"errors": errors})
    api = API("experience/storefront.v1", createOrder=refused)

    with pytest.raises(Problem) as raised:
        await api.call("placeOrder", body=CHECKOUT, key="key-1")

    shown: Any = raised.value.extensions["errors"]
    assert (raised.value.status, raised.value.detail) == (409, "only 38 can be had now")
    assert [error.get("pointer") for error in shown] == [
        "#/items/0/quantity",
        "#/items/12/sku",
        "#/customerId",
        "#/reference",
        None,
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("problem", [DOWN, Problem(CONFLICT, "busy")], ids=str)
async def test_any_other_problem_of_an_order_is_passed_on(problem: Problem) -> None:
    api = API("experience/storefront.v1", createOrder=problem)

    with pytest.raises(Problem) as raised:
        await api.call("placeOrder", body=CHECKOUT, key="key-1")

    assert raised.value is problem
    assert api.canned.operations() == ["createOrder"]


@pytest.mark.anyio
async def test_an_order_is_followed_by_its_id() -> None:
    api = API("experience/storefront.v1")

    body: Any = (await api.call("getOrder", orderId="17")).body

    assert body["status"] == "confirmed"
    assert body["totals"]["total"] == {"amount": "392.04", "currency": "EUR"}


@pytest.mark.anyio
async def test_a_refusal_by_inventory_is_not_taken_for_unknown_availability() -> None:
    api = API("experience/storefront.v1", getAvailability=Problem(FORBIDDEN))

    with pytest.raises(Problem) as raised:
        await api.call("getProduct", sku="GRINDER-M1")

    assert raised.value.status == 403


def placement(phase: str, **more: Any) -> Any:
    waiting = contracts()["process/orders.v1"].document["components"]["examples"]
    return {**waiting["WaitingPlacement"]["value"], "phase": phase, **more}


@pytest.mark.anyio
async def test_an_order_that_takes_long_is_a_checkout_to_follow() -> None:
    waiting = placement("placing")
    api = API("experience/storefront.v1", createOrder=waiting)

    reply = await api.call("placeOrder", body=CHECKOUT, key="key-1")

    assert reply.status == 202
    assert reply.body == {"id": waiting["id"], "status": "processing"}
    assert ("Location", f"/experience/storefront/v1/checkouts/{waiting['id']}") in reply.headers


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (placement("placing"), {"status": "processing"}),
        (placement("dead", cause="erp: away"), {"status": "processing"}),
        (placement("placed", orderId="17"), {"status": "placed", "orderId": "17"}),
        (
            placement("refused", cause="stripe: Your card was declined."),
            {"status": "refused", "reason": "stripe: Your card was declined."},
        ),
    ],
)
async def test_a_checkout_tells_a_shopper_no_more_than_helps(told: Any, shown: Any) -> None:
    api = API("experience/storefront.v1", getPlacement=told)

    reply = await api.call("getCheckout", checkoutId=told["id"])

    assert reply.body == {"id": told["id"], **shown}


@pytest.mark.anyio
async def test_a_payment_is_passed_on() -> None:
    api = API("experience/storefront.v1")
    payment = {"payerId": "cus_1", "paymentToken": "pm_card_visa"}

    await api.call("placeOrder", body={**CHECKOUT, "payment": payment}, key="key-1")

    assert api.canned.only("createOrder").body["payment"] == payment
