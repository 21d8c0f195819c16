"""What `portico doctor` finds of an account, and what it says to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portico.sandbox.faults import Faults
from system_apis.stripe import doctor
from tests.support.examine import examine, failing
from tests.support.script import Script, answer
from tests.system_apis.stripe.conftest import API_KEY, Account, open_stripe

pytestmark = pytest.mark.anyio

EMPTY = answer(200, b'{"object": "list", "data": [], "has_more": false}')


async def test_an_account_that_is_well_has_nothing_to_do(account: Account) -> None:
    checks = await examine(doctor, account.stripe)

    assert all(check.well for check in checks)
    assert [check.name for check in checks].count("permission") == 8
    assert [check.name for check in checks].count("clock") == 1


async def test_a_key_that_was_rolled_is_named_and_not_shown(account: Account) -> None:
    account.sandbox.revoke_tokens()
    check = await failing(doctor, account.stripe)

    assert (check.name, "api_key" in check.remedy) == ("credentials", True)
    assert API_KEY not in check.detail


async def test_a_permission_that_a_restricted_key_lacks_is_named(
    script: Script, tmp_path: Path
) -> None:
    error = {
        "type": "invalid_request_error",
        "message": "Having the 'rak_invoice_read' permission would allow this request to continue.",
    }
    forbidden = answer(403, json.dumps({"error": error}).encode())
    script.answers = [*[EMPTY] * 4, forbidden, *[EMPTY] * 3]
    url = f"http://127.0.0.1:{script.port}"
    async with open_stripe(url, tmp_path / "references.sqlite") as (stripe, _):
        check = await failing(doctor, stripe)

    assert check.detail.startswith("Invoices: read: Having the 'rak_invoice_read'")
    assert "restricted key" in check.remedy


async def test_a_limit_that_is_reached_is_no_matter_of_the_key(account: Account) -> None:
    account.running.faulty.set(Faults(throttled=100))
    check = await failing(doctor, account.stripe)

    assert (check.name, "requests_per_second" in check.remedy) == ("limits", True)
