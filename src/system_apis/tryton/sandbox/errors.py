"""What can keep the sandbox from being set up or started."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Enough of a log to see the reason, little enough for a terminal.
TAIL_LINES = 8


class SandboxError(Exception):
    """The sandbox cannot be used. `log` is where to read more, `hint` what to do."""

    def __init__(self, message: str, *, log: Path | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.log = log
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.message]
        if self.log is not None:
            parts += [f"log: {self.log}", *_tail(self.log)]
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "\n".join(parts)


def _tail(log: Path) -> list[str]:
    try:
        lines = log.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [f"  | {line}" for line in lines[-TAIL_LINES:]]
