"""What is wrong with a document, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; line and column count from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken rule: `rule` is its name, `hint` says what to do."""

    position: Position
    rule: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.position}: {self.rule}: {self.message}\n    hint: {self.hint}"


class ContractError(Exception):
    """A document that cannot be served; `findings` says all that is known to be wrong."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class MisreadError(ValueError):
    """A text that is not what its file name says; line and column count from 1."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
