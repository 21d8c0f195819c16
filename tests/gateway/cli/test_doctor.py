"""`portico doctor` on the sandboxes, and on a system that is not there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from joserfc.jwk import RSAKey

from system_apis.tryton.sandbox.server import Sandbox
from tests.gateway.cli.test_sandbox import sandbox
from tests.support.commands import Done, Run
from tests.support.serving import free_port

Doctor = Callable[..., Done]


@pytest.fixture
def doctor(portico: Run, tmp_path: Path) -> Doctor:
    """Return a function that runs the command with a configuration."""

    def run(configuration: str, *words: str) -> Done:
        config = tmp_path / "portico.yaml"
        config.write_text(f"data: data\n{configuration}")
        return portico("doctor", "--config", config, *words)

    return run


def test_a_sandbox_is_well(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "doctor", "quickbooks"],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert "ok    credentials: accepted" in done.stdout
    assert "FAIL" not in done.stdout


def test_a_system_that_is_not_there_is_a_finding_with_a_remedy(
    doctor: Doctor, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("sk_test_made_up")
    done = doctor(
        "apis: {system/stripe.v1: {settings: {account: acct_1, api_key: 'file:key', "
        f"base_url: 'http://127.0.0.1:{free_port()}'}}}}}}\n",
        "stripe",
        "--json",
    )
    (check,) = json.loads(done.out)["system/stripe.v1"]

    assert done.code == 1
    assert (check["name"], check["well"]) == ("reachable", False)
    assert "host and port" in check["remedy"]
    assert "sk_test_made_up" not in done.out + done.err


def test_the_tryton_of_a_gateway_that_runs_is_examined(
    doctor: Doctor, tmp_path: Path, tryton_data: Path
) -> None:
    server = Sandbox(tryton_data, state=tmp_path / "data" / "tryton" / "live")
    asyncio.run(server.start())
    try:
        done = doctor("", "tryton")
    finally:
        asyncio.run(server.stop())

    assert done.code == 0, done.out + done.err
    assert "ok    permission: sale.sale: read" in done.out
    assert not (tmp_path / "data" / "tryton" / "lock").exists()  # nothing was set up besides


def test_a_tryton_that_ended_is_not_taken_for_one_that_runs(
    tmp_path: Path, tryton_data: Path
) -> None:
    server = Sandbox(tryton_data, state=tmp_path / "state")
    other = Sandbox(tryton_data, state=tmp_path / "state")
    assert other.running_elsewhere() is None
    asyncio.run(server.start())
    try:
        assert other.running_elsewhere() == server.endpoint
    finally:
        asyncio.run(server.stop())

    assert other.running_elsewhere() is None


def test_a_system_that_is_configured_is_not_mixed_with_a_sandbox_that_runs(
    doctor: Doctor, tmp_path: Path
) -> None:
    """The settings of the sandbox have a secret, which would be one too many."""
    (tmp_path / "key").write_bytes(RSAKey.generate_key(2048).as_pem(private=True))
    with sandbox(tmp_path, "--port", "0", "--only", "salesforce"):
        done = doctor(
            "apis: {system/salesforce.v1: {settings: {client_id: us, username: ada, "
            f"private_key: 'file:key', base_url: 'http://127.0.0.1:{free_port()}'}}}}}}\n",
            "salesforce",
        )

    assert done.code == 1, done.err
    assert "nothing listens there" in done.out


def test_an_unknown_system_is_named(doctor: Doctor) -> None:
    done = doctor("", "abacus")

    assert done.code == 3
    assert "cause: the systems are" in done.err
    assert "quickbooks" in done.err


def test_a_system_that_is_switched_off_is_said_to_be(doctor: Doctor) -> None:
    done = doctor("apis: {system/sap.v1: off}\n", "sap")

    assert done.code == 3
    assert "cause: system/sap.v1 is off" in done.err


@pytest.mark.parametrize(
    ("url", "error", "cause"),
    [
        ("mysql://x/y", "references.url", "only sqlite:///PATH and postgresql:// are known"),
        ("postgresql://u:pw@127.0.0.1:1/x", "the cross-references cannot be opened", "refused"),
    ],
)
def test_a_database_that_cannot_be_used_is_an_error_in_words(
    doctor: Doctor, url: str, error: str, cause: str
) -> None:
    done = doctor(f"references: {{url: '{url}'}}\n", "stripe")

    assert done.code == 3
    assert error in done.err
    assert cause in done.err
    assert "Traceback" not in done.err
    assert "pw" not in done.err
