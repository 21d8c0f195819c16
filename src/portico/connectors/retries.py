"""Whether a request that failed is sent again, and when. Pure: nothing is sent or awaited here."""

from __future__ import annotations

import random
from dataclasses import dataclass

from portico.connectors.failures import (
    ConnectorError,
    LockedError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)
from portico.connectors.messages import Request

MAX_TRIES = 4
# The first wait where the system names none; each further one is twice as long.
FIRST_WAIT_SECONDS = 0.1
# A longer wait is not sat out within a call: the caller hears of it and comes again.
MAX_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Send again after a wait, with a new token if `renew`."""

    after_seconds: float = 0.0
    renew: bool = False


def next_try(
    error: ConnectorError, request: Request, *, tries: int, renewed: bool, remaining: float
) -> Retry | None:
    """Return how to go on after `tries` failed tries, None to give up.

    1. A token that is not accepted is renewed once.
    2. What is locked or limited had no effect: it is sent again, whatever it is.
    3. An outage is retried if the request was not sent, or if sending it twice does not matter.
    Everything else would only fail again.
    """
    if isinstance(error, UnauthenticatedError):
        return None if renewed else Retry(renew=True)
    if tries >= MAX_TRIES or not _may_repeat(error, request):
        return None
    wait = error.retry_after_seconds
    if wait is None:
        # Half fixed and half random, so that callers who failed together do not return together.
        longest = FIRST_WAIT_SECONDS * 2**tries
        wait = random.uniform(longest / 2, longest)
    if wait > MAX_WAIT_SECONDS or wait >= remaining:
        return None
    return Retry(after_seconds=wait)


def _may_repeat(error: ConnectorError, request: Request) -> bool:
    if isinstance(error, LockedError | ThrottledError):
        return True
    return isinstance(error, UnavailableError) and (request.repeatable or not error.in_doubt)
