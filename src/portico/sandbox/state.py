"""What a sandbox remembers: records by table and id, in a file if they are to outlive it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from portico.connectors import exact_json

Record = dict[str, Any]


class State:
    """Tables of JSON records. `commit` writes them all, which for a sandbox is soon enough."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._tables: dict[str, dict[str, Record]] = {}
        self._numbers: dict[str, int] = {}
        if file is not None and file.exists():
            kept: Any = exact_json.decode(file.read_bytes())
            self._tables, self._numbers = kept["tables"], kept["numbers"]

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing yet, so that it has to be seeded."""
        return not self._tables

    def table(self, name: str) -> dict[str, Record]:
        """Return the records of a table by id, in the order of their making."""
        return self._tables.setdefault(name, {})

    def next_number(self, name: str, first: int = 1) -> int:
        """Return the next number of a row."""
        number = self._numbers.get(name, first - 1) + 1
        self._numbers[name] = number
        return number

    def commit(self) -> None:
        """Write everything to the file, whole or not at all."""
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(f"{self._file.name}.draft")
        draft.write_bytes(exact_json.encode({"tables": self._tables, "numbers": self._numbers}))
        os.replace(draft, self._file)  # noqa: PTH105  # Path.replace says the same

    def clear(self) -> None:
        """Forget everything, in the file too."""
        self._tables.clear()
        self._numbers.clear()
        self.commit()

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(table)}" for name, table in self._tables.items())
        return f"<State {sizes or 'empty'}>"
