"""The connector on SAP's own service definitions, served by SAP's runtime: V2, V4, ETags, batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from portico.connectors.failures import BrokenError, ConflictError
from portico.connectors.messages import Job
from portico.contract import Contract
from portico.deadline import Deadline
from portico.problems import CONFLICT, NOT_FOUND, Problem
from portico.sandbox.company import read_company
from portico.testing import APIUnderTest
from system_apis.sap import handlers
from system_apis.sap.app import resources
from system_apis.sap.batch import Change
from system_apis.sap.connector import SAP
from system_apis.sap.mapping import PARTNER, PRODUCT
from system_apis.sap.odata import Query, entity_path, equal, etag_of
from system_apis.sap.order_mapping import ORDER
from system_apis.sap.s4 import BUSINESS_PARTNERS, PRODUCTS, SALES_ORDERS, Service
from tests.support import cap
from tests.support.operations import all_pages, body_of
from tests.system_apis.sap.conftest import KEY, a_customer, an_order, settings_for

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(cap.INSTALL_SECONDS + 60)]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the services once for all tests."""
    try:
        with cap.running(tmp_path_factory.mktemp("cap")) as url:
            yield url
    except cap.UnavailableError as error:
        pytest.skip(f"needs {error}")


@pytest.fixture
async def client(url: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[SAP]:
    del anyio_backend
    async with resources(settings_for(url, tmp_path)) as opened:
        yield opened


@pytest.fixture
def api(client: SAP, contract: Contract) -> APIUnderTest:
    return APIUnderTest(contract, handlers, resources=client)


STALE = 'W/"stale"'


def a_job() -> Job:
    return Job(deadline=Deadline.after(10))


async def create(api: APIUnderTest, body: dict[str, Any]) -> tuple[int, Any]:
    reply = await api.invoke("createOrder", KEY, body=body)
    return reply.status, reply.body


async def test_customers_are_read_page_by_page(api: APIUnderTest) -> None:
    pages = await all_pages(api, "listCustomers", limit=2)
    names = [item["name"] for page in pages for item in page]

    assert names[:5] == [each.name for each in read_company().customers]
    found = (await body_of(api, "listCustomers", q="Mill"))["items"]
    assert [item["name"] for item in found] == ["Old Mill Bakery"]


async def test_products_are_read_by_v4(api: APIUnderTest) -> None:
    pages = await all_pages(api, "listProducts", limit=4)

    names = [item["sku"] for page in pages for item in page]
    assert names == sorted(each.code for each in read_company().products)
    kettle = await body_of(api, "getProduct", sku="KETTLE-G1")
    assert (kettle["name"], kettle["uom"]) == ("Gooseneck kettle, 1 litre", "C62")


async def test_an_order_is_created_deep_and_found_again(api: APIUnderTest) -> None:
    body = an_order(await a_customer(api), "PO-'1".replace("'", "-"), "GRINDER-M1", "KETTLE-G1")
    first = await create(api, {**body, "requestedDelivery": "2040-05-01"})
    second = await create(api, body)

    assert (first[0], second[0]) == (201, 200)
    assert second[1]["id"] == first[1]["id"]
    assert first[1]["requestedDelivery"] == "2040-05-01"
    assert [line["unitPrice"]["amount"] for line in first[1]["lines"]] == ["149.95", "149.95"]
    assert first[1]["totals"]["net"] == {"amount": "599.80", "currency": "EUR"}
    (found,) = (await body_of(api, "listOrders", poNumber=body["poNumber"]))["items"]
    assert found == first[1]


async def test_an_order_is_changed_in_a_change_set(api: APIUnderTest) -> None:
    _, made = await create(api, an_order(await a_customer(api), "PO-2"))
    change = {
        "requestedDelivery": "2040-06-01",
        "lines": [{"lineNo": 1, "quantity": {"value": "3.5"}}],
        "version": made["version"],
    }
    changed: Any = (await api.invoke("changeOrder", {"orderId": made["id"]}, body=change)).body
    with pytest.raises(Problem) as caught:
        await api.invoke("changeOrder", {"orderId": made["id"]}, body=change)

    assert changed["requestedDelivery"] == "2040-06-01"
    assert changed["lines"][0]["quantity"]["value"] == "3.5"
    assert changed["version"] > made["version"]
    assert caught.value.kind is CONFLICT


Changing = tuple[Service, str, dict[str, object], str]


async def an_order_to_change(api: APIUnderTest, client: SAP) -> Changing:
    _, made = await create(api, an_order(await a_customer(api), "PO-3"))
    query = Query(entity=ORDER, conditions=[equal("SalesOrder", made["id"])])
    record = await client.find(a_job(), "test", SALES_ORDERS, query)
    assert record is not None
    values: dict[str, object] = {"PurchaseOrderByCustomer": "PO-X"}
    return SALES_ORDERS, entity_path(ORDER, SalesOrder=made["id"]), values, etag_of(record)


async def a_partner_to_change(_api: APIUnderTest, client: SAP) -> Changing:
    query = Query(entity=PARTNER, conditions=[equal("BusinessPartner", "1000002")])
    record = await client.find(a_job(), "test", BUSINESS_PARTNERS, query)
    assert record is not None
    values: dict[str, object] = {"SearchTerm1": "CHANGED"}
    return (
        BUSINESS_PARTNERS,
        entity_path(PARTNER, BusinessPartner="1000002"),
        values,
        etag_of(record),
    )


async def a_product_to_change(_api: APIUnderTest, client: SAP) -> Changing:
    query = Query(entity=PRODUCT, conditions=[equal(PRODUCT, "KETTLE-G1")])
    record = await client.find(a_job(), "test", PRODUCTS, query)
    assert record is not None
    values: dict[str, object] = {"ProductGroup": "KETTLES"}
    return PRODUCTS, entity_path(PRODUCT, Product="KETTLE-G1"), values, record.text("@odata.etag")


@pytest.mark.parametrize(
    "find", [an_order_to_change, a_partner_to_change, a_product_to_change], ids=["V2", "V2", "V4"]
)
async def test_an_etag_is_needed_and_has_to_be_current(
    api: APIUnderTest,
    client: SAP,
    find: Callable[[APIUnderTest, SAP], Awaitable[Changing]],
) -> None:
    service, path, values, etag = await find(api, client)

    with pytest.raises(ConflictError):
        await client.change(a_job(), "test", service, Change(path=path, values=values, etag=STALE))
    with pytest.raises(BrokenError, match="Precondition Required"):
        await client.change(a_job(), "test", service, Change(path=path, values=values))
    assert (await find(api, client))[3] == etag
    await client.change(a_job(), "test", service, Change(path=path, values=values, etag=etag))
    assert (await find(api, client))[3] != etag


@pytest.mark.parametrize("find", [an_order_to_change, a_partner_to_change])
async def test_a_change_set_with_one_stale_etag_changes_nothing(
    api: APIUnderTest,
    client: SAP,
    find: Callable[[APIUnderTest, SAP], Awaitable[Changing]],
) -> None:
    service, path, values, etag = await find(api, client)
    good, stale = (Change(path=path, values=values, etag=each) for each in (etag, STALE))

    with pytest.raises(ConflictError):
        await client.change_together(a_job(), "test", service, [good, stale])
    assert (await find(api, client))[3] == etag
    await client.change_together(a_job(), "test", service, [good])
    assert (await find(api, client))[3] != etag


async def test_a_session_that_ended_is_begun_again_whichever_service_is_written_to(
    api: APIUnderTest, url: str
) -> None:
    customer = await a_customer(api)
    for way, arguments, body in (
        ("changeCustomer", {"customerId": customer}, {"language": "nl"}),
        ("createOrder", KEY, an_order(customer, "PO-4")),
    ):
        await api.invoke("changeCustomer", {"customerId": customer}, body={"language": "de"})
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.post(f"{url}/forget-sessions")).status_code == 204

        assert (await api.invoke(way, arguments, body=body)).status in {200, 201}


