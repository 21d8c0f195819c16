"""What a restricted key lacks is for the operator, and changes nothing."""

from __future__ import annotations

import pytest

from portico.problems import Problem
from portico.sandbox.faults import Faults
from tests.system_apis.stripe.conftest import Account

pytestmark = pytest.mark.anyio


async def refusal(account: Account, name: str, body: object = None, **arguments: object) -> Problem:
    with pytest.raises(Problem) as raised:
        await account.api.invoke(name, arguments, body=body)
    return raised.value


async def test_what_may_not_be_read_is_502_and_names_the_permission(account: Account) -> None:
    account.running.faulty.set(Faults(no_access=("invoice",)))
    problem = await refusal(account, "listInvoices")

    assert problem.status == 502
    assert "rak_invoice_read" in str(problem.detail)
    assert (await account.api.invoke("listCustomers")).status == 200


async def test_what_may_only_be_read_is_not_written(account: Account) -> None:
    before = account.count("customer")
    account.running.faulty.set(Faults(read_only=("customer",)))
    problem = await refusal(account, "putCustomer", {"name": "New"}, externalKey="C-9")

    assert (problem.status, account.count("customer")) == (502, before)
    assert "rak_customer_write" in str(problem.detail)
    assert (await account.api.invoke("listCustomers")).status == 200


async def test_a_write_that_was_refused_can_be_made_with_the_permission(account: Account) -> None:
    account.running.faulty.set(Faults(read_only=("customer",)))
    await refusal(account, "putCustomer", {"name": "New"}, externalKey="C-9")
    account.running.faulty.set(Faults())

    reply = await account.api.invoke("putCustomer", {"externalKey": "C-9"}, body={"name": "New"})

    assert reply.status == 201
