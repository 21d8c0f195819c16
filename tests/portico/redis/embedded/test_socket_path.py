from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from portico.redis.embedded.socket_path import choose_socket, find_socket

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Return a folder in which no socket can be."""
    folder = tmp_path / ("x" * 60) / ("y" * 60)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def runtime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def test_a_socket_is_in_its_folder_where_that_is_short(folder: Path) -> None:
    assert choose_socket(folder) == find_socket(folder) == folder / "redis.sock"
    assert list(folder.iterdir()) == []


def test_a_long_folder_has_its_socket_in_the_runtime_folder(long: Path, runtime: Path) -> None:
    assert find_socket(long) is None
    chosen = choose_socket(long)
    assert chosen.parent.parent == runtime
    assert len(os.fsencode(chosen)) <= 103
    assert chosen.parent.stat().st_mode & 0o777 == 0o700
    assert choose_socket(long) == find_socket(long) == chosen


def test_a_socket_folder_that_is_gone_is_made_anew(long: Path, runtime: Path) -> None:
    chosen = choose_socket(long)
    chosen.parent.rmdir()
    assert find_socket(long) is None
    again = choose_socket(long)
    assert again.parent.is_dir()
    assert again.parent.parent == runtime


def test_a_socket_folder_that_others_may_write_to_is_not_trusted(long: Path, runtime: Path) -> None:
    chosen = choose_socket(long)
    chosen.parent.chmod(0o777)
    assert find_socket(long) is None
    assert choose_socket(long) != chosen
    assert runtime


def test_a_runtime_folder_too_long_itself_is_not_used(
    long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    chosen = choose_socket(long)
    assert len(os.fsencode(chosen)) <= 103
    chosen.parent.rmdir()
