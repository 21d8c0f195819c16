"""`portico doctor` on the sandboxes, and on a system that is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.serving import free_port


def doctor(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", "doctor", *words],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_sandbox_is_well(tmp_path: Path) -> None:
    done = doctor(tmp_path, "quickbooks")

    assert done.returncode == 0, done.stderr
    assert "ok    credentials: accepted" in done.stdout
    assert "FAIL" not in done.stdout


def test_a_system_that_is_not_there_is_a_finding_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk_test_made_up")
    (tmp_path / "portico.yaml").write_text(
        "apis: {system/stripe.v1: {settings: {account: acct_1, api_key: 'file:key', "
        f"base_url: 'http://127.0.0.1:{free_port()}'}}}}}}\n"
    )
    done = doctor(tmp_path, "stripe", "--json")
    (check,) = json.loads(done.stdout)["system/stripe.v1"]

    assert done.returncode == 1
    assert (check["name"], check["well"]) == ("reachable", False)
    assert "address" in check["remedy"]
    assert "sk_test_made_up" not in done.stdout + done.stderr


def test_an_unknown_system_is_named(tmp_path: Path) -> None:
    done = doctor(tmp_path, "abacus")

    assert done.returncode == 3
    assert "cause: the systems are" in done.stderr
    assert "quickbooks" in done.stderr


def test_a_system_that_is_switched_off_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "portico.yaml").write_text("apis: {system/sap.v1: off}\n")
    done = doctor(tmp_path, "sap")

    assert done.returncode == 3
    assert "cause: system/sap.v1 is off" in done.stderr


@pytest.mark.parametrize(
    ("url", "error", "cause"),
    [
        ("mysql://x/y", "references.url", "only sqlite:///PATH and postgresql:// are known"),
        ("postgresql://u:pw@127.0.0.1:1/x", "the cross-references cannot be opened", "refused"),
    ],
)
def test_a_database_that_cannot_be_used_is_an_error_in_words(
    tmp_path: Path, url: str, error: str, cause: str
) -> None:
    (tmp_path / "portico.yaml").write_text(f"references: {{url: '{url}'}}\n")
    done = doctor(tmp_path, "stripe")

    assert done.returncode == 3
    assert error in done.stderr
    assert cause in done.stderr
    assert "Traceback" not in done.stderr
    assert "pw" not in done.stderr
