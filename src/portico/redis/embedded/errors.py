"""Why an embedded server does not run, in words for whoever started Portico."""

from __future__ import annotations

from pathlib import Path


class EmbeddedRedisError(Exception):
    """The embedded server cannot be used; `hint` says what to do, `log` is what it wrote."""

    def __init__(self, message: str, *, hint: str, log: Path | None = None) -> None:
        where = f"; its log is {log}" if log else ""
        super().__init__(f"{message}{where}")
        self.message = message
        self.hint = hint
        self.log = log
