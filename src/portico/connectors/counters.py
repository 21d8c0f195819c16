"""What is counted of each operation, for metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class OperationCounters:
    """Totals of one operation since the start of the process."""

    calls: int = 0
    tries: int = 0
    seconds: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)


class Counters:
    """The counters of a connection, by the names of its operations: a small, fixed number."""

    __slots__ = ("by_operation",)

    def __init__(self) -> None:
        self.by_operation: dict[str, OperationCounters] = {}

    def of(self, operation: str) -> OperationCounters:
        """Return the counters of an operation."""
        found = self.by_operation.get(operation)
        if found is None:
            found = self.by_operation[operation] = OperationCounters()
        return found

    def __repr__(self) -> str:
        calls = sum(counters.calls for counters in self.by_operation.values())
        return f"<Counters {len(self.by_operation)} operations, {calls} calls>"
