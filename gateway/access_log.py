"""One line for each request, written beside the event loop."""

from __future__ import annotations

import sys
import threading
from collections import deque
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from gateway.exchange import Exchange

_MAX_WAITING = 100_000  # lines; a blocked reader must not grow the process
_FLUSH_SECONDS = 0.2


class AccessLog:
    """JSON lines without personal data: the operation and its template, never path or query.

    A thread writes, so that a slow reader of the log does not stop requests. Lines beyond the
    bound are dropped and counted.
    """

    def __init__(self, stream: IO[bytes] | None = None) -> None:
        self._stream = stream or sys.stdout.buffer
        self._lines: deque[bytes] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left and end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def write(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Note a request; `seconds` is how long it took."""
        if len(self._lines) >= _MAX_WAITING:
            self.dropped += 1
            return
        endpoint = exchange.endpoint
        line: dict[str, object] = {
            "time": datetime.now(UTC),
            "requestId": exchange.request_id,
            "method": exchange.method,
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
        }
        if endpoint is not None:
            line["api"] = endpoint.api
            line["operation"] = endpoint.operation.operation_id
            line["path"] = endpoint.template
        if exchange.caller is not None:
            line["client"] = exchange.caller.client_id
        if exchange.trace is not None:
            line["trace"] = exchange.trace.trace_id
        if exchange.parent:
            line["callerTrace"] = exchange.parent
        self._lines.append(orjson.dumps(line))

    def _run(self) -> None:
        while not self._stopping.wait(_FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        if not lines:
            return
        try:
            self._stream.write(b"\n".join(lines) + b"\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped += len(lines)  # nobody reads the log any more

    def __repr__(self) -> str:
        return f"<AccessLog {len(self._lines)} waiting, {self.dropped} dropped>"
