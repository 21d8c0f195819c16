"""What `portico doctor` finds of a company, and what it says to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from system_apis.quickbooks import doctor
from system_apis.quickbooks.app import resources
from tests.support.examine import examine, failing
from tests.support.script import Script, answer
from tests.support.serving import free_port
from tests.system_apis.quickbooks.conftest import Company, settings_for

pytestmark = pytest.mark.anyio

TOKEN = answer(200, b'{"access_token": "t", "expires_in": 3600}')
EMPTY = answer(200, b'{"QueryResponse": {}}', "content-type: application/json")


async def test_a_company_that_is_well_has_nothing_to_do(company: Company) -> None:
    checks = await examine(doctor, company.books)

    assert all(check.well for check in checks)
    assert [check.name for check in checks].count("permission") == 4
    assert [check.name for check in checks].count("clock") == 1


@pytest.mark.parametrize(
    ("setting", "code", "remedy"),
    [
        ("client_secret", "invalid_client", "client_secret"),
        ("client_id", "invalid_client", "client_id"),
        ("refresh_token", "invalid_grant", "authorize the app for the company again"),
    ],
)
async def test_a_wrong_credential_is_told_apart(
    sandbox: Running, tmp_path: Path, setting: str, code: str, remedy: str
) -> None:
    settings = settings_for(sandbox.url, tmp_path, **{setting: "a wrong one"})
    async with resources(settings) as books:
        check = await failing(doctor, books)

    assert (check.name, check.detail.endswith(f": {code}")) == ("credentials", True)
    assert remedy in check.remedy


async def test_another_company_is_a_matter_of_the_realm(sandbox: Running, tmp_path: Path) -> None:
    async with resources(settings_for(sandbox.url, tmp_path, realm_id="123")) as books:
        checks = await examine(doctor, books)

    lacking = [check for check in checks if not check.well]
    assert len(lacking) == 4
    assert all("realm_id" in check.remedy for check in lacking)


@pytest.mark.parametrize("entity", ["Customer", "Item", "Invoice", "Payment"])
async def test_what_the_user_may_not_see_is_named(company: Company, entity: str) -> None:
    company.running.faulty.set(Faults(no_access=(entity,)))
    check = await failing(doctor, company.books)

    assert check.detail.startswith(f"{doctor.SCOPE}: {entity}: Authorization Failure")
    assert "administrator of the company" in check.remedy


async def test_an_app_without_the_scope_is_told_so(company: Company) -> None:
    company.running.faulty.set(Faults(no_access=(doctor.SCOPE,)))
    lacking = [check for check in await examine(doctor, company.books) if not check.well]

    assert [check.name for check in lacking] == ["permission"] * 4
    assert all("ApplicationAuthorizationFailed" in check.detail for check in lacking)
    assert all(doctor.SCOPE in check.remedy for check in lacking)


async def test_a_subscription_that_ended_is_named(script: Script, tmp_path: Path) -> None:
    fault = {"Fault": {"Error": [{"Message": "Invalid Company Status", "code": "6190"}]}}
    forbidden = answer(403, json.dumps(fault).encode(), "content-type: application/json")
    script.answers = [TOKEN, EMPTY, EMPTY, forbidden, EMPTY]
    url = f"http://127.0.0.1:{script.port}"
    async with resources(settings_for(url, tmp_path)) as books:
        check = await failing(doctor, books)

    assert ": Invoice: Invalid Company Status" in check.detail
    assert "subscription" in check.remedy


async def test_a_limit_that_is_reached_is_no_matter_of_the_credentials(company: Company) -> None:
    await company.api.invoke("getCustomer", {"customerId": "1"})  # has a token
    company.running.faulty.set(Faults(throttled=100))
    check = await failing(doctor, company.books)

    assert check.name == "limits"
    assert "requests_per_minute" in check.remedy


async def test_a_token_endpoint_that_is_not_there_is_named(
    sandbox: Running, tmp_path: Path
) -> None:
    token_url = f"http://127.0.0.1:{free_port()}/tokens"
    async with resources(settings_for(sandbox.url, tmp_path, token_url=token_url)) as books:
        check = await failing(doctor, books)

    assert check.name == "reachable"
    assert check.detail.startswith(f"{token_url}: ")
