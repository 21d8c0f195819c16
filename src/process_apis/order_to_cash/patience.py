"""How often and when a step is tried again: by durable waits, which a restart does not undo."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dbos import DBOS

from portico.problems import CONFLICT, RECORD_CHANGED, UNPROCESSABLE
from portico.workflow.errors import DeadLetterError
from portico.workflow.steps import Failure, Outcome, Step

STRIPE, BOOKS, CRM = "system/stripe.v1", "system/quickbooks.v1", "system/salesforce.v1"
# Five minutes apart, as the settings have it, this is a quarter of an hour: enough for a system to
# be restarted, and short enough for somebody to see to it on the same day.
RETRIES = 3
# Each conflict is progress of another run, and many may be for one customer at one moment. One that
# stays for so long is a name that is taken, or what people have to see to.
CONFLICTS = 10

# Does a step; the text tells apart the tries that are to be something new to the callee.
Try = Callable[[str], Awaitable[Outcome]]
Check = Callable[[], Awaitable[None]]


def refusal(detail: str, system: str) -> Failure:
    """Return the failure of what a system's records do not allow, however often it is tried."""
    status, title = UNPROCESSABLE.status, UNPROCESSABLE.title
    return Failure(status=status, title=title, detail=detail, system=system, passing=False)


class RefusedError(Exception):
    """A system does not do what it was asked, and would not later either."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.system}: {failure}")


class Patience:
    """Tries steps again while that may help."""

    def __init__(self, retry_seconds: float) -> None:
        self._retry_seconds = retry_seconds

    async def insist(
        self,
        attempt: Try,
        first: Outcome | None = None,
        *,
        before_retry: Check | None = None,
    ) -> Any:
        """Return what a step comes to.

        Raises DeadLetterError when it still fails, RefusedError when it always will. A conflict may
        be with another run for the same customer at the same moment: of two changes of one version,
        QuickBooks takes the first and calls the other stale. Nothing was done then, so the next try
        goes under a key of its own: under the old one the refusal would be repeated.
        """
        outcome = first or await attempt("")
        retries = conflicts = 0
        while True:
            wait = self._retry_seconds
            conflict = _is_conflict(outcome)
            if conflict and conflicts < CONFLICTS:
                conflicts += 1
                # Those that met do not meet again; what was drawn is in the journal as the sleep.
                wait *= random.uniform(0.1, 1.0)
            elif outcome.may_pass and not conflict and retries < RETRIES:
                retries += 1
            else:
                return _body_of(outcome)
            await DBOS.sleep_async(wait)
            if before_retry is not None:
                await before_retry()
            outcome = await attempt(f"again {conflicts}" if conflicts else "")

    async def read(self, step: Step, arguments: Mapping[str, object]) -> Any:
        """Return what a step reads; raises as `insist` does."""
        return await self.insist(lambda _: step(arguments))


def is_overtaken(outcome: Outcome) -> bool:
    """Tell whether the record is not what it was taken for, or was changed at the same moment.

    An attempt under the same key that still runs is neither.
    """
    failure = outcome.failure
    if failure is None or failure.status != CONFLICT.status:
        return False
    return failure.kind == RECORD_CHANGED.slug or not failure.passing


def _is_conflict(outcome: Outcome) -> bool:
    return outcome.failure is not None and outcome.failure.status == CONFLICT.status


def _body_of(outcome: Outcome) -> Any:
    failure = outcome.failure
    if failure is None:
        return outcome.body
    if failure.passing:
        raise DeadLetterError(str(failure), system=failure.system)
    raise RefusedError(failure)
