"""One line for each request, written beside the event loop."""

from __future__ import annotations

import os
import threading
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from gateway.exchange import Exchange

_MAX_WAITING = 100_000  # lines; a blocked reader must not grow the process
_FLUSH_SECONDS = 0.2
_STOP_SECONDS = 2.0
_METHOD_LENGTH = 20  # methods are chosen by clients
# Load balancers ask these every second; nobody asks what they were told.
_PROBES = frozenset({"/livez", "/readyz"})


class AccessLog:
    """JSON lines without personal data: the operation and its template, never path or query.

    A thread writes, so that a slow reader of the log does not stop requests. Lines beyond the
    bound are dropped, and a line says how many.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._unsaid = 0
        self.dropped = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, as far as anybody reads it, and end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_STOP_SECONDS)

    def write(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Note a request; `seconds` is how long it took."""
        line: dict[str, object] = {
            "time": datetime.now(UTC),
            "requestId": exchange.request_id,
            "method": exchange.method[:_METHOD_LENGTH],
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
        }
        endpoint = exchange.endpoint
        if endpoint is not None:
            line["api"] = endpoint.api
            line["operation"] = endpoint.operation.operation_id
            line["path"] = endpoint.template
        elif (route := exchange.scope.get("route")) is not None:
            if route.path in _PROBES:
                return
            line["path"] = route.path
        if exchange.caller is not None:
            line["client"] = exchange.caller.client_id
        if exchange.trace is not None:
            line["trace"] = exchange.trace.trace_id
        if exchange.parent:
            line["callerTrace"] = exchange.parent
        self._add(line)

    def _add(self, line: dict[str, object]) -> None:
        if len(self._lines) >= _MAX_WAITING:
            self._drop(1)
            return
        self._lines.append(orjson.dumps(line))

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._unsaid += count

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
        if self._unsaid:
            said, self._unsaid = self._unsaid, 0
            lines.append(orjson.dumps({"time": datetime.now(UTC), "droppedLines": said}))
        try:
            # Not through sys.stdout: a writer that is stuck in it could not be left at exit.
            self._write(b"\n".join(lines) + b"\n")
        except OSError:
            self._drop(len(lines))  # nobody reads the log any more

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def __repr__(self) -> str:
        return f"<AccessLog {len(self._lines)} waiting, {self.dropped} dropped>"
