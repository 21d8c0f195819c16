"""SIGINT and SIGTERM: the first asks to stop, the second stops, without a traceback."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """While entered, the signals are handled for the task that entered.

    `drain` is what the first signal calls; until it is set, the first signal cancels the task.
    """

    def __init__(self, force_seconds: float) -> None:
        self.received: signal.Signals | None = None
        self.drain: Callable[[], None] | None = None
        self._force_seconds = force_seconds
        self._previous: dict[signal.Signals, Any] = {}
        self._last_resort: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in _SIGNALS:
            self._previous[number] = signal.getsignal(number)
            self._loop.add_signal_handler(number, self._on_signal, number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._last_resort is not None:
            self._last_resort.cancel()
        for number, handler in self._previous.items():
            self._loop.remove_signal_handler(number)
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """Return what shells report for a process that a signal ended."""
        return 128 + (self.received or signal.SIGTERM)

    def _on_signal(self, number: signal.Signals) -> None:
        first = self.received is None
        self.received = number
        if first and self.drain is not None:
            self.drain()
            return
        if not first and self._last_resort is None:
            # Clean-up that hangs must not keep the terminal.
            code = self.exit_code
            self._last_resort = self._loop.call_later(self._force_seconds, os._exit, code)
        if self._task is not None:
            self._task.cancel()
