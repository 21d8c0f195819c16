"""The connector on SAP's own service definitions, served by SAP's runtime: V2, V4, ETags, batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

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
from system_apis.sap.s4 import SALES_ORDERS
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


async def test_an_etag_is_needed_and_has_to_be_current(api: APIUnderTest, client: SAP) -> None:
    _, made = await create(api, an_order(await a_customer(api), "PO-3"))
    errand = Job(deadline=Deadline.after(10))

    async def change(etag: str) -> None:
        path, values = f"A_SalesOrder('{made['id']}')", {"PurchaseOrderByCustomer": "PO-X"}
        wanted = Change(path=path, values=values, etag=etag)
        await client.change(errand, "test", SALES_ORDERS, wanted)

    async def change_together(etag: str) -> None:
        path, values = f"A_SalesOrder('{made['id']}')", {"PurchaseOrderByCustomer": "PO-X"}
        wanted = [Change(path=path, values=values, etag=etag)]
        await client.change_together(errand, "test", SALES_ORDERS, wanted)

    for attempt in (change, change_together):
        with pytest.raises(ConflictError):
            await attempt('W/"stale"')
    with pytest.raises(BrokenError):
        await change("")
    assert (await body_of(api, "getOrder", orderId=made["id"]))["poNumber"] == "PO-3"


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