async def test_a_customer_that_somebody_else_changes_is_changed_all_the_same(
    api: APIUnderTest,
) -> None:
    customer = await a_customer(api)

    async def change(language: str) -> None:
        await api.invoke("changeCustomer", {"customerId": customer}, body={"language": language})

    await asyncio.gather(change("de"), change("fr"))

    assert (await body_of(api, "getCustomer", customerId=customer))["language"] in {"de", "fr"}


async def test_invoices_are_read_page_by_page_with_what_they_bill(api: APIUnderTest) -> None:
    pages = await all_pages(api, "listInvoices", limit=3)
    invoices = {each["id"]: each for page in pages for each in page}

    assert list(invoices) == ["90000004", "90000003", "90000002", "90000001"]
    assert [each["status"] for each in invoices.values()] == ["issued", "void", "issued", "paid"]
    assert invoices["90000004"]["kind"] == "credit_note"
    paid = await body_of(api, "getInvoice", invoiceId="90000001")
    assert paid == invoices["90000001"]
    assert paid["orderIds"] == ["1"]
    assert paid["totals"]["gross"] == {"amount": "360.58", "currency": "EUR"}
    assert paid["lines"][0]["quantity"] == {"value": "2", "uom": "C62"}
    (mine,) = (await body_of(api, "listInvoices", customerId="17100002"))["items"]
    assert mine == invoices["90000002"]


async def test_what_was_changed_since_is_asked_for_as_each_protocol_writes_moments(
    api: APIUnderTest,
) -> None:
    async def count(operation_id: str, moment: str) -> int:
        pages = await all_pages(api, operation_id, changedSince=moment)
        return sum(len(page) for page in pages)

    await create(api, an_order(await a_customer(api), "PO-5"))
    for operation_id in ("listCustomers", "listProducts", "listOrders", "listInvoices"):
        assert await count(operation_id, "2026-01-01T00:00:00Z") > 0
        assert await count(operation_id, "2099-01-01T00:00:00Z") == 0
    assert await count("listInvoices", "2026-11-03T00:00:00Z") == 2


async def test_a_customer_is_created_deep_and_changed(api: APIUnderTest) -> None:
    body = {
        "externalKey": "C-2001",
        "name": "Lighthouse Kiosk",
        "email": "orders@lighthouse.example",
        "phone": "+31 174 555 0199",
        "address": {"line1": "1 Lighthouse Road", "city": "Hoek van Holland", "country": "NL"},
    }
    made: Any = (await api.invoke("createCustomer", KEY, body=body)).body
    again = await api.invoke("createCustomer", KEY, body=body)
    change = {"name": "Lighthouse", "language": "nl"}
    changed: Any = (
        await api.invoke("changeCustomer", {"customerId": made["id"]}, body=change)
    ).body

    assert again.status == 200
    assert (made["email"], made["phone"]) == (body["email"], body["phone"])
    assert made["addresses"][0]["city"] == "Hoek van Holland"
    assert (changed["name"], changed["language"]) == ("Lighthouse", "nl")


async def test_what_is_not_there_is_404(api: APIUnderTest) -> None:
    for operation_id, arguments in (
        ("getOrder", {"orderId": "99999"}),
        ("getCustomer", {"customerId": "99999"}),
        ("getInvoice", {"invoiceId": "99999"}),
    ):
        with pytest.raises(Problem) as caught:
            await api.invoke(operation_id, arguments)
        assert caught.value.kind is NOT_FOUND
