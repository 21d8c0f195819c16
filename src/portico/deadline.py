"""The time a request may take, as a point on the monotonic clock, and the end of what overruns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from types import TracebackType

# How late a deadline may be noticed; it costs 100 wake-ups a second while there is work.
TICK_SECONDS = 0.01


class Deadline:
    """A point in time that every inner budget is a share of.

    >>> Deadline.after(10.0).share(0.5).remaining() <= 5.0
    True
    """

    __slots__ = ("at",)

    def __init__(self, at: float) -> None:
        self.at = at

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds left, negative once the deadline has passed."""
        return self.at - monotonic()

    def expired(self) -> bool:
        return monotonic() >= self.at

    def share(self, fraction: float) -> Deadline:
        """Return the deadline of an inner call that may use `fraction` of what is left."""
        now = monotonic()
        return Deadline(now + max(0.0, self.at - now) * fraction)

    def __repr__(self) -> str:
        return f"<Deadline {self.remaining():.3f}s left>"


class Watch:
    """Ends work that runs past its deadline, at most `TICK_SECONDS` late.

    One timer serves all the work of an event loop and runs only while there is any: a timer of
    its own for every request costs more than many a handler.
    """

    __slots__ = ("_running", "_timer")

    def __init__(self) -> None:
        self._running: set[Overdue | Alarm] = set()
        self._timer: asyncio.TimerHandle | None = None

    def until(self, deadline: Deadline) -> Overdue:
        """Return a context whose body is cancelled at the deadline; it raises TimeoutError then."""
        return Overdue(self, deadline.at)

    def call_at(self, at: float, action: Callable[[], None]) -> Alarm:
        """Call `action` at a point on the monotonic clock, unless the alarm is discarded before."""
        alarm = Alarm(at, action)
        self.add(alarm)
        return alarm

    def add(self, overdue: Overdue | Alarm) -> None:
        self._running.add(overdue)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def discard(self, overdue: Overdue | Alarm) -> None:
        self._running.discard(overdue)

    def _tick(self) -> None:
        if not self._running:
            self._timer = None
            return
        now = monotonic()
        for overdue in [each for each in self._running if each.at <= now]:
            self._running.discard(overdue)
            overdue.cancel()
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def __repr__(self) -> str:
        return f"<Watch {len(self._running)} running>"


class Alarm:
    """What a `Watch` calls at a point in time."""

    __slots__ = ("at", "cancel")

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self.cancel = action  # whatever was under way


class Overdue:
    """The body of a `with` statement that a `Watch` may end; see `asyncio.timeout`."""

    __slots__ = ("_cancelling", "_task", "_watch", "at", "cancelled")

    def __init__(self, watch: Watch, at: float) -> None:
        self._watch = watch
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self.at = at
        self.cancelled = False

    def cancel(self) -> None:
        if self._task is not None:
            self.cancelled = True
            self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task to end")
        self._task = task
        self._cancelling = task.cancelling()
        self._watch.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._watch.discard(self)
        if not self.cancelled or self._task is None:
            return
        # Another cancellation, of the task from outside, is not ours to turn into a timeout.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
