"""What outlasts a request, for the APIs that work with it.

It is handed out before it is open: workflows call APIs, and APIs start workflows. It is open
whenever a request is answered.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from portico.dead_letters.desk import Desk
from portico.events.outbox import Outbox
from portico.webhooks.subscribers import Subscribers
from portico.workflow.notes import Notes
from portico.workflow.projections import Projections
from portico.workflow.watermarks import Watermarks
from portico.workflow.workflows import Workflows


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableParts:
    """The open parts."""

    workflows: Workflows
    outbox: Outbox
    dead_letters: Desk
    subscribers: Subscribers
    watermarks: Watermarks
    notes: Notes
    projections: Projections


class Durable:
    """A place for the parts."""

    def __init__(self) -> None:
        self._parts: DurableParts | None = None
        self._is_open = asyncio.Event()

    @property
    def parts(self) -> DurableParts:
        if self._parts is None:
            raise RuntimeError("workflows, events and dead letters are not open here")
        return self._parts

    async def ready(self) -> DurableParts:
        """Return the parts once they are open: a workflow may be resumed a moment before."""
        await self._is_open.wait()
        return self.parts

    def opened(self, parts: DurableParts) -> None:
        """Take the parts in."""
        self._parts = parts
        self._is_open.set()

    def closed(self) -> None:
        """Let them go."""
        self._parts = None
        self._is_open.clear()

    def __repr__(self) -> str:
        return f"<Durable {'open' if self._parts else 'closed'}>"
