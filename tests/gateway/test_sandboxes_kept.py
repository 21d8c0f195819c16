"""The embedded sandboxes keep what they were told, in a form they can tell again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config
from gateway.sandboxes import SANDBOXES
from portico.sandbox.running import run_sandboxes
from tests.support.serving import PUBLIC_URL, serving

SECRET = "a-secret-of-the-tests"
LISTS = {
    "quickbooks": ("customers", "products", "invoices", "payments"),
    "salesforce": ("customers", "contacts", "products", "orders", "opportunities"),
    "sap": ("customers", "products", "orders", "invoices"),
    "stripe": ("customers", "products", "subscriptions", "invoices", "payments"),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def all_lists(config: Config) -> dict[str, Any]:
    """Return what every list of every system holds, through its API."""
    token_scopes = [f"{name}:read" for name in LISTS]
    with serving(config, only=[f"system/{name}" for name in LISTS]) as served:
        token = served.token(*token_scopes)
        found = {}
        for path in (f"/system/{name}/v1/{each}" for name in LISTS for each in LISTS[name]):
            answer = served.request("GET", path, token=token)
            assert answer.status_code == 200, answer.text
            found[path] = answer.json()["items"]
        return found


async def asked(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "secret").write_text(SECRET)
    reference = f"file:{tmp_path / 'secret'}"
    folder = tmp_path / "sandboxes"
    async with run_sandboxes(SANDBOXES, lambda _name: SECRET, folder=folder) as running:
        apis = {}
        for name in LISTS:
            made = running[name].kind.settings(running[name].url)
            secrets = {key: reference for key, value in made.items() if "generated:" in str(value)}
            apis[f"system/{name}.v1"] = {"exposed": True, "settings": {**made, **secrets}}
        config = Config.model_validate(
            {
                "data": tmp_path / "data",
                "access_log": "off",
                "public_url": PUBLIC_URL,
                "embedded": {"tryton": False, "redis": False, "sandboxes": False},
                "apis": apis,
            }
        )
        return await asyncio.to_thread(all_lists, config)


@pytest.mark.anyio
async def test_a_restart_changes_nothing_of_what_they_tell(tmp_path: Path) -> None:
    fresh = await asked(tmp_path)
    again = await asked(tmp_path)

    assert all(fresh[f"/system/{name}/v1/customers"] for name in LISTS)
    assert again == fresh
