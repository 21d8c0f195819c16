"""What `portico doctor` finds of an org."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.connectors.checkup import check_up
from portico.connectors.messages import Job
from portico.deadline import Deadline
from portico.sandbox.running import Running
from system_apis.salesforce.app import resources
from system_apis.salesforce.connector import Salesforce
from system_apis.salesforce.doctor import probes
from tests.system_apis.salesforce.conftest import settings_for

pytestmark = pytest.mark.anyio


async def test_an_org_that_is_well_has_nothing_to_do(client: Salesforce) -> None:
    checks = await check_up(client.connection, probes(client), Job(deadline=Deadline.after(10)))

    assert all(check.well for check in checks)
    assert [check.name for check in checks].count("permission") == 5
    assert any("api-usage" in check.detail for check in checks)


async def test_a_field_that_is_missing_is_named(served: Running, tmp_path: Path) -> None:
    settings = settings_for(served.url, tmp_path, external_id_field="Other__c")
    async with resources(settings) as client:
        checks = await check_up(client.connection, probes(client), Job(deadline=Deadline.after(10)))

    assert not checks[-1].well
    assert "Other__c" in checks[-1].detail
