"""Incidents: troubles that made dead letters. People are told of each once.

A hundred orders that died of one outage are one incident. It is over when none of its letters is
left; should there be some again, that is another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from portico.dead_letters.desk import Desk
from portico.dead_letters.letter import DeadLetter
from portico.dead_letters.place import START
from portico.events.errors import BusUnavailableError
from portico.workflow.database import WorkflowDatabase
from portico.workflow.tables import INCIDENTS

logger = logging.getLogger("portico.dead_letters")

# How long one process has for telling, and how soon a channel that failed is tried again.
_CLAIM_SECONDS = 30.0
# All letters are looked at this often, in between only those that follow: nodes differ in their
# clocks, and a letter may come to stand before one that was seen.
_WHOLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What people are told."""

    incident_id: str
    kind: str
    name: str
    cause: str
    letters: int
    first_letter_id: str
    opened_at: str
    runbook_url: str
    replay_command: str

    @property
    def title(self) -> str:
        subject = "dead letter" if self.letters == 1 else f"{self.letters} dead letters"
        return f"{subject}: {self.kind} {self.name}"

    @property
    def text(self) -> str:
        """Return the alert in words."""
        return (
            f"{self.title}\ncause: {self.cause}\nrunbook: {self.runbook_url}\n"
            f"replay: {self.replay_command}\nincident: {self.incident_id}, {self.opened_at}"
        )


class Channel(Protocol):
    """A way to tell people."""

    @property
    def name(self) -> str:
        """Return what the way is called."""
        ...

    async def tell(self, alert: Alert) -> None:
        """Tell them; whatever it raises, it is tried again."""
        ...


@dataclass(slots=True)
class _Trouble:
    """What is kept of the letters of an incident: there may be very many."""

    first: DeadLetter
    letters: int = 0


class Watcher:
    """Looks for dead letters, and has people told."""

    def __init__(
        self,
        desk: Desk,
        database: WorkflowDatabase,
        engine: AsyncEngine,
        channels: Sequence[Channel],
        runbook_url: str,
    ) -> None:
        self._desk = desk
        self._database = database
        self._engine = engine
        self._channels = channels
        self._runbook_url = runbook_url
        self._found: dict[str, _Trouble] = {}
        self._place = START
        self._whole_at = -math.inf

    @contextlib.asynccontextmanager
    async def watching(self, seconds: float) -> AsyncIterator[None]:
        """Look again and again, in the background."""
        task = asyncio.create_task(self._run(seconds), name="incident watcher")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self, seconds: float) -> None:
        while True:
            try:
                await self.look()
            except (SQLAlchemyError, BusUnavailableError, OSError) as error:
                logger.warning("dead letters cannot be read: %s", type(error).__name__)
            await asyncio.sleep(seconds)

    async def look(self) -> None:
        """Look once: open incidents for new troubles, close those that are over."""
        late = time.monotonic() - self._whole_at >= _WHOLE_SECONDS
        if late or not await self._are_left():
            await self._look_at_all()
        else:
            async for letter, place in self._desk.following(self._place):
                _count(self._found, letter)
                self._place = place
        for incident_id, trouble in list(self._found.items()):
            claimed = await self._claim(incident_id)
            if claimed is None:
                continue
            opened_at, told = claimed
            alert = self._alert(incident_id, trouble, opened_at)
            now_told = await self._tell(alert, told)
            if now_told != told:
                await self._note(incident_id, now_told)

    async def _look_at_all(self) -> None:
        begin, found, place = time.monotonic(), dict[str, _Trouble](), START
        async for letter, place in self._desk.following(START):  # noqa: B007  # the last one
            _count(found, letter)
        # Only now: what was not looked at is not over.
        await self._close_others(found)
        self._found, self._place, self._whole_at = found, place, begin

    async def _are_left(self) -> bool:
        """Return whether each incident still has the letter it was found by."""
        for incident_id, trouble in self._found.items():
            letter = await self._desk.find(trouble.first.letter_id)
            if letter is None or letter.incident_id != incident_id:
                return False
        return True

    async def _claim(self, incident_id: str) -> tuple[str, frozenset[str]] | None:
        """Return when an incident began and which channels told of it.

        None where another process is at it, or was a moment ago: one tells, also again where a
        channel failed.
        """
        columns, now = INCIDENTS.c, self._database.now()
        opened_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        insert = self._database.insert(INCIDENTS).values(
            incident_id=incident_id, opened_at=opened_at, told="", claimed_until=0.0
        )
        claim = (
            sa.update(INCIDENTS)
            .where(columns.incident_id == incident_id, columns.claimed_until < now)
            .values(claimed_until=now + _CLAIM_SECONDS)
            .returning(columns.opened_at, columns.told)
        )
        async with self._engine.begin() as connection:
            await connection.execute(insert.on_conflict_do_nothing(index_elements=["incident_id"]))
            row = (await connection.execute(claim)).first()
        return None if row is None else (row[0], frozenset(filter(None, row[1].split(","))))

    async def _note(self, incident_id: str, told: frozenset[str]) -> None:
        noted = sa.update(INCIDENTS).where(INCIDENTS.c.incident_id == incident_id)
        async with self._engine.begin() as connection:
            await connection.execute(noted.values(told=",".join(sorted(told))))

    async def _close_others(self, found: Mapping[str, object]) -> None:
        over = sa.delete(INCIDENTS).where(INCIDENTS.c.incident_id.not_in(list(found)))
        async with self._engine.begin() as connection:
            await connection.execute(over)

    def _alert(self, incident_id: str, trouble: _Trouble, opened_at: str) -> Alert:
        first = trouble.first
        return Alert(
            incident_id=incident_id,
            kind=first.kind,
            name=first.name,
            cause=first.cause,
            letters=trouble.letters,
            first_letter_id=first.letter_id,
            opened_at=opened_at,
            runbook_url=self._runbook_url,
            replay_command=f"portico dlq replay --incident {incident_id}",
        )

    async def _tell(self, alert: Alert, told: frozenset[str]) -> frozenset[str]:
        """Tell by the channels that have not told, and return those that have by now."""
        channels = [channel for channel in self._channels if channel.name not in told]
        outcomes = await asyncio.gather(
            *(channel.tell(alert) for channel in channels), return_exceptions=True
        )
        done = set(told)
        for channel, outcome in zip(channels, outcomes, strict=True):
            if isinstance(outcome, Exception):
                logger.error("the alert did not go out by %s: %s", channel.name, outcome)
            elif outcome is None:
                done.add(channel.name)
        return frozenset(done)


def _count(found: dict[str, _Trouble], letter: DeadLetter) -> None:
    found.setdefault(letter.incident_id, _Trouble(letter)).letters += 1
