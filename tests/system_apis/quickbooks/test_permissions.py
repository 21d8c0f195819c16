"""What the user or the app lacks is for the operator, and changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from portico.problems import Problem
from portico.sandbox.faults import Faults
from system_apis.quickbooks.sandbox.server import SCOPE
from tests.system_apis.quickbooks.conftest import Company

pytestmark = pytest.mark.anyio


async def refusal(
    company: Company, name: str, body: object = None, **arguments: object
) -> tuple[int, object]:
    with pytest.raises(Problem) as raised:
        await company.api.invoke(name, arguments, body=body)
    return raised.value.status, raised.value.extensions["systemCode"]


async def test_what_may_not_be_read_is_502(company: Company) -> None:
    company.running.faulty.set(Faults(no_access=("Invoice",)))

    await company.api.invoke("listCustomers")  # has a token
    before = company.running.faulty.requests

    assert await refusal(company, "listInvoices") == (502, "120")
    assert company.running.faulty.requests == before + 1  # asking again would not help
    assert await refusal(company, "getInvoice", invoiceId="1") == (502, "120")
    assert (await company.api.invoke("listCustomers")).status == 200


async def test_changes_of_what_may_not_be_read_are_502(company: Company) -> None:
    company.running.faulty.set(Faults(no_access=("Payment",)))

    since = datetime.now(UTC).isoformat()

    assert await refusal(company, "listChanges", since=since) == (502, "120")


async def test_what_may_only_be_read_is_not_written(company: Company) -> None:
    before = company.count("Customer")
    company.running.faulty.set(Faults(read_only=("Customer",)))

    assert await refusal(company, "putCustomer", {"name": "New"}, externalKey="C-9") == (502, "120")
    assert company.count("Customer") == before
    assert (await company.api.invoke("listCustomers")).status == 200


async def test_an_app_without_the_scope_may_do_nothing(company: Company) -> None:
    company.running.faulty.set(Faults(no_access=(SCOPE,)))

    assert await refusal(company, "listCustomers") == (502, "3100")
