"""Heals webhooks that did not come: Stripe's own list of events says what happened.

An event that came as a webhook has a run of the same id already, so nothing is started twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from dbos import DBOS

from portico.durable import Durable
from portico.workflow.steps import Steps
from process_apis.order_to_cash import tasks

NAME = "order-to-cash.v1"
_MARK = "order-to-cash stripe events"
# Events come late: from this long before the last one seen, all are looked at again.
OVERLAP = dt.timedelta(hours=1)
# The first look reaches as far back as Stripe repeats a webhook.
FIRST_LOOK = dt.timedelta(days=3)
_PAGE = 100


class MissedEvents:
    """The workflow that the clock starts."""

    def __init__(self, steps: Steps, durable: Durable, door: str) -> None:
        self._list_events = steps.call("system/stripe.v1", "listEvents")
        self._durable = durable
        self._door = door

    async def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Start what was missed. A look that fails is made again by the next one."""
        marks = (await self._durable.ready()).watermarks
        scheduled = dt.datetime.fromisoformat(payload["scheduledAt"])
        mark = await marks.read(_MARK)
        since = _since(mark, scheduled)
        newest, cursor, seen = since, "", 0
        while True:
            outcome = await self._list_events(
                {
                    "since": since,
                    "types": list(tasks.EVENTS),
                    "limit": _PAGE,
                    "cursor": cursor or None,
                },
                item=cursor,
            )
            if outcome.failure is not None:
                return {"seen": seen, "cause": str(outcome.failure)}
            events = outcome.body["items"]
            await DBOS.run_step_async({"name": "start runs"}, self._start, events)
            seen += len(events)
            newest = max([newest, *(_text(_moment(event["occurredAt"])) for event in events)])
            cursor = outcome.body.get("nextCursor", "")
            if not cursor:
                break
        await marks.move(_MARK, newest)
        return {"seen": seen}

    async def _start(self, events: Sequence[Mapping[str, Any]]) -> None:
        workflows = (await self._durable.ready()).workflows
        for event in events:
            payload = tasks.payload_of(event["type"], event["recordId"], event.get("invoiceId", ""))
            await workflows.start(f"webhook:{self._door}:{event['id']}", NAME, payload)


def _since(mark: str, scheduled: dt.datetime) -> str:
    return _text(_moment(mark) - OVERLAP if mark else scheduled - FIRST_LOOK)


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _text(moment: dt.datetime) -> str:
    """Return a moment in the one form that is ordered as text."""
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
