"""A configuration that does not start, in the form people can act on."""

from __future__ import annotations


class ConfigError(Exception):
    """What is wrong, why, and what to do; `where` is `file:line:column` or a variable's name."""

    def __init__(self, where: str, cause: str, hint: str) -> None:
        self.where = where
        self.cause = cause
        self.hint = hint
        super().__init__(f"{where}: {cause}\n    hint: {hint}")
