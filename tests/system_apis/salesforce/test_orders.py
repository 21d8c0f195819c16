"""Orders: taken over once, whatever happens, and made binding."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from portico.connectors.outage import PAUSE_SECONDS
from portico.problems import CONFLICT, Problem
from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from portico.testing import APIUnderTest
from system_apis.salesforce.connector import Salesforce
from system_apis.salesforce.sandbox.objects import OBJECTS
from system_apis.salesforce.sandbox.org import Org
from system_apis.salesforce.sandbox.store import Saving
from tests.support.killed import go_on_until, process
from tests.support.operations import body_of
from tests.system_apis.salesforce.conftest import KEY, an_account, an_order

pytestmark = pytest.mark.anyio


async def create(api: APIUnderTest, body: dict[str, Any]) -> tuple[int, Any]:
    reply = await api.invoke("createOrder", KEY, body=body)
    return reply.status, reply.body


async def problem_of(api: APIUnderTest, body: dict[str, Any]) -> Problem:
    with pytest.raises(Problem) as caught:
        await create(api, body)
    return caught.value


def orders_in(org: Org) -> int:
    return len(list(org.data.store.records("Order")))


async def test_an_order_is_taken_over_with_its_lines_and_totals(api: APIUnderTest) -> None:
    body = an_order(await an_account(api), "PO-1", "GRINDER-M1", "BEANS-HOUSE")
    body["lines"][1] |= {
        "quantity": {"value": "1.5", "uom": "KGM"},
        "unitPrice": {"amount": "21.55", "currency": "EUR"},
    }
    status, made = await create(api, {**body, "requestedDelivery": "2040-05-01"})

    assert status == 201
    assert made["status"] == "draft"
    assert made["poNumber"] == "PO-1"
    assert made["requestedDelivery"] == "2040-05-01"
    assert [line["sku"] for line in made["lines"]] == ["GRINDER-M1", "BEANS-HOUSE"]
    assert [line["netAmount"]["amount"] for line in made["lines"]] == ["299.90", "32.33"]
    assert made["lines"][1]["quantity"] == {"value": "1.5", "uom": "KGM"}
    assert made["totals"] == {
        "net": {"amount": "332.23", "currency": "EUR"},
        "tax": {"amount": "0.00", "currency": "EUR"},
        "gross": {"amount": "332.23", "currency": "EUR"},
    }
    assert made == await body_of(api, "getOrder", orderId=made["id"])


async def test_fifty_lines_are_taken_over_at_once(api: APIUnderTest, org: Org) -> None:
    before = org.calls
    _, made = await create(api, an_order(await an_account(api), "PO-1", *["CUP-DEMI-6"] * 50))

    assert len(made["lines"]) == 50
    # The account; is it there; what it refers to; the order itself; reading it back.
    assert org.calls - before == 5


async def test_the_same_order_again_is_the_first(api: APIUnderTest, org: Org) -> None:
    body = an_order(await an_account(api))
    first, second = await create(api, body), await create(api, body)

    assert (first[0], second[0]) == (201, 200)
    assert first[1] == second[1]
    assert orders_in(org) == 1


async def test_the_name_of_another_order_is_409(api: APIUnderTest, org: Org) -> None:
    account = await an_account(api)
    _, made = await create(api, an_order(account))

    problem = await problem_of(api, an_order(account, "PO-1", "KETTLE-G1"))

    assert problem.kind is CONFLICT
    assert problem.extensions == {"orderId": made["id"]}
    assert orders_in(org) == 1


async def test_many_that_create_one_order_at_a_time_make_one(api: APIUnderTest, org: Org) -> None:
    body = an_order(await an_account(api))
    replies = await asyncio.gather(*(create(api, body) for _ in range(8)))

    assert sorted(status for status, _ in replies) == [200] * 7 + [201]
    assert len({made["id"] for _, made in replies}) == 1
    assert orders_in(org) == 1


async def test_every_place_that_cannot_be_taken_over_is_named(api: APIUnderTest, org: Org) -> None:
    body = an_order("001QyK0000000zzIBA", "PO-1", "NO-SUCH-SKU", "GRINDER-M1", "GRINDER-M2")
    body["lines"][1]["unitPrice"]["currency"] = "USD"
    body["lines"][2]["quantity"]["uom"] = "KGM"

    problem = await problem_of(api, body)

    assert problem.kind is CONFLICT
    errors: Any = problem.extensions["errors"]
    assert [error["pointer"] for error in errors] == [
        "#/customerId",
        "#/lines/0/sku",
        "#/lines/1/unitPrice/currency",
        "#/lines/2/quantity/uom",
    ]
    assert orders_in(org) == 0


async def test_a_code_that_several_products_have_is_not_guessed_at(
    api: APIUnderTest, org: Org
) -> None:
    saving, book = Saving(version="v68.0"), next(org.data.store.records("Pricebook2"))["Id"]
    values = {"Name": "Another", "ProductCode": "GRINDER-M1", "IsActive": True}
    made = org.data.store.insert(OBJECTS["product2"], values, saving)
    price = {"Pricebook2Id": book, "Product2Id": made, "IsActive": True, "UnitPrice": 1}
    org.data.store.insert(OBJECTS["pricebookentry"], price, saving)

    problem = await problem_of(api, an_order(await an_account(api)))

    assert problem.kind is CONFLICT
    assert problem.detail == "GRINDER-M1 is 2 times in the price book in EUR"


async def test_orders_are_listed_the_newest_first(api: APIUnderTest) -> None:
    account, other = await an_account(api), await an_account(api, "C-1002")
    for name, owner in (("PO-1", account), ("PO-2", other), ("PO-3", account)):
        await create(api, an_order(owner, name))

    everything = await body_of(api, "listOrders")
    of_one = await body_of(api, "listOrders", customerId=account)
    by_name = await body_of(api, "listOrders", poNumber="PO-2")

    assert [item["poNumber"] for item in everything["items"]] == ["PO-3", "PO-2", "PO-1"]
    assert [item["poNumber"] for item in of_one["items"]] == ["PO-3", "PO-1"]
    assert [item["poNumber"] for item in by_name["items"]] == ["PO-2"]


async def test_an_order_is_confirmed_once_and_as_often_as_asked(api: APIUnderTest) -> None:
    _, made = await create(api, an_order(await an_account(api)))
    first = await body_of(api, "confirmOrder", orderId=made["id"])
    second = await body_of(api, "confirmOrder", orderId=made["id"])

    assert first["status"] == "confirmed"
    assert first["version"] >= made["version"]
    assert second == first


async def test_an_order_without_lines_cannot_be_confirmed(api: APIUnderTest, org: Org) -> None:
    _, made = await create(api, an_order(await an_account(api)))
    (item,) = org.data.store.records("OrderItem")
    org.data.store.delete(OBJECTS["orderitem"], item["Id"])

    with pytest.raises(Problem) as caught:
        await api.invoke("confirmOrder", {"orderId": made["id"]})

    assert caught.value.kind is CONFLICT
    assert caught.value.extensions["systemCode"] == "FAILED_ACTIVATION"


@pytest.mark.parametrize("lost", [2, 3], ids=["look-ups", "order"])
async def test_an_answer_that_was_lost_after_the_commit_leaves_one_order(
    api: APIUnderTest, served: Running, org: Org, lost: int
) -> None:
    """The second request looks up what the order refers to; the third is the order itself."""
    body = an_order(await an_account(api))
    served.faulty.set(Faults(latency_seconds=0.1))
    before = served.faulty.requests
    creating = asyncio.ensure_future(create(api, body))
    while served.faulty.requests < before + lost:  # noqa: ASYNC110  # in another thread
        await asyncio.sleep(0.005)
    served.faulty.faults.lost_responses = 1
    status, made = await creating

    assert status == {2: 201, 3: 200}[lost]
    assert made["poNumber"] == "PO-1"
    assert orders_in(org) == 1
    assert served.faulty.faults.lost_responses == 0


async def test_an_order_that_was_deleted_is_not_made_again(api: APIUnderTest, org: Org) -> None:
    body = an_order(await an_account(api))
    _, made = await create(api, body)
    org.data.store.delete(OBJECTS["order"], made["id"])

    problem = await problem_of(api, body)

    assert problem.kind is CONFLICT
    assert "was deleted" in problem.detail
    assert orders_in(org) == 0


async def test_customers_may_have_the_same_reference(api: APIUnderTest, org: Org) -> None:
    statuses = [
        (await create(api, an_order(await an_account(api, key))))[0] for key in ("C-1001", "C-1002")
    ]

    assert statuses == [201, 201]
    assert orders_in(org) == 2


async def test_answers_that_stay_lost_are_in_doubt_until_the_request_is_repeated(
    api: APIUnderTest, served: Running, org: Org
) -> None:
    body = an_order(await an_account(api))
    served.faulty.set(Faults(lost_responses=100))
    problem = await problem_of(api, body)
    served.faulty.set(Faults())
    await asyncio.sleep(PAUSE_SECONDS * 1.1)
    status, _ = await create(api, body)

    assert problem.status in (502, 503)
    assert (status in (200, 201), orders_in(org)) == (True, 1)


PROGRAM = """
import asyncio, json, os, sys
sys.path[:0] = [os.getcwd()]
from pathlib import Path
from portico.contract import load
from tests.system_apis.salesforce.conftest import CONTRACT, KEY, opened

