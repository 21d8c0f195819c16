"""APIs that are switched off, and what is missing of those that are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.authorization_server import Offered, client_record
from gateway.choice import choose
from gateway.composition import load_contracts, settings_of
from gateway.config import Client, Config, ConfigError, load_config
from gateway.config.secrets import SecretStore
from portico.contract import Contract


def configured(folder: Path, apis: str, rest: str = "") -> Config:
    path = folder / "portico.yaml"
    path.write_text(f"apis: {apis}\n{rest}")
    return load_config(path, {})


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return load_contracts(Config())


def test_an_api_that_nobody_calls_is_switched_off(
    contracts: dict[str, Contract], tmp_path: Path
) -> None:
    chosen = choose(contracts, configured(tmp_path, "{system/sap.v1: off}"), ())

    assert sorted({*contracts} - {*chosen}) == ["system/sap.v1"]


def test_what_others_call_is_refused_with_their_names(
    contracts: dict[str, Contract], tmp_path: Path
) -> None:
    config = configured(tmp_path, "{system/stripe.v1: off, process/inventory.v1: off}")
    with pytest.raises(ConfigError) as raised:
        choose(contracts, config, ())

    callers = "experience/storefront.v1, process/orders.v1"
    assert f"process/inventory.v1 is called by {callers}" in raised.value.cause
    assert "system/stripe.v1 is called by process/customer-360.v1" in raised.value.cause
    assert "off-with-callers" in raised.value.hint


def test_what_calls_it_is_switched_off_when_asked(
    contracts: dict[str, Contract], tmp_path: Path
) -> None:
    config = configured(tmp_path, "{process/inventory.v1: off-with-callers}")
    left = choose(contracts, config, ())

    # The shop calls orders, which call the inventory.
    gone = {"process/inventory.v1", "process/orders.v1", "experience/storefront.v1"}
    assert {*contracts} - {*left} == gone


def test_an_api_that_is_off_does_not_run_alone_either(
    contracts: dict[str, Contract], tmp_path: Path
) -> None:
    config = configured(tmp_path, "{system/sap.v1: off}")
    with pytest.raises(ConfigError, match="system/sap.v1 is switched off"):
        choose(contracts, config, ["system/sap"])
    assert choose(contracts, config, ["system/tryton"]) == ["system/tryton.v1"]


def test_everything_that_is_missing_is_told_at_once(
    contracts: dict[str, Contract], tmp_path: Path
) -> None:
    config = configured(
        tmp_path,
        "{system/quickbooks.v1: {settings: {client_id: a}}, system/sap.v1: off}",
        "embedded: {tryton: false, sandboxes: false}\n",
    )
    names = choose(contracts, config, ())
    with pytest.raises(ConfigError) as raised:
        settings_of(config, contracts, names, secrets=SecretStore(tmp_path), injected={})

    told = raised.value.cause
    assert "system/tryton.v1.settings: lacks base_url and key" in told
    assert "system/quickbooks.v1.settings: lacks client_secret and refresh_token and" in told
    assert "system/stripe.v1.settings: lacks api_key and account" in told
    assert "sap" not in told
    assert "`off`" in raised.value.hint


def test_a_client_keeps_the_scopes_of_an_api_that_is_off(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret of the tests")
    client = Client(secret=f"file:{secret}", scopes=["customer-360:read"])
    offered = Offered(
        scopes=["orders:read"],
        withheld_scopes=["customer-360:read"],
        scope_texts={},
        resources=[],
        names=[],
        is_all=True,
    )
    record = client_record("back-office", client, SecretStore(tmp_path), offered)

    assert record.scopes == {"customer-360:read"}
    with pytest.raises(ConfigError, match="no contract declares"):
        client_record("other", client, SecretStore(tmp_path), replace(offered, withheld_scopes=()))
