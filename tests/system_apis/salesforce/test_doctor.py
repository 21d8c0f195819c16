"""What `portico doctor` finds of an org, and what it says to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from system_apis.salesforce import doctor
from system_apis.salesforce.app import resources
from system_apis.salesforce.connector import Salesforce
from system_apis.salesforce.sandbox.org import Org
from tests.support.examine import examine, failing
from tests.support.script import Script, answer
from tests.system_apis.salesforce.conftest import settings_for

pytestmark = pytest.mark.anyio

TOKEN = answer(200, b'{"access_token": "t", "token_type": "Bearer"}')
EMPTY = answer(200, b'{"records": [], "done": true}', "sforce-limit-info: api-usage=7/100")


def refusal(status: int, code: str, message: str) -> bytes:
    return answer(status, json.dumps([{"errorCode": code, "message": message}]).encode())


async def test_an_org_that_is_well_has_nothing_to_do(client: Salesforce) -> None:
    checks = await examine(doctor, client)

    assert all(check.well for check in checks)
    assert [check.name for check in checks].count("permission") == 5
    assert [check.name for check in checks].count("clock") == 1
    assert any("api-usage" in check.detail for check in checks)


async def test_a_field_that_is_missing_is_named(served: Running, tmp_path: Path) -> None:
    settings = settings_for(served.url, tmp_path, external_id_field="Other__c")
    async with resources(settings) as client:
        checks = await examine(doctor, client)

    lacking = [check for check in checks if not check.well]
    assert [check.detail.partition(":")[0] for check in lacking] == [
        *("Account", "Contact", "Order", "Opportunity")
    ]
    assert all("Other__c" in check.detail for check in lacking)
    assert all("external id field has to be made" in check.remedy for check in lacking)


@pytest.mark.parametrize(
    ("setting", "code", "remedy"),
    [
        ("client_secret", "invalid_client", "client_secret"),
        ("client_id", "invalid_client_id", "client_id"),
    ],
)
async def test_a_wrong_credential_is_told_apart(
    served: Running, tmp_path: Path, setting: str, code: str, remedy: str
) -> None:
    async with resources(settings_for(served.url, tmp_path, **{setting: "wrong"})) as client:
        check = await failing(doctor, client)

    assert (check.name, check.detail.endswith(f": {code}")) == ("credentials", True)
    assert remedy in check.remedy


async def test_an_assertion_that_is_not_accepted_is_a_matter_of_user_and_clock(
    served: Running, tmp_path: Path, key_pair: tuple[str, str]
) -> None:
    flow = {"client_secret": None, "private_key": key_pair[0], "username": "nobody@example.com"}
    async with resources(settings_for(served.url, tmp_path, **flow)) as client:
        check = await failing(doctor, client)

    assert "invalid_grant" in check.detail
    assert "clock" in check.remedy
    assert "user" in check.remedy


async def test_too_many_at_a_time_is_no_matter_of_the_credentials(
    client: Salesforce, served: Running
) -> None:
    served.faulty.set(Faults(throttled=100))
    check = await failing(doctor, client)

    assert (check.name, check.detail[:18]) == ("limits", "ConcurrentRequests")
    assert "long requests" in check.remedy


async def test_calls_of_the_day_that_run_out_are_told(client: Salesforce, org: Org) -> None:
    org.daily_calls = 5
    check = await failing(doctor, client)

    assert (check.name, check.detail) == ("limits", "api-usage: 5 of 5 used")


async def test_calls_of_the_day_that_are_used_up_are_told(client: Salesforce, org: Org) -> None:
    org.daily_calls = 2
    checks = [check for check in await examine(doctor, client) if not check.well]

    assert [check.name for check in checks] == ["limits", "limits"]
    assert "24 hours" in checks[0].remedy
    assert checks[1].detail == "api-usage: 2 of 2 used"


@pytest.mark.parametrize("name", ["Account", "Contact", "Product2", "Order", "Opportunity"])
async def test_an_object_that_the_user_may_not_see_is_named(
    client: Salesforce, served: Running, name: str
) -> None:
    served.faulty.set(Faults(no_access=(name,)))
    lacking = {
        check.detail.partition(":")[0]: check
        for check in await examine(doctor, client)
        if not check.well
    }

    assert f"sObject type '{name}' is not supported" in lacking[name].detail
    assert "permission set" in lacking[name].remedy


async def test_a_field_that_the_user_may_not_see_is_named(
    client: Salesforce, served: Running
) -> None:
    served.faulty.set(Faults(no_access=("Opportunity.Amount",)))
    check = await failing(doctor, client)

    assert check.detail.startswith("Opportunity: read")
    assert "'Amount'" in check.detail
    assert "visible to the app's user" in check.remedy


async def test_an_org_without_the_api_is_a_matter_of_the_users_permission(
    script: Script, tmp_path: Path
) -> None:
    refused = refusal(403, "API_DISABLED_FOR_ORG", "The REST API is not enabled.")
    script.answers = [TOKEN, refused, EMPTY, EMPTY, EMPTY, EMPTY]
    async with resources(settings_for(f"http://127.0.0.1:{script.port}", tmp_path)) as client:
        check = await failing(doctor, client)

    assert check.detail.startswith("Account: read")
    assert "API Enabled" in check.remedy
