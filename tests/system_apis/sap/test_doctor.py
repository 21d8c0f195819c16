"""What `portico doctor` finds of an S/4HANA."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.connectors.checkup import check_up
from portico.connectors.messages import Job
from portico.deadline import Deadline
from portico.sandbox.running import Running
from system_apis.sap.app import resources
from system_apis.sap.connector import SAP
from system_apis.sap.doctor import probes
from tests.system_apis.sap.conftest import settings_for

pytestmark = pytest.mark.anyio


async def test_a_system_that_is_well_has_nothing_to_do(client: SAP) -> None:
    checks = await check_up(client.connection, probes(client), Job(deadline=Deadline.after(10)))

    assert all(check.well for check in checks)
    assert [check.name for check in checks].count("permission") == 4


async def test_a_password_that_is_wrong_is_named(served: Running, tmp_path: Path) -> None:
    async with resources(settings_for(served.url, tmp_path, password="wrong")) as client:
        checks = await check_up(client.connection, probes(client), Job(deadline=Deadline.after(10)))

    assert [(check.name, check.well) for check in checks] == [("credentials", False)]
