"""Progress of what takes longer than two seconds, for people and for logs."""

from __future__ import annotations

import sys
from typing import IO

_WIDTH = 24


class ProgressBar:
    """One line that is rewritten on a terminal; elsewhere one line for each finished step."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()

    def __call__(self, step: str, done: int, total: int) -> None:
        if self._is_terminal:
            filled = _WIDTH * done // max(total, 1)
            bar = "#" * filled + "." * (_WIDTH - filled)
            end = "\n" if done >= total else ""
            self._stream.write(f"\r{step:24} [{bar}] {done}/{total}{end}")
        elif done in {0, total}:
            self._stream.write(f"{step}{' …' if done == 0 else ': done'}\n")
        self._stream.flush()
