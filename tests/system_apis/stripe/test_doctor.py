"""What `portico doctor` finds of an account, and what it says to do."""

from __future__ import annotations

import pytest

from portico.sandbox.faults import Faults
from system_apis.stripe import doctor
from tests.support.examine import examine, failing
from tests.system_apis.stripe.conftest import API_KEY, Account

pytestmark = pytest.mark.anyio


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


@pytest.mark.parametrize(
    ("resource", "permission"),
    [
        ("customer", "Customers"),
        ("product", "Products"),
        ("plan", "Prices"),
        ("subscription", "Subscriptions"),
        ("invoice", "Invoices"),
        ("payment_intent", "PaymentIntents"),
        ("charge", "Charges and Refunds"),
        ("event", "Events"),
    ],
)
async def test_a_permission_that_a_restricted_key_lacks_is_named(
    account: Account, resource: str, permission: str
) -> None:
    account.running.faulty.set(Faults(no_access=(resource,)))
    check = await failing(doctor, account.stripe)

    assert check.detail.startswith(f"{permission}: read: The provided key")
    assert f"'rak_{resource}_read'" in check.detail
    assert "restricted key" in check.remedy


async def test_a_limit_that_is_reached_is_no_matter_of_the_key(account: Account) -> None:
    account.running.faulty.set(Faults(throttled=100))
    check = await failing(doctor, account.stripe)

    assert (check.name, "requests_per_second" in check.remedy) == ("limits", True)
