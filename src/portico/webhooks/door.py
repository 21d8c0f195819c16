"""A door for the webhooks of one vendor: verified, kept, and only then acknowledged."""

from __future__ import annotations

import base64
import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from portico.problems import CONTENT_TOO_LARGE, UNAUTHENTICATED, Problem
from portico.webhooks.received import Received, Vendor, WebhookRefusedError
from portico.workflow.workflows import Workflows

logger = logging.getLogger("portico.webhooks")

# Larger than what any of the vendors sends; Shopify's products come closest.
MAX_BODY_BYTES = 2 * 1024 * 1024
# Identifiers of vendors are far shorter; ours go into a key.
_MAX_DELIVERY_ID = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A door by its name, which is the end of its address, and what is started for a delivery.

    Several secrets are accepted while one replaces another.
    """

    name: str
    vendor: Vendor
    secrets: Sequence[bytes]
    workflow: str
    workflows: Workflows
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
                self.workflow_id(received.delivery_id), self.workflow, self._payload(received, body)
            )
        return received.reply

    def workflow_id(self, delivery_id: str) -> str:
        """Return the workflow of a delivery."""
        return f"webhook:{self.name}:{delivery_id}"

    def _verified(self, headers: Iterable[tuple[str, str]], body: bytes) -> Received:
        try:
            fields = self._fields(headers)
            received = self.vendor.verify(fields, body, self.secrets, self.clock())
            _check_id(received.delivery_id)
        except WebhookRefusedError as error:
            logger.warning("a delivery at the door %s was refused: %s", self.name, error)
            # What exactly is wrong would help whoever is trying to get in.
            raise Problem(UNAUTHENTICATED, "the delivery is not signed as it has to be") from None
        return received

    def _fields(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        fields: dict[str, str] = {}
        for name, value in headers:
            lowered = name.lower()
            if lowered in fields and lowered in self.vendor.headers:
                raise WebhookRefusedError(f"{lowered} is there twice")
            fields[lowered] = value
        return fields

    def _payload(self, received: Received, body: bytes) -> dict[str, object]:
        """Return a delivery as the workflow gets it: the bytes as they came."""
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


def _check_id(delivery_id: str) -> None:
    if len(delivery_id) > _MAX_DELIVERY_ID or not delivery_id.isascii():
        raise WebhookRefusedError("the name of the delivery cannot be")
