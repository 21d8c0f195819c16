"""What `portico doctor` finds of an S/4HANA, and what it says to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.sandbox.faults import Faults
from portico.sandbox.running import Running
from system_apis.sap import doctor
from system_apis.sap.app import resources
from system_apis.sap.connector import SAP
from tests.support.examine import examine, failing
from tests.support.script import Script, answer
from tests.system_apis.sap.conftest import settings_for

pytestmark = pytest.mark.anyio


async def test_a_system_that_is_well_has_nothing_to_do(client: SAP) -> None:
    checks = await examine(doctor, client)

    assert all(check.well for check in checks)
    assert [check.name for check in checks].count("permission") == 4
    assert [check.name for check in checks].count("clock") == 1


async def test_a_password_that_is_wrong_is_named(served: Running, tmp_path: Path) -> None:
    async with resources(settings_for(served.url, tmp_path, password="wrong")) as client:
        check = await failing(doctor, client)

    assert check.name == "credentials"
    assert "communication user" in check.remedy


async def test_a_client_that_gets_no_token_is_named(script: Script, tmp_path: Path) -> None:
    script.answers = [answer(401, b'{"error": "invalid_client"}')]
    url = f"http://127.0.0.1:{script.port}"
    flow = {
        "user": "",
        "password": None,
        "token_url": f"{url}/token",
        "client_id": "us",
        "client_secret": "wrong",
    }
    async with resources(settings_for(url, tmp_path, **flow)) as client:
        check = await failing(doctor, client)

    assert (check.name, "client_secret" in check.remedy) == ("credentials", True)


@pytest.mark.parametrize(
    ("service", "scenario"),
    [
        ("API_BUSINESS_PARTNER", "SAP_COM_0008, business partners"),
        ("API_PRODUCT", "SAP_COM_0009, products"),
        ("API_SALES_ORDER_SRV", "SAP_COM_0109, sales orders"),
        ("API_BILLING_DOCUMENT_SRV", "SAP_COM_0120, billing documents"),
    ],
)
async def test_a_scenario_that_is_not_arranged_is_named(
    client: SAP, served: Running, service: str, scenario: str
) -> None:
    served.faulty.set(Faults(no_access=(service,)))
    check = await failing(doctor, client)

    assert check.detail.startswith(f"{scenario}: read: No authorization to access")
    assert service in check.detail
    assert "communication arrangement" in check.remedy


async def test_an_address_that_leads_elsewhere_is_named(served: Running, tmp_path: Path) -> None:
    async with resources(settings_for(f"{served.url}/x", tmp_path)) as client:
        checks = await examine(doctor, client)

    lacking = [check for check in checks if not check.well]
    assert len(lacking) == 4
    assert all("base_url" in check.remedy for check in lacking)


async def test_a_limit_that_is_reached_is_no_matter_of_the_credentials(
    client: SAP, served: Running
) -> None:
    served.faulty.set(Faults(throttled=100))
    check = await failing(doctor, client)

    assert (check.name, check.detail) == ("limits", "Too many requests")
    assert check.remedy
