"""Clients, API keys, signing keys and passwords, from the command line."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher

from tests.support.commands import ROOT, Run, environment

if TYPE_CHECKING:
    from pathlib import Path


def secret_of(out: str) -> str:
    (line,) = [line for line in out.splitlines() if line.startswith("client_secret")]
    return line.split()[1]


def stored(config: Path, portico: Run) -> dict[str, dict[str, object]]:
    rows = json.loads(portico("client", "--config", config, "list", "--json").out)
    return {row["client_id"]: row for row in rows}


def test_a_plan_is_one_of_the_configuration(portico: Run, config: Path) -> None:
    for command in ("client", "api-key"):
        done = portico(command, "--config", config, "add", "acme", "--plan", "platinum")
        assert (done.code, done.out) == (3, "")
        assert "there is no plan 'platinum'" in done.err


def test_a_client_is_added_listed_rotated_and_revoked(portico: Run, config: Path) -> None:
    with config.open("a") as file:
        file.write("rate_limits: {plans: {standard: {}, gold: {}}}\n")
    added = portico(
        "client", "--config", config, "add", "acme", "--scope", "kiosk:use", "--plan", "gold"
    )
    assert (added.code, added.err) == (0, "")
    first = secret_of(added.out)
    assert stored(config, portico)["acme"] | {"since": 0} == {
        "client_id": "acme",
        "origin": "store",
        "grants": ["client_credentials"],
        "scopes": ["kiosk:use"],
        "plan": "gold",
        "since": 0,
    }
    assert stored(config, portico)["shop"]["origin"] == "file"
    plans = json.loads(portico("plan", "--config", config, "list", "--json").out)
    assert plans["acme"] == "gold"
    rotated = portico("client", "--config", config, "rotate", "acme")
    assert rotated.code == 0
    assert secret_of(rotated.out) != first
    table = portico("client", "--config", config, "list").out
    assert "acme" in table
    assert first not in table

    assert portico("client", "--config", config, "revoke", "acme").code == 0

    assert "acme" not in stored(config, portico)
    assert "acme" not in portico("plan", "--config", config, "list").out
    gone = portico("client", "--config", config, "revoke", "acme")
    assert (gone.code, gone.out) == (3, "")
    assert "there is no such client" in gone.err


def test_a_public_client_has_no_secret(portico: Run, config: Path) -> None:
    words = ["client", "--config", config, "add", "app", "--public", "--native"]
    words += ["--grant", "authorization_code", "--grant", "refresh_token"]

    done = portico(*words, "--redirect-uri", "com.example.app:/cb")

    assert done.code == 0
    assert "client_secret" not in done.out
    rotated = portico("client", "--config", config, "rotate", "app")
    assert rotated.code == 3


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["shop"], "the file has it"),
        (["process/orders.v1"], "not a client id"),
        (["a b"], "not a client id"),
        (["acme", "--grant", "authorization_code"], "has no redirect_uris"),
        (["acme", "--public"], "is public"),
        (["acme", "--scope", "kiosk:unknown"], "no contract declares it"),
    ],
    ids=str,
)
def test_a_client_that_cannot_be_is_refused_in_words(
    portico: Run, config: Path, words: list[str], cause: str
) -> None:
    done = portico("client", "--config", config, "add", *words)

    assert (done.code, done.out) == (3, "")
    assert cause in done.err
    assert "Traceback" not in done.err


def test_a_client_of_the_file_is_changed_in_the_file(portico: Run, config: Path) -> None:
    for action in ("rotate", "revoke"):
        done = portico("client", "--config", config, action, "shop")
        assert done.code == 3
        assert "it is a client of the file" in done.err


def test_without_a_store_there_is_nothing_to_add_to(portico: Run, config: Path) -> None:
    config.write_text(config.read_text().replace("tryton: false", "tryton: false, redis: false"))

    done = portico("client", "--config", config, "list")

    assert done.code == 3
    assert "there is no store" in done.err


def test_an_api_key_is_made_listed_and_revoked(portico: Run, config: Path) -> None:
    made = portico("api-key", "--config", config, "add", "acme", "--scope", "kiosk:use")
    presented = made.out.splitlines()[0]
    prefix, _, secret = presented.partition(".")
    assert made.code == 0
    (row,) = json.loads(portico("api-key", "--config", config, "list", "--json").out)
    assert (row["prefix"], row["client_id"], row["scopes"]) == (prefix, "acme", ["kiosk:use"])
    table = portico("api-key", "--config", config, "list").out
    assert prefix in table
    assert secret not in table

    assert portico("api-key", "--config", config, "revoke", prefix).code == 0

    assert portico("api-key", "--config", config, "revoke", prefix).code == 3
    assert portico("api-key", "--config", config, "add", "acme", "--days", "9999").code == 3


def test_keys_are_rotated_and_the_old_one_signs_on(portico: Run, config: Path) -> None:
    portico("token", "--config", config)
    done = portico("keys", "--config", config, "rotate")
    again = portico("keys", "--config", config, "rotate", "--at-once")

    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[:2]] == ["signs", "published"]
    assert len([line for line in again.out.splitlines() if line]) == 1
    signed = done.out.splitlines()[0].split()[-1]
    assert signed not in again.out
    path = config.parent / "data" / "identity" / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_password_is_hashed_from_a_pipe() -> None:
    def piped(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", "user", "hash"],
            input=text,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment(),
            timeout=30,
            check=False,
        )

    done, short = piped("a good long password\n"), piped("short\n")

    assert PasswordHasher().verify(done.stdout.strip(), "a good long password")
    assert short.returncode == 3
    assert "short" not in short.stderr.partition("cause")[0]
    assert "Traceback" not in short.stderr
