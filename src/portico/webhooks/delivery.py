"""Deliveries: one workflow for each event and subscriber, until it arrives or is given up.

The webhook's id is that of the workflow's event, the same on every attempt and after a replay;
time and signature are those of the attempt.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from dbos import DBOS

from portico import __version__
from portico.events.bus import Subscription
from portico.events.event import CloudEvent
from portico.json_text import encode
from portico.webhooks import standard
from portico.webhooks.egress import Egress, ForbiddenAddressError
from portico.webhooks.retry import delay_before
from portico.webhooks.subscribers import Subscriber, Subscribers
from portico.workflow.definition import Workflow
from portico.workflow.errors import DeadLetterError
from portico.workflow.workflows import Workflows

NAME = "webhook-delivery.v1"
GROUP = "webhooks"
# Standard Webhooks: payloads are small, and name what to fetch.
MAX_PAYLOAD_BYTES = 20_000
_GONE = 410
_NOT_ORDERLY = re.compile(r"[^0-9]")

WasReplayed = Callable[[str], Awaitable[bool]]


class _FailedError(Exception):
    """An attempt that failed: `final` is whether further ones would, too."""

    def __init__(
        self,
        cause: str,
        *,
        final: bool = False,
        disable: bool = False,
        retry_after_seconds: float = 0.0,
    ) -> None:
        super().__init__(cause)
        self.final = final
        self.disable = disable
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Delivers to subscribers, and starts a delivery for each event they want."""

    subscribers: Subscribers
    egress: Egress
    was_replayed: WasReplayed
    clock: Callable[[], float] = time.time
    delay: Callable[[int, float], float | None] = delay_before

    @property
    def workflow(self) -> Workflow:
        return Workflow(name=NAME, run=self.run)

    def subscription(self, workflows: Workflows) -> Subscription:
        """Return the subscription of the bus that starts deliveries."""

        async def handle(event: CloudEvent) -> None:
            for subscriber in self.subscribers.wanting(event.type):
                await workflows.start(
                    _workflow_id(subscriber, event),
                    NAME,
                    {"subscriber": subscriber.name, **_message(event)},
                    lane=subscriber.name if subscriber.ordered else "",
                )

        return Subscription(group=GROUP, types=self.subscribers.types, handle=handle)

    async def run(self, message: Any) -> Any:
        """Try as often as the schedule allows. Raises DeadLetterError."""
        for number in itertools.count(1):
            name = f"attempt {number}"
            result = await DBOS.run_step_async({"name": name}, self.attempt, message, number)
            if not result["failed"]:
                return {"attempts": number, "status": result["status"]}
            if result["delay"] is None:
                break
            await DBOS.sleep_async(result["delay"])
        if result["disable"]:
            await DBOS.run_step_async(
                {"name": "disable"},
                self.subscribers.disable,
                message["subscriber"],
                result["cause"],
            )
        raise DeadLetterError(result["cause"], system=f"webhook {message['subscriber']}")

    async def attempt(self, message: Any, number: int) -> dict[str, Any]:
        """Send once and return what came of it and how long to wait, as the journal keeps it."""
        try:
            return {"failed": False, "status": await self._attempt(message)}
        except _FailedError as failure:
            delay = None if failure.final else self.delay(number, failure.retry_after_seconds)
            # Who takes nothing in days gets nothing more until somebody looks at it.
            disable = failure.disable or (delay is None and not failure.final)
            return {"failed": True, "cause": str(failure), "delay": delay, "disable": disable}

    async def _attempt(self, message: Any) -> int:
        """Return the status of an answer that says it was taken. Raises _FailedError."""
        subscriber = self.subscribers.by_name.get(message["subscriber"])
        if subscriber is None:
            raise _FailedError("the subscriber is not configured any more", final=True)
        disabled = await self.subscribers.disabled()
        if subscriber.name in disabled:
            cause = f"the subscriber is disabled: {disabled[subscriber.name]}"
            raise _FailedError(cause, final=True)
        body = encode({name: message[name] for name in ("type", "timestamp", "data")})
        if len(body) > MAX_PAYLOAD_BYTES:
            detail = f"the payload has {len(body)} of {MAX_PAYLOAD_BYTES} bytes"
            raise _FailedError(detail, final=True)
        return await self._send(subscriber, message["id"], body)

    async def _send(self, subscriber: Subscriber, message_id: str, body: bytes) -> int:
        workflow_id = DBOS.workflow_id or ""
        replayed = await self.was_replayed(workflow_id)
        headers = self._headers(subscriber, message_id, body, replayed=replayed)
        try:
            answer = await self.egress.post(subscriber.url, headers, body)
        except ForbiddenAddressError as error:
            raise _FailedError(str(error), final=True, disable=True) from error
        except (OSError, TimeoutError) as error:
            raise _FailedError(str(error) or "no answer in time") from error
        if 200 <= answer.status < 300:
            return answer.status
        cause = f"the receiver answered {answer.status}"
        if answer.status == _GONE:
            raise _FailedError(cause, final=True, disable=True)
        wait = _seconds(answer.retry_after, self.clock())
        raise _FailedError(cause, retry_after_seconds=wait)

    def _headers(
        self, subscriber: Subscriber, message_id: str, body: bytes, *, replayed: bool
    ) -> list[tuple[str, str]]:
        timestamp = int(self.clock())
        headers = [
            ("content-type", "application/json"),
            ("user-agent", f"portico/{__version__}"),
            (standard.ID, message_id),
            (standard.TIMESTAMP, str(timestamp)),
            (
                standard.SIGNATURE,
                standard.sign(subscriber.secrets, message_id, timestamp, body),
            ),
        ]
        return [*headers, ("webhook-replayed", "true")] if replayed else headers


def _message(event: CloudEvent) -> dict[str, Any]:
    """Return an event as Standard Webhooks words it."""
    return {
        "id": _message_id(event),
        "type": event.type,
        "timestamp": event.time,
        "data": event.data,
    }


def _message_id(event: CloudEvent) -> str:
    """Return the webhook's id: it says which event it is, and has no dot."""
    identity = f"{len(event.source)}:{event.source}{event.id}"
    return f"msg_{hashlib.sha256(identity.encode()).hexdigest()[:32]}"


def _workflow_id(subscriber: Subscriber, event: CloudEvent) -> str:
    """Return the id of a delivery.

    Those of one lane that are started within a second run in the order of their ids.
    """
    moment = _NOT_ORDERLY.sub("", event.time)[:20]
    return f"delivery:{subscriber.name}:{moment}:{_message_id(event)}"


def _seconds(retry_after: str, now: float) -> float:
    """Return a Retry-After, in seconds or a date (RFC 9110 10.2.3), as seconds from now."""
    if retry_after.isdecimal() and retry_after.isascii():
        return float(retry_after[:9])
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except ValueError:
        return 0.0
