"""The desk where dead letters are looked at, replayed and discarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portico.dead_letters.audit import DISCARD, REPLAY, Audit, Entry
from portico.dead_letters.letter import DeadLetter, Kind, from_event, from_workflow
from portico.events.bus import Log
from portico.workflow.workflows import Workflows


@dataclass(frozen=True, slots=True)
class Desk:
    """Dead letters of the workflow database and the bus."""

    workflows: Workflows
    log: Log
    audit: Audit

    async def letters(self, kind: Kind | None = None) -> list[DeadLetter]:
        """Return the letters, the oldest first. Raises BusUnavailableError, SQLAlchemyError."""
        found: list[DeadLetter] = []
        if kind != "event":
            found += [from_workflow(state) for state in await self.workflows.list_dead()]
        if kind in {None, "event"}:
            found += [from_event(event) for event in await self.log.dead()]
        chosen = [letter for letter in found if kind in {None, letter.kind}]
        return sorted(chosen, key=lambda letter: (letter.died_at, letter.letter_id))

    async def find(self, letter_id: str) -> DeadLetter | None:
        """Return one letter, None if there is none of this id."""
        kind, _, inner = letter_id.partition(":")
        if kind == "event":
            letters = await self.letters("event")
            return next((letter for letter in letters if letter.letter_id == letter_id), None)
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
