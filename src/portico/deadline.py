"""The time a request may take, as a point on the monotonic clock."""

from __future__ import annotations

from time import monotonic


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