async def main(url, folder, body):
    async with opened(load(CONTRACT), url, Path(folder)) as api:
        print("ready", flush=True)
        sys.stdin.readline()
        await api.invoke("createOrder", KEY, body=json.loads(body), seconds=60)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_process_that_is_killed_after_the_commit_leaves_one_order(
    api: APIUnderTest, client: Salesforce, served: Running, org: Org, tmp_path: Path
) -> None:
    """Whoever comes next knows nothing of it and sends the same request."""
    body = an_order(await an_account(api))
    async with process(PROGRAM, served.url, str(tmp_path), json.dumps(body)) as running:
        served.faulty.set(Faults(latency_seconds=0.1))
        before = served.faulty.requests
        # The fourth request, after the token and two look-ups, is the order itself.
        await go_on_until(running, lambda: served.faulty.requests == before + 4)
        served.faulty.faults.held_responses = 1
        async with asyncio.timeout(10):
            while not org.data.store._table("OrderItem"):  # noqa: ASYNC110  # in another thread
                await asyncio.sleep(0.005)
    served.faulty.set(Faults())

    status, made = await create(api, body)

    assert (status, orders_in(org)) == (200, 1)
    assert [line["sku"] for line in made["lines"]] == ["GRINDER-M1"]
    link = await client.references.find_external("Order", "salesforce", "127.0.0.1", made["id"])
    assert link is not None
    assert link.state == "linked"
