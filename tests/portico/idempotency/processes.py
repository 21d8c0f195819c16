"""Worker processes of tests: started, told what to do, killed. They are kept for the next test."""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from signal import SIGCONT, SIGKILL, Signals
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
PATIENCE_SECONDS = 15.0
_ids = itertools.count()


class Told:
    """A command that was given, and what comes back."""

    def __init__(self) -> None:
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()

    def reached(self, at: str) -> None:
        """Wait until the command is where it was told to pause."""
        assert self.messages.get(timeout=PATIENCE_SECONDS)["at"] == at

    def results(self) -> list[str]:
        return list(self.messages.get(timeout=PATIENCE_SECONDS)["results"])


class Process:
    """One worker."""

    def __init__(self, url: str, secret: bytes, effects: Path) -> None:
        self._told: dict[int, Told] = {}
        self._ready = Told()
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), url, secret.hex(), str(effects)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            told = self._told[message["id"]] if "id" in message else self._ready
            told.messages.put(message)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        self._ready.messages.get(timeout=PATIENCE_SECONDS)

    def tell(self, key: str, **command: Any) -> Told:
        """Give a command; its answers are read from what is returned."""
        number = next(_ids)
        told = self._told[number] = Told()
        line = json.dumps({"id": number, "key": key, "policy": {}, **command})
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        return told

    def ask(self, key: str, **command: Any) -> list[str]:
        return self.tell(key, **command).results()

    def pause(self, key: str, at: str, **command: Any) -> Told:
        """Bring an operation to a point, and leave it there."""
        told = self.tell(key, pause=at, **command)
        told.reached(at)
        return told

    def signal(self, number: Signals) -> None:
        self._process.send_signal(number)

    def end(self, number: Signals = SIGKILL) -> None:
        """Send a signal that ends the process, and wait for that."""
        if self.alive:
            self.signal(number)
        self._process.wait(PATIENCE_SECONDS)
        self._reading.join(PATIENCE_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


class Crowd:
    """Processes that share a store, and the file that shows what they did."""

    def __init__(self, url: str, secret: bytes, folder: Path) -> None:
        self._effects = folder / "effects"
        self._arguments = (url, secret, self._effects)
        self._processes: list[Process] = []

    def workers(self, count: int) -> list[Process]:
        """Return so many that run."""
        self._processes = [process for process in self._processes if process.alive]
        new = [Process(*self._arguments) for _ in range(count - len(self._processes))]
        for process in new:
            process.wait_until_ready()
        self._processes += new
        return self._processes[:count]

    def effects(self, key: str) -> int:
        """Return how often the operation of a key has had its effect."""
        return self.all_effects()[key]

    def all_effects(self) -> Counter[str]:
        """Return how often the operation of each key has had its effect."""
        text = self._effects.read_text() if self._effects.exists() else ""
        return Counter(line.split()[0] for line in text.splitlines())

    def close(self) -> None:
        for process in self._processes:
            if process.alive:
                process.signal(SIGCONT)
            process.end()
