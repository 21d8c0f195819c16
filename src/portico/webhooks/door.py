"""A door for the webhooks of one vendor: verified, kept, and only then acknowledged."""

from __future__ import annotations

import base64
import datetime as dt
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from portico.problems import CONTENT_TOO_LARGE, UNAUTHENTICATED, Problem
from portico.webhooks.cloud_events import allowance
from portico.webhooks.received import Received, Vendor, WebhookRefusedError, digest
from portico.workflow.workflows import Workflows

logger = logging.getLogger("portico.webhooks")

# Larger than what any of the vendors sends; Shopify's products come closest.
MAX_BODY_BYTES = 2 * 1024 * 1024
# What names of deliveries look like; any other is replaced by its digest, so that the workflow can
# be asked for by its id.
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,127}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A door by its name, which is the end of its address, and what is started for a delivery.

    Several secrets are accepted while one replaces another. `origins` are the senders that are
    told that they may send, where the vendor asks.
    """

    name: str
    vendor: Vendor
    secrets: Sequence[bytes]
    workflow: str
    workflows: Workflows
    origins: Sequence[str] = ()
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if not self.secrets:
            raise ValueError(f"the door {self.name} has no secret")

    async def receive(self, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
        """Return what to answer with 200, once the delivery cannot be lost any more.

        Raises Problem: 401 for one that is not the vendor's, 503 while it cannot be kept. A
        delivery that came before starts nothing; it is remembered for as long as workflows are,
        which is longer than any vendor repeats it.
        """
        if len(body) > MAX_BODY_BYTES:
            detail = f"a delivery has at most {MAX_BODY_BYTES} bytes"
            raise Problem(CONTENT_TOO_LARGE, detail)
        received = self._verified(headers, body)
        if received.delivery_id:
            await self.workflows.start(
                self.workflow_id(received.delivery_id),
                self.workflow,
                self._payload(received, received.body or body),
            )
        return received.reply

    def allowance(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]] | None:
        """Return the headers that answer a sender who asks, None where nobody may."""
        if not self.vendor.has_handshake:
            return None
        return allowance({name.lower(): value for name, value in headers}, self.origins)

    def workflow_id(self, delivery_id: str) -> str:
        """Return the workflow of a delivery."""
        plain = _PLAIN_ID.match(delivery_id) is not None
        return f"webhook:{self.name}:{delivery_id if plain else digest(delivery_id.encode())}"

    def _verified(self, headers: Iterable[tuple[str, str]], body: bytes) -> Received:
        try:
            fields = self._fields(headers)
            return self.vendor.verify(fields, body, self.secrets, self.clock())
        except WebhookRefusedError as error:
            logger.warning("a delivery at the door %s was refused: %s", self.name, error)
            # What exactly is wrong would help whoever is trying to get in.
            raise Problem(UNAUTHENTICATED, "the delivery is not signed as it has to be") from None

    def _fields(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        fields: dict[str, str] = {}
        for name, value in headers:
            lowered = name.lower()
            if lowered in fields and (lowered in self.vendor.headers or lowered.startswith("ce-")):
                raise WebhookRefusedError(f"{lowered} is there twice")
            fields[lowered] = value
        return fields

    def _payload(self, received: Received, body: bytes) -> dict[str, object]:
        """Return a delivery as the workflow gets it."""
        payload: dict[str, object] = {
            "door": self.name,
            "vendor": self.vendor.name,
            "deliveryId": received.delivery_id,
            "topic": received.topic,
            "receivedAt": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        }
        try:
            return {**payload, "body": body.decode()}
        except UnicodeDecodeError:
            return {**payload, "bodyBase64": base64.b64encode(body).decode()}

    def __repr__(self) -> str:
        # Never a secret.
        return f"<Door {self.name} for {self.vendor.name} starts {self.workflow}>"
