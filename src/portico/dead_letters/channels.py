"""The ways to tell people of an incident: the log, a webhook, Slack, e-mail."""

from __future__ import annotations

import asyncio
import logging
import smtplib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage

from portico.dead_letters.incidents import Alert
from portico.events.event import new_event
from portico.events.outbox import Outbox
from portico.json_text import encode
from portico.webhooks import standard
from portico.webhooks.egress import Egress

logger = logging.getLogger("portico.alerts")

# What specs/events/incidents.v1.yaml describes.
TYPE = "portico.incident.opened"
SOURCE = "/portico/incidents"
_SMTP_SECONDS = 10.0


class AlertFailedError(Exception):
    """A channel did not take an alert."""


@dataclass(frozen=True, slots=True)
class LogChannel:
    """One line at level ERROR, which every installation keeps."""

    name: str = "log"

    async def tell(self, alert: Alert) -> None:
        logger.error("%s", alert.text.replace("\n", " | "))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventChannel:
    """An event for whoever subscribes to it."""

    outbox: Outbox
    name: str = "event"

    async def tell(self, alert: Alert) -> None:
        event = new_event(TYPE, SOURCE, _data(alert), event_id=_message_id(alert))
        await self.outbox.publish(event)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    """A signed webhook; its id is that of the incident, so a receiver sees repetitions."""

    url: str
    secrets: Sequence[bytes]
    egress: Egress
    clock: Callable[[], float] = time.time
    name: str = "webhook"

    async def tell(self, alert: Alert) -> None:
        body = encode({"type": TYPE, "timestamp": alert.opened_at, "data": _data(alert)})
        message_id, at = _message_id(alert), int(self.clock())
        headers = [
            ("content-type", "application/json"),
            (standard.ID, message_id),
            (standard.TIMESTAMP, str(at)),
            (standard.SIGNATURE, standard.sign(self.secrets, message_id, at, body)),
        ]
        await _post(self.egress, self.url, headers, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackChannel:
    """An incoming webhook of Slack; its URL is a secret."""

    url: str = field(repr=False)
    egress: Egress
    name: str = "slack"

    async def tell(self, alert: Alert) -> None:
        headers = [("content-type", "application/json")]
        await _post(self.egress, self.url, headers, encode({"text": alert.text}))


@dataclass(frozen=True, slots=True, kw_only=True)
class MailChannel:
    """E-mail by SMTP, over TLS where a user is given."""

    host: str
    port: int
    sender: str
    recipients: Sequence[str]
    user: str = ""
    password: str = field(default="", repr=False)
    name: str = "e-mail"

    async def tell(self, alert: Alert) -> None:
        try:
            await asyncio.to_thread(self._send, self._message(alert))
        except (OSError, smtplib.SMTPException) as error:
            raise AlertFailedError(f"{type(error).__name__}: {error}") from error

    def _message(self, alert: Alert) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        message["Subject"] = " ".join(alert.title.split())[:200]
        message["Message-ID"] = f"<{_message_id(alert)}@portico>"
        message.set_content(alert.text)
        return message

    def _send(self, message: EmailMessage) -> None:
        with smtplib.SMTP(self.host, self.port, timeout=_SMTP_SECONDS) as server:
            if self.user:
                server.starttls()
                server.login(self.user, self.password)
            server.send_message(message)


def _message_id(alert: Alert) -> str:
    moment = "".join(letter for letter in alert.opened_at if letter.isdigit())
    return f"incident_{alert.incident_id}_{moment}"


def _data(alert: Alert) -> dict[str, object]:
    """Return an alert as its contract words it."""
    return {
        "incidentId": alert.incident_id,
        "kind": alert.kind,
        "name": alert.name,
        "cause": alert.cause[:10_000],
        "letters": alert.letters,
        "openedAt": alert.opened_at,
        "runbookUrl": alert.runbook_url,
        "replayCommand": alert.replay_command,
    }


async def _post(egress: Egress, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> None:
    try:
        answer = await egress.post(url, headers, body)
    except (OSError, TimeoutError) as error:
        raise AlertFailedError(str(error) or "no answer in time") from error
    if not 200 <= answer.status < 300:
        raise AlertFailedError(f"the receiver answered {answer.status}")
