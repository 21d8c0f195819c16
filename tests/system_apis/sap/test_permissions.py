"""What the communication user lacks is for the operator, and changes nothing."""

from __future__ import annotations

import pytest

from portico.problems import Problem
from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from portico.testing import APIUnderTest
from system_apis.sap.sandbox.s4 import S4
from tests.system_apis.sap.conftest import KEY, a_customer, an_order

pytestmark = pytest.mark.anyio

NO_ACCESS = (502, "/IWFND/CM_CONSUMER/101")


async def refusal(
    api: APIUnderTest, name: str, arguments: dict[str, object], body: object = None
) -> tuple[int, object]:
    with pytest.raises(Problem) as raised:
        await api.invoke(name, arguments, body=body)
    return raised.value.status, raised.value.extensions["systemCode"]


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("API_BUSINESS_PARTNER", "listCustomers"),
        ("API_PRODUCT", "listProducts"),
        ("API_SALES_ORDER_SRV", "listOrders"),
        ("API_BILLING_DOCUMENT_SRV", "listInvoices"),
    ],
)
async def test_a_service_that_is_not_arranged_is_502(
    api: APIUnderTest, served: Running, service: str, operation: str
) -> None:
    served.faulty.set(Faults(no_access=(service,)))

    assert await refusal(api, operation, {}) == NO_ACCESS


async def test_a_user_without_sales_orders_changes_customers_all_the_same(
    api: APIUnderTest, served: Running
) -> None:
    customer = await a_customer(api)
    served.faulty.set(Faults(no_access=("API_SALES_ORDER_SRV",)))

    reply = await api.invoke("changeCustomer", {"customerId": customer}, body={"language": "de"})

    assert reply.status == 200


async def test_an_order_may_be_read_and_not_made(
    api: APIUnderTest, served: Running, s4: S4
) -> None:
    customer = await a_customer(api)
    before = len(list(s4.store.rows("A_SalesOrder")))
    served.faulty.set(Faults(read_only=("API_SALES_ORDER_SRV",)))

    refused = await refusal(api, "createOrder", KEY, an_order(customer))

    assert refused == (502, "/IWFND/COD/046")
    assert len(list(s4.store.rows("A_SalesOrder"))) == before
    assert (await api.invoke("listOrders", {})).status == 200


async def test_a_change_set_that_is_not_permitted_is_no_mistake_of_the_caller(
    api: APIUnderTest, served: Running
) -> None:
    customer = await a_customer(api)
    made = (await api.invoke("createOrder", KEY, body=an_order(customer))).body
    assert isinstance(made, dict)
    served.faulty.set(Faults(read_only=("API_SALES_ORDER_SRV",)))

    lines = [{"lineNo": 1, "quantity": {"value": "5"}}]
    change = {"requestedDelivery": "2040-01-01", "lines": lines}
    refused = await refusal(api, "changeOrder", {"orderId": made["id"]}, change)

    assert refused == (502, "HTTP 403")
