"""When a delivery that failed is tried again, as Standard Webhooks recommends."""

from __future__ import annotations

import random

_MINUTE, _HOUR = 60.0, 3600.0
# What the standard recommends: more than three days, so that a weekend is no loss.
DELAYS_SECONDS = (
    0.0,
    5.0,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
# Receivers that failed together are not asked again together.
JITTER = 0.2
# A receiver may ask for patience, not for ever.
MAX_RETRY_AFTER_SECONDS = 24 * _HOUR


def delay_before(attempt: int, retry_after_seconds: float = 0.0) -> float | None:
    """Return how long to wait before an attempt, the first being 0; None if there is none."""
    if attempt >= len(DELAYS_SECONDS):
        return None
    planned = DELAYS_SECONDS[attempt] * random.uniform(1.0, 1.0 + JITTER)
    return max(planned, min(retry_after_seconds, MAX_RETRY_AFTER_SECONDS))
