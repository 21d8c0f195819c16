"""The desk where dead letters are looked at, replayed and discarded."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from portico.dead_letters.audit import DISCARD, REPLAY, Audit, Entry
from portico.dead_letters.letter import DeadLetter, Kind, from_event, from_workflow
from portico.dead_letters.place import START, Place
from portico.events.bus import Log
from portico.workflow.journal import Position
from portico.workflow.workflows import Workflows, position_of

# Read at a time: as much of each kind.
_BATCH = 200
# A page that few letters belong to is looked for among so many, and may be a short one.
MAX_SCANNED = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some dead letters; `following` is where the next page begins, None after the last one."""

    letters: Sequence[DeadLetter]
    following: Place | None


@dataclass(frozen=True, slots=True)
class Desk:
    """Dead letters of the workflow database and the bus."""

    workflows: Workflows
    log: Log
    audit: Audit

    async def page(
        self,
        begin: Place = START,
        *,
        limit: int,
        kind: Kind | None = None,
        incident_id: str | None = None,
    ) -> Page:
        """Return letters, the oldest first. Raises BusUnavailableError, SQLAlchemyError."""
        found: list[DeadLetter] = []
        scanned, last = 0, begin
        async for letter, place in self._walk(begin, kind):
            wanted = kind in {None, letter.kind} and incident_id in {None, letter.incident_id}
            if scanned >= MAX_SCANNED or (wanted and len(found) >= limit):
                return Page(letters=found, following=last)
            if wanted:
                found.append(letter)
            scanned, last = scanned + 1, place
        return Page(letters=found, following=None)

    async def each(self) -> AsyncIterator[DeadLetter]:
        """Yield all letters, the oldest first. Raises what `page` raises."""
        async for letter, _ in self._walk(START, None):
            yield letter

    async def following(self, begin: Place) -> AsyncIterator[tuple[DeadLetter, Place]]:
        """Yield the letters after a place, each with its own. Raises what `page` raises."""
        async for letter, place in self._walk(begin, None):
            yield letter, place

    async def _walk(
        self, begin: Place, kind: Kind | None
    ) -> AsyncIterator[tuple[DeadLetter, Place]]:
        """Yield letters from a place on, each with the place behind it; not only of the kind."""
        place = begin
        while True:
            batch = await self._batch(place, kind)
            if not batch:
                return
            for letter, step in batch:
                place = (
                    replace(place, event=step)
                    if isinstance(step, str)
                    else replace(place, workflow=step)
                )
                yield letter, place

    async def _batch(
        self, place: Place, kind: Kind | None
    ) -> Sequence[tuple[DeadLetter, Position | str]]:
        """Return the next letters, each with its place among its kind."""
        workflows: list[tuple[DeadLetter, Position | str]] = []
        events: list[tuple[DeadLetter, Position | str]] = []
        if kind != "event":
            states = await self.workflows.list_dead(after=place.workflow, limit=_BATCH)
            workflows = [(from_workflow(one), position_of(one)) for one in states]
        if kind in {None, "event"}:
            dead = await self.log.dead(after=place.event, limit=_BATCH)
            events = [(from_event(one), one.dead_id) for one in dead]
        # What is beyond the shorter of two full batches has to wait for what it did not have.
        merged = heapq.merge(workflows, events, key=lambda entry: entry[0].died_at)
        return list(merged)[:_BATCH]

    async def find(self, letter_id: str) -> DeadLetter | None:
        """Return one letter, None if there is none of this id."""
        kind, _, inner = letter_id.partition(":")
        if kind == "event":
            event = await self.log.find_dead(inner)
            return None if event is None else from_event(event)
        state = await self.workflows.status(inner)
        if state is None or state.phase != "dead":
            return None
        letter = from_workflow(state)
        return letter if letter.letter_id == letter_id else None

    async def history(self, letter_id: str) -> Sequence[Entry]:
        return await self.audit.of(letter_id)

    async def replay(self, letter_id: str, actor: str) -> bool:
        """Have a letter done again; False if there is none of this id.

        It keeps its ids and keys: what took effect before does not again.
        """
        letter = await self.find(letter_id)
        if letter is None:
            return False
        await self.audit.write(actor, REPLAY, letter_id, letter.cause)
        kind, _, inner = letter_id.partition(":")
        if kind == "event":
            return await self.log.revive(inner)
        return await self.workflows.replay(inner)

    async def discard(self, letter_id: str, actor: str, reason: str) -> bool:
        """Give a letter up; False if there is none of this id."""
        letter = await self.find(letter_id)
        if letter is None:
            return False
        detail = f"{reason} (cause: {letter.cause})"
        await self.audit.write(actor, DISCARD, letter_id, detail)
        kind, _, inner = letter_id.partition(":")
        if kind == "event":
            return await self.log.discard(inner)
        return await self.workflows.discard(inner)
