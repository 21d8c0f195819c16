"""What `portico doctor` finds of a real Tryton, and what it says to do."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from system_apis.tryton import doctor
from system_apis.tryton.app import Settings, resources
from tests.support.examine import examine, failing
from tests.support.script import Script, answer
from tests.support.tryton import settings_for

if TYPE_CHECKING:
    from system_apis.tryton.connector import Tryton
    from system_apis.tryton.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio


async def test_a_tryton_that_is_well_has_nothing_to_do(tryton: Sandbox) -> None:
    async with resources(settings_for(tryton.endpoint)) as client:
        checks = await examine(doctor, client)

    assert all(check.well for check in checks)
    assert [check.name for check in checks].count("permission") == 6
    assert [check.name for check in checks].count("clock") == 1


async def test_a_key_that_is_not_accepted_is_named(tryton: Sandbox) -> None:
    right = settings_for(tryton.endpoint)
    wrong = Settings.model_validate({"base_url": right.base_url, "key": "x" * 40})
    async with resources(wrong) as client:
        check = await failing(doctor, client)

    assert check.name == "credentials"
    assert "kind REST" in check.remedy


async def test_a_database_that_is_not_there_is_named(tryton: Sandbox) -> None:
    right = settings_for(tryton.endpoint)
    wrong = right.model_copy(update={"base_url": f"{right.base_url}x"})
    async with resources(wrong) as client:
        checks = await examine(doctor, client)

    lacking = [check for check in checks if not check.well]
    assert len(lacking) == 6
    assert all("database at the end of base_url" in check.remedy for check in lacking)


async def test_a_model_that_the_user_may_not_read_is_named(fresh_tryton: Sandbox) -> None:
    await fresh_tryton.stop()
    with sqlite3.connect(fresh_tryton.database) as database:
        database.execute("UPDATE ir_model_access SET perm_read = 0 WHERE model = 'sale.sale'")
    await fresh_tryton.start()
    async with resources(settings_for(fresh_tryton.endpoint)) as client:
        check = await failing(doctor, client)

    assert check.detail.startswith("sale.sale: read")
    assert "group" in check.remedy


async def test_a_limit_that_is_reached_is_no_matter_of_the_key(
    script: Script, scripted: Tryton
) -> None:
    script.answers = [answer(429, b"<html>", "retry-after: 60")]
    check = await failing(doctor, scripted)

    assert (check.name, check.detail) == ("limits", "tryton asks to wait")
    assert check.remedy
