"""The engine's log: as ours, and without what belongs to callers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from portico.workflow.errors import DeadLetterError

_ENGINE = logging.getLogger("dbos")
# It names the step that was cancelled with its arguments, which may be personal.
_CANCELLED = "Asyncio task cancelled"
# A dead letter that was replayed went through a queue of the engine's. Whoever starts it again, as
# each look at a list of events does, would be told so at each of them, though nothing is amiss.
_REPLAYED = "Workflow already exists in queue: _dbos_internal_queue"


class _Discretion(logging.Filter):
    """Drops what is told elsewhere, or must not be told at all."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.getMessage().startswith((_CANCELLED, _REPLAYED)):
            return False
        # A dead letter is an alert, not a traceback.
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or not issubclass(kind, DeadLetterError)


@contextlib.contextmanager
def engine_log() -> Iterator[None]:
    """Let the engine log like everything else, with discretion."""
    nowhere, discretion = logging.NullHandler(), _Discretion()
    # With a handler there, the engine does not add its own and keep the records to itself.
    _ENGINE.addHandler(nowhere)
    _ENGINE.addFilter(discretion)
    try:
        yield
    finally:
        _ENGINE.removeFilter(discretion)
        _ENGINE.removeHandler(nowhere)
