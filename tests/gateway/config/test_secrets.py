"""Secrets come by reference, are made once, and are never repeated."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from gateway.config import ConfigError
from gateway.config.secrets import SecretStore


def test_a_variable_is_a_secret(tmp_path: Path) -> None:
    store = SecretStore(tmp_path, {"KEY": "s3cret"})

    assert store.resolve("env:KEY", "here") == "s3cret"


def test_a_file_is_a_secret_without_its_last_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")

    assert SecretStore(tmp_path, {}).resolve(f"file:{tmp_path}/key", "here") == "s3cret"


def test_a_generated_secret_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    first = SecretStore(tmp_path / "data", {}).resolve("generated:shop", "here")
    second = SecretStore(tmp_path / "data", {}).resolve("generated:shop", "here")

    path = tmp_path / "data" / "secrets" / "shop"
    assert first == second == path.read_text().strip()
    assert len(first) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["shop"]


def test_generated_secrets_differ(tmp_path: Path) -> None:
    store = SecretStore(tmp_path, {})

    assert store.resolve("generated:a", "") != store.resolve("generated:b", "")


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    found: list[str] = []

    def resolve() -> None:
        store = SecretStore(tmp_path, {})
        barrier.wait()
        found.append(store.resolve("generated:shop", "here"))

    threads = [threading.Thread(target=resolve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    "reference",
    ["hunter2", "", "env", "vault:hunter2", "generated:../hunter2", "generated:", "generated:A B"],
)
def test_what_is_no_reference_is_refused_and_not_repeated(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ConfigError) as raised:
        SecretStore(tmp_path, {}).resolve(reference, "clients.shop.secret")

    assert raised.value.where == "clients.shop.secret"
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("reference", "cause"),
    [
        ("env:MISSING", "the variable MISSING is not set"),
        ("env:EMPTY", "the variable EMPTY is not set"),
        ("file:FOLDER/missing", "cannot be read: No such file or directory"),
        ("file:FOLDER", "cannot be read: Is a directory"),
        ("file:FOLDER/empty", "is empty or too large"),
        ("file:FOLDER/large", "is empty or too large"),
        ("file:FOLDER/binary", "cannot be read: it is not text"),
        ("generated:emptied", "is empty or too large"),
    ],
)
def test_a_secret_that_is_not_there_is_said(tmp_path: Path, reference: str, cause: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "emptied").touch()
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_text("x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError) as raised:
        SecretStore(tmp_path, {"EMPTY": ""}).resolve(
            reference.replace("FOLDER", str(tmp_path)), "here"
        )

    assert cause in raised.value.cause


def test_a_data_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    with pytest.raises(ConfigError) as raised:
        SecretStore(tmp_path / "data", {}).resolve("generated:shop", "here")

    assert "cannot be written" in raised.value.cause
