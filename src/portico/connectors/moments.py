"""Points in time between the forms that systems give them."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 has it.

    >>> timestamp(datetime(2026, 11, 2, 9, 30, tzinfo=UTC))
    '2026-11-02T09:30:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def from_epoch(seconds: int) -> datetime:
    """Return the moment so many seconds after 1970 began."""
    return datetime.fromtimestamp(seconds, UTC)


def from_text(text: str) -> datetime:
    """Return the moment of an ISO 8601 text with an offset; raises ValueError.

    >>> from_text("2026-11-02T01:30:00-08:00")
    datetime.datetime(2026, 11, 2, 9, 30, tzinfo=datetime.timezone.utc)
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time has no offset from UTC")
    return moment.astimezone(UTC)


def version_of(moment: datetime) -> int:
    """Return a version that grows with the time of the last change: its microseconds."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
