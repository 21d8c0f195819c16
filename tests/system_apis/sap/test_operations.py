"""Customers, products, orders and invoices of an S/4HANA."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portico.connectors.pages import to_cursor
from portico.problems import CONFLICT, INVALID_PARAMETER, NOT_FOUND, Problem
from portico.sandbox.company import read_company
from portico.testing import APIUnderTest
from system_apis.sap.connector import SAP
from system_apis.sap.sandbox.model import entity_named
from system_apis.sap.sandbox.s4 import S4
from tests.support.operations import all_pages, body_of
from tests.system_apis.sap.conftest import KEY, a_customer, an_order

pytestmark = pytest.mark.anyio

COMPANY = read_company()
SKUS = sorted(product.code for product in COMPANY.products)
CUSTOMERS = [customer.name for customer in COMPANY.customers]


async def create(api: APIUnderTest, body: dict[str, Any]) -> tuple[int, Any]:
    reply = await api.invoke("createOrder", KEY, body=body)
    return reply.status, reply.body


async def problem_of(waiting: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await waiting
    return caught.value


@pytest.mark.parametrize(
    ("operation_id", "name", "names"),
    [("listCustomers", "name", CUSTOMERS), ("listProducts", "sku", SKUS)],
)
async def test_pages_hold_everything_once_in_one_order(
    api: APIUnderTest, s4: S4, operation_id: str, name: str, names: list[str]
) -> None:
    """Also where the system makes shorter pages than asked for."""
    small = await all_pages(api, operation_id, limit=2)
    s4.page_size = 2
    large = await all_pages(api, operation_id, limit=100)

    assert [item[name] for page in small for item in page] == names
    assert all(len(page) == 2 for page in small[:-1])
    assert [item for page in small for item in page] == large[0]


@pytest.mark.parametrize("operation_id", ["listCustomers", "listOrders", "listInvoices"])
@pytest.mark.parametrize("cursor", ["somewhere%", "CgoK", "_"])
async def test_a_foreign_cursor_has_no_page(
    api: APIUnderTest, operation_id: str, cursor: str
) -> None:
    """The second is base64 of line feeds; the others are not even that."""
    problem = await problem_of(api.invoke(operation_id, {"cursor": cursor}))

    assert problem.kind in (NOT_FOUND, INVALID_PARAMETER)


@pytest.mark.parametrize(
    ("text", "count"), [("Mill", 1), ("c-100", 5), ("Café", 1), ("' or '", 0), ("x')", 0)]
)
async def test_customers_are_found_by_name_or_search_term(
    api: APIUnderTest, text: str, count: int
) -> None:
    page = await body_of(api, "listCustomers", q=text)

    assert len(page["items"]) == count


async def test_a_customer_is_named_by_its_customer_number(api: APIUnderTest) -> None:
    number = await a_customer(api)
    customer = await body_of(api, "getCustomer", customerId=number)

    assert customer["name"] == "Harbour Street Coffee"
    assert customer["email"] == "orders@harbour-street.example"
    assert customer["phone"] == "+31 10 555 0101"
    assert customer["status"] == "active"
    assert [(each["entity"], each["id"]) for each in customer["externalIds"]] == [
        ("A_Customer", "17100001"),
        ("A_BusinessPartner", "1000001"),
        ("A_BusinessPartner", "C-1001"),
    ]
    (address,) = customer["addresses"]
    assert (address["line1"], address["country"]) == ("4 Harbour Street", "NL")
    assert customer["extensions"] == {"sap": {"searchTerm": "C-1001"}}


async def test_keys_with_zeros_are_answered_without(api: APIUnderTest, s4: S4) -> None:
    plain = await body_of(api, "listOrders")
    s4.zeros = True

    assert (await body_of(api, "listOrders"))["items"] == plain["items"]
    assert plain["items"][0]["id"] == "1"
    assert (await body_of(api, "listInvoices"))["items"][0]["orderIds"] == ["1"]


async def test_a_product_has_its_name_in_our_language_and_its_unit(api: APIUnderTest) -> None:
    page = await body_of(api, "listProducts", skus=["BEANS-HOUSE", "TRAINING-2H", "NO-SUCH"])

    assert [(item["name"], item["uom"], item["kind"]) for item in page["items"]] == [
        ("House blend, loose", "KGM", "good"),
        ("Barista training, two hours", "C62", "service"),
    ]
    assert page["items"][0] == await body_of(api, "getProduct", sku="BEANS-HOUSE")


async def test_an_invoice_has_its_sums_and_its_order(api: APIUnderTest) -> None:
    (invoice,) = (await body_of(api, "listInvoices", customerId=await a_customer(api)))["items"]

    assert invoice["status"] == "issued"
    assert invoice["orderIds"] == ["1"]
    assert {name: amount["amount"] for name, amount in invoice["totals"].items()} == {
        "net": "298.00",
        "tax": "62.58",
        "gross": "360.58",
        "paid": "0.00",
        "due": "360.58",
    }
    assert invoice == await body_of(api, "getInvoice", invoiceId=invoice["id"])


@pytest.mark.parametrize(
    ("operation_id", "arguments"),
    [
        ("getCustomer", {"customerId": "99"}),
        ("getProduct", {"sku": "NO-SUCH-SKU"}),
        ("getOrder", {"orderId": "99"}),
        ("getInvoice", {"invoiceId": "99"}),
    ],
)
async def test_what_is_not_there_is_404(
    api: APIUnderTest, operation_id: str, arguments: dict[str, str]
) -> None:
    assert (await problem_of(api.invoke(operation_id, arguments))).kind is NOT_FOUND


async def test_an_order_is_taken_over_with_its_lines_and_totals(api: APIUnderTest) -> None:
    body = an_order(await a_customer(api), "PO-1", "GRINDER-M1", "BEANS-HOUSE")
    body["lines"][1] |= {
        "quantity": {"value": "1.5", "uom": "KGM"},
        "unitPrice": {"amount": "21.55", "currency": "EUR"},
    }
    status, made = await create(api, {**body, "requestedDelivery": "2040-05-01"})

    assert status == 201
    assert made["status"] == "confirmed"
    assert made["requestedDelivery"] == "2040-05-01"
    assert [line["sku"] for line in made["lines"]] == ["GRINDER-M1", "BEANS-HOUSE"]
    assert [line["unitPrice"]["amount"] for line in made["lines"]] == ["149.95", "21.55"]
    assert [line["netAmount"]["amount"] for line in made["lines"]] == ["299.90", "32.33"]
    assert made["lines"][1]["quantity"] == {"value": "1.5", "uom": "KGM"}
    assert {name: amount["amount"] for name, amount in made["totals"].items()} == {
        "net": "332.23",
        "tax": "69.77",
        "gross": "402.00",
    }
    assert made == await body_of(api, "getOrder", orderId=made["id"])


async def test_what_sap_warns_of_comes_with_the_order(api: APIUnderTest) -> None:
    body = an_order(await a_customer(api))
    _, made = await create(api, {**body, "requestedDelivery": "2020-01-01"})

    (message,) = made["extensions"]["sap"]["messages"]
    assert (message["code"], message["severity"]) == ("V4/115", "warning")


async def test_the_same_order_again_is_the_first(api: APIUnderTest, s4: S4) -> None:
    before = len(list(s4.store.rows("A_SalesOrder")))
    body = an_order(await a_customer(api))
    first, second = await create(api, body), await create(api, body)

    assert (first[0], second[0]) == (201, 200)
    assert first[1]["id"] == second[1]["id"]
    assert len(list(s4.store.rows("A_SalesOrder"))) == before + 1


async def test_the_name_of_another_order_is_409(api: APIUnderTest) -> None:
    customer = await a_customer(api)
    _, made = await create(api, an_order(customer))
    problem = await problem_of(create(api, an_order(customer, "PO-1", "KETTLE-G1")))

    assert problem.kind is CONFLICT
    assert problem.extensions == {"orderId": made["id"]}


async def test_many_that_create_one_order_at_a_time_make_one(api: APIUnderTest, s4: S4) -> None:
    body = an_order(await a_customer(api))
    replies = await asyncio.gather(*(create(api, body) for _ in range(6)), return_exceptions=True)
    again = await create(api, body)

    statuses = [
        reply.status if isinstance(reply, Problem) else reply[0]  # type: ignore[index]  # a tuple
        for reply in replies
    ]
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 409}
    assert again[0] == 200
    names = [each["PurchaseOrderByCustomer"] for each in s4.store.rows("A_SalesOrder")]
    assert names.count("PO-1") == 1


async def test_every_place_that_cannot_be_taken_over_is_named(api: APIUnderTest) -> None:
    body = an_order("99", "P" * 36, "NO-SUCH-SKU", "GRINDER-M1", "GRINDER-M2")
    body["lines"][1]["unitPrice"]["currency"] = "USD"
    body["lines"][2]["quantity"]["uom"] = "KGM"

    problem = await problem_of(create(api, body))

    assert problem.kind is CONFLICT
    errors: Any = problem.extensions["errors"]
    assert [error["pointer"] for error in errors] == [
        "#/customerId",
        "#/poNumber",
        "#/lines/0/sku",
        "#/lines/1/unitPrice/currency",
        "#/lines/2/quantity/uom",
    ]


async def test_what_was_corrected_is_taken_over_at_once(api: APIUnderTest) -> None:
    customer = await a_customer(api)
    await problem_of(create(api, an_order(customer, "PO-1", "NO-SUCH-SKU")))

    assert (await create(api, an_order(customer)))[0] == 201


async def test_an_order_that_was_deleted_is_not_made_again(
    api: APIUnderTest, client: SAP, s4: S4
) -> None:
    body = an_order(await a_customer(api))
    _, made = await create(api, body)
    row = s4.store.find("A_SalesOrder", made["id"].zfill(10))
    assert row is not None
    s4.store.delete(entity_named("A_SalesOrder"), row)

    problem = await problem_of(create(api, body))

    assert problem.kind is CONFLICT
    assert "was deleted" in problem.detail
    link = await client.references.find_external("A_SalesOrder", "sap", "127.0.0.1", made["id"])
    assert link is not None
    assert link.state == "tombstone"


async def test_a_text_with_quotes_is_a_text_in_a_filter(api: APIUnderTest) -> None:
    page = await body_of(api, "listProducts", cursor=to_cursor("T' or Product ne '"))

    assert [item["sku"] for item in page["items"]] == ["TAMPER-58", "TRAINING-2H"]


async def test_orders_are_listed_the_newest_first(api: APIUnderTest) -> None:
    customer, other = await a_customer(api), await a_customer(api, "C-1002")
    for name, owner in (("PO-1", customer), ("PO-2", other), ("PO-3", customer)):
        await create(api, an_order(owner, name))
    begin = datetime.now(UTC) - timedelta(hours=1)

    everything = await all_pages(api, "listOrders", limit=3)
    of_one = await body_of(api, "listOrders", customerId=other)
    by_name = await body_of(api, "listOrders", poNumber="PO-3")
    since = await body_of(api, "listOrders", changedSince=begin.isoformat())
    later = await body_of(api, "listOrders", changedSince="2039-01-01T00:00:00Z")

    names = [[item["poNumber"] for item in page] for page in everything]
    assert names == [["PO-3", "PO-2", "PO-1"], ["PO-2001"]]
    assert [item["poNumber"] for item in of_one["items"]] == ["PO-2"]
    assert [item["poNumber"] for item in by_name["items"]] == ["PO-3"]
    assert len(since["items"]) == 4
    assert later["items"] == []


async def test_an_order_is_changed_with_its_lines(api: APIUnderTest) -> None:
    _, made = await create(api, an_order(await a_customer(api), "PO-1", "GRINDER-M1", "KETTLE-G1"))
    change = {
        "requestedDelivery": "2040-06-01",
        "lines": [{"lineNo": 2, "quantity": {"value": "5.5"}}],
        "version": made["version"],
    }
    reply = await api.invoke("changeOrder", {"orderId": made["id"]}, body=change)

    changed: Any = reply.body
    assert changed["requestedDelivery"] == "2040-06-01"
    assert [line["quantity"]["value"] for line in changed["lines"]] == ["2", "5.5"]
    assert changed["poNumber"] == "PO-1"
    assert changed["version"] > made["version"]


async def test_a_change_for_another_version_is_409(api: APIUnderTest) -> None:
    _, made = await create(api, an_order(await a_customer(api)))
    change = {"requestedDelivery": "2040-06-01", "version": made["version"] - 1000}
    problem = await problem_of(api.invoke("changeOrder", {"orderId": made["id"]}, body=change))

    assert problem.kind is CONFLICT
    assert "requestedDelivery" not in await body_of(api, "getOrder", orderId=made["id"])


async def test_a_line_that_is_not_there_changes_nothing(api: APIUnderTest) -> None:
    _, made = await create(api, an_order(await a_customer(api)))
    change = {
        "requestedDelivery": "2040-06-01",
        "lines": [{"lineNo": 9, "quantity": {"value": "5"}}],
    }
    problem = await problem_of(api.invoke("changeOrder", {"orderId": made["id"]}, body=change))

    assert problem.kind is CONFLICT
    assert await body_of(api, "getOrder", orderId=made["id"]) == made


async def test_a_customer_is_created_once_and_changed(api: APIUnderTest) -> None:
    body = {
        "externalKey": "C-2001",
        "name": "Lighthouse Kiosk",
        "email": "orders@lighthouse.example",
        "address": {"line1": "1 Lighthouse Road", "city": "Hoek van Holland", "country": "NL"},
    }
    first = await api.invoke("createCustomer", KEY, body=body)
    second = await api.invoke("createCustomer", KEY, body=body)
    made: Any = first.body
    change = {"name": "Lighthouse", "status": "inactive", "language": "nl"}
    changed = await api.invoke("changeCustomer", {"customerId": made["id"]}, body=change)

    assert (first.status, second.status) == (201, 200)
    assert second.body == made
    assert made["email"] == "orders@lighthouse.example"
    assert made["addresses"][0]["city"] == "Hoek van Holland"
    result: Any = changed.body
    assert (result["name"], result["status"], result["language"]) == (
        "Lighthouse",
        "inactive",
        "nl",
    )
    assert await a_customer(api, "C-2001") == made["id"]
