"""pyodata (V2) and python-odata (V4), which know nothing of us, take the sandbox for SAP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyodata
import pytest
import requests
from odata import ODataService
from odata.exceptions import ODataError
from pyodata.exceptions import HttpError
from pyodata.vendor.SAP import BusinessGatewayError

from portico.sandbox.company import read_company
from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from system_apis.sap.sandbox.s4 import COOKIE, S4
from system_apis.sap.sandbox.system import USER
from tests.support.sandbox import SECRET

V2 = "/sap/opu/odata/sap/API_SALES_ORDER_SRV/"
V4 = "/sap/opu/odata4/sap/api_product/srvd_a2x/sap/product/0002/"
AN_ITEM = {"Material": "KETTLE-G1", "RequestedQuantity": "3", "RequestedQuantityUnit": "PC"}


@pytest.fixture
def session(served: Running) -> Iterator[requests.Session]:
    """A session of the communication user, with its CSRF token and cookies."""
    with requests.Session() as opened:
        opened.trust_env = False
        opened.auth = (USER, SECRET)
        answer = opened.get(served.url + V2, headers={"x-csrf-token": "Fetch"})
        opened.headers["x-csrf-token"] = answer.headers["x-csrf-token"]
        yield opened


@pytest.fixture
def judge(served: Running, session: requests.Session) -> Any:
    return pyodata.Client(served.url + V2, session)


@pytest.fixture
def products(served: Running, session: requests.Session) -> Any:
    return ODataService(
        served.url + V4, session=session, reflect_entities=True, quiet_progress=True
    )


def create(judge: Any, reference: str) -> Any:
    return (
        judge.entity_sets.A_SalesOrder.create_entity()
        .set(SoldToParty="17100001", PurchaseOrderByCustomer=reference, to_Item=[AN_ITEM])
        .execute()
    )


def test_an_order_is_created_with_its_items(judge: Any) -> None:
    made = create(judge, "PO's")

    orders = judge.entity_sets.A_SalesOrder
    read = orders.get_entity(made.SalesOrder).expand("to_Item").execute()
    assert read.PurchaseOrderByCustomer == "PO's"
    assert [item.Material for item in read.to_Item] == ["KETTLE-G1"]
    assert Decimal(read.to_Item[0].RequestedQuantity) == 3
    assert read.CreationDate.date() == read.LastChangeDateTime.date()


def test_orders_are_filtered_counted_sorted_and_cut(judge: Any) -> None:
    for number in range(3):
        create(judge, f"PO-{number}")
    orders = judge.entity_sets.A_SalesOrder

    found = orders.get_entities().filter("startswith(PurchaseOrderByCustomer,'PO-') eq true")
    page = found.order_by("SalesOrder desc").skip(1).top(2).count(inline=True).execute()

    assert page.total_count == 4
    assert [order.PurchaseOrderByCustomer for order in page] == ["PO-1", "PO-0"]
    assert orders.get_entities().count().execute() == 4


def test_keys_are_known_with_and_without_their_zeros(judge: Any) -> None:
    orders = judge.entity_sets.A_SalesOrder

    assert orders.get_entity("1").execute().SalesOrder == "1"
    assert orders.get_entity("0000000001").execute().SalesOrder == "1"
    filtered = orders.get_entities().filter("SoldToParty eq '0017100001'").execute()
    assert [order.SoldToParty for order in filtered] == ["17100001"]


def test_a_change_needs_the_etag_that_is_current(judge: Any) -> None:
    orders = judge.entity_sets.A_SalesOrder

    def change(reference: str, **headers: str) -> Any:
        request = orders.update_entity("1", method="PATCH")
        request.add_headers(headers)
        return request.set(PurchaseOrderByCustomer=reference).execute()

    etag = orders.get_entity("1").execute().etag
    with pytest.raises(HttpError) as without:
        change("PO-X")
    change("PO-NEW", **{"If-Match": etag})
    with pytest.raises(HttpError) as stale:
        change("PO-X", **{"If-Match": etag})

    assert without.value.response.status_code == 428
    assert stale.value.response.status_code == 412
    assert orders.get_entity("1").execute().PurchaseOrderByCustomer == "PO-NEW"


def test_changes_of_a_batch_take_effect_together_or_not_at_all(judge: Any) -> None:
    items, orders = judge.entity_sets.A_SalesOrderItem, judge.entity_sets.A_SalesOrder

    def change(*quantities: str) -> Any:
        batch, together = judge.create_batch(), judge.create_changeset()
        for quantity in quantities:
            key = {"SalesOrder": "1", "SalesOrderItem": "10"}
            together.add_request(items.update_entity(**key).set(RequestedQuantity=quantity))
        batch.add_request(orders.get_entity("1"))
        batch.add_request(together)
        return batch.execute()

    change("5")
    assert Decimal(orders.get_entity("1").execute().TotalNetAmount) == 745
    with pytest.raises(HttpError):
        change("7", "much")
    assert Decimal(orders.get_entity("1").execute().TotalNetAmount) == 745


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"SoldToParty": "999", "to_Item": [AN_ITEM]}, "V1/384"),
        ({"SoldToParty": "17100001", "to_Item": [{**AN_ITEM, "Material": "X"}]}, "V1/382"),
        ({"SoldToParty": "17100001", "to_Item": []}, None),
    ],
)
def test_an_order_that_is_wrong_is_refused_whole(
    judge: Any, s4: S4, values: dict[str, Any], code: str | None
) -> None:
    before = len(list(s4.store.rows("A_SalesOrder")))
    request = judge.entity_sets.A_SalesOrder.create_entity().set(**values)
    if code is None:
        request.execute()
        return
    with pytest.raises(HttpError) as caught:
        request.execute()

    assert caught.value.response.json()["error"]["code"] == code
    assert len(list(s4.store.rows("A_SalesOrder"))) == before


def test_a_write_without_the_token_is_told_to_fetch_one(
    served: Running, session: requests.Session, s4: S4
) -> None:
    s4.end_sessions()
    answer = session.post(f"{served.url}{V2}A_SalesOrder", json={})

    assert answer.status_code == 403
    assert answer.headers["x-csrf-token"] == "Required"
    assert COOKIE in [cookie.name for cookie in session.cookies]


def test_a_service_that_is_not_arranged_is_an_error_of_the_clients(
    judge: Any, products: Any, served: Running
) -> None:
    orders = judge.entity_sets.A_SalesOrder
    served.faulty.set(Faults(no_access=("API_SALES_ORDER_SRV", "API_PRODUCT")))

    with pytest.raises(BusinessGatewayError, match="'API_SALES_ORDER_SRV'") as caught:
        sap_error(lambda: orders.get_entities().execute())
    assert caught.value.response.status_code == 403
    with pytest.raises(ODataError, match="'API_PRODUCT'"):
        products.query(products.entities["Product"]).all()


def test_orders_that_may_only_be_read_are_not_written(judge: Any, served: Running, s4: S4) -> None:
    made = create(judge, "PO-1")
    before = len(list(s4.store.rows("A_SalesOrder")))
    served.faulty.set(Faults(read_only=("API_SALES_ORDER_SRV",)))

    with pytest.raises(BusinessGatewayError, match="sufficient authorization"):
        sap_error(lambda: create(judge, "PO-2"))

    assert judge.entity_sets.A_SalesOrder.get_entity(made.SalesOrder).execute()
    assert len(list(s4.store.rows("A_SalesOrder"))) == before


def sap_error(work: Callable[[], object]) -> None:
    """Do something with pyodata's reading of SAP's errors, which is switched on for all."""
    HttpError.VendorType = BusinessGatewayError
    try:
        work()
    finally:
        HttpError.VendorType = None


def test_nobody_comes_in_without_a_password(served: Running) -> None:
    answer = requests.get(served.url + V2, auth=(USER, "wrong"), timeout=5)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_a_long_list_is_paged_by_the_server(judge: Any, s4: S4) -> None:
    for number in range(4):
        create(judge, f"PO-{number}")
    s4.page_size = 2
    first = judge.entity_sets.A_SalesOrder.get_entities().execute()
    second = judge.entity_sets.A_SalesOrder.get_entities().next_url(first.next_url).execute()

    assert [order.SalesOrder for order in first] == ["1", "2"]
    assert [order.SalesOrder for order in second] == ["3", "4"]


def test_products_are_read_by_the_client_of_v4(products: Any) -> None:
    product = products.entities["Product"]
    found = products.query(product).filter(product.Product == "GRINDER-M1").all()

    assert [(each.Product, each.BaseUnit) for each in found] == [("GRINDER-M1", "PC")]
    assert len(products.query(product).all()) == len(read_company().products)
    assert len(products.query(product).limit(3).all()) == 3
