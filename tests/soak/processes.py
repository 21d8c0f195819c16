"""Gateways as processes of their own, which are killed and come back."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.support.serving import eventually, free_port, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROCESSES = 3
READY_SECONDS = 60.0


class Processes:
    """Gateways that share a workflow database, on ports of their own."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        apis: Sequence[str],
        count: int = PROCESSES,
    ) -> None:
        self._file = folder / "portico.yaml"
        self._file.write_text(yaml.safe_dump(plain(config)))
        self._apis = apis
        self.ports = [free_port() for _ in range(count)]
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        for port in self.ports:
            self._start(port)

    def _start(self, port: int) -> None:
        words = ["serve", "--config", str(self._file), "--port", str(port)]
        only = [word for name in self._apis for word in ("--only", name)]
        with (self._file.parent / f"log-{port}").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", *words, *only],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self._file.parent,
            )
        self._running[port] = process
        assert eventually(lambda: self._is_ready(port, process), READY_SECONDS), "it does not start"

    def _is_ready(self, port: int, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, (self._file.parent / f"log-{port}").read_text()[-2000:]
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        return False

    def kill(self, index: int) -> None:
        """Kill one, and start it again."""
        port = self.ports[index]
        self._running[port].send_signal(signal.SIGKILL)
        self._running[port].wait()
        self._start(port)

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
