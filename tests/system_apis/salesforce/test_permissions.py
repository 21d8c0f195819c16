"""What the app's user lacks is for the operator, and changes nothing."""

from __future__ import annotations

import pytest

from portico.problems import Problem
from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from portico.testing import APIUnderTest
from system_apis.salesforce.sandbox.org import Org
from tests.system_apis.salesforce.conftest import KEY, an_account, an_order

pytestmark = pytest.mark.anyio

C9: dict[str, object] = {"externalKey": "C-9"}


async def refusal(
    api: APIUnderTest, name: str, arguments: dict[str, object], body: object = None
) -> tuple[int, object]:
    with pytest.raises(Problem) as raised:
        await api.invoke(name, arguments, body=body)
    return raised.value.status, raised.value.extensions["systemCode"]


async def test_an_object_that_is_not_visible_is_502(api: APIUnderTest, served: Running) -> None:
    served.faulty.set(Faults(no_access=("Account",)))

    assert await refusal(api, "listCustomers", {}) == (502, "INVALID_TYPE")
    served.faulty.set(Faults())
    assert await an_account(api)


async def test_a_field_that_is_not_visible_is_502(api: APIUnderTest, served: Running) -> None:
    served.faulty.set(Faults(no_access=("Account.Ext_Id__c",)))

    assert await refusal(api, "listCustomers", {}) == (502, "INVALID_FIELD")


async def test_an_object_that_may_only_be_read_is_read_and_not_written(
    api: APIUnderTest, served: Running, org: Org
) -> None:
    served.faulty.set(Faults(read_only=("Account",)))

    refused = await refusal(api, "putCustomer", C9, {"name": "Quay 9"})

    assert refused == (502, "INSUFFICIENT_ACCESS_OR_READONLY")
    assert org.data.store.matches("Account", "Ext_Id__c", "C-9") == []
    assert await an_account(api)


async def test_an_order_whose_lines_may_not_be_written_is_not_there(
    api: APIUnderTest, served: Running, org: Org
) -> None:
    account = await an_account(api)
    served.faulty.set(Faults(read_only=("OrderItem",)))

    refused = await refusal(api, "createOrder", KEY, an_order(account))

    assert refused == (502, "INSUFFICIENT_ACCESS_OR_READONLY")
    assert list(org.data.store.records("Order")) == []


async def test_a_field_that_may_only_be_read_is_no_mistake_of_the_caller(
    api: APIUnderTest, served: Running
) -> None:
    served.faulty.set(Faults(read_only=("Account.Name",)))

    refused = await refusal(api, "putCustomer", C9, {"name": "Quay 9"})

    assert refused == (502, "INVALID_FIELD_FOR_INSERT_UPDATE")
