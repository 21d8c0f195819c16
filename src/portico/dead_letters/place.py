"""A place in the list of dead letters, and how it is written into a cursor."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Self

from portico.workflow.journal import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far the dead workflows were read, and how far the dead events."""

    workflow: Position = field(default_factory=Position)
    event: str = ""

    @property
    def cursor(self) -> str:
        """Return the place as text without a meaning of its own."""
        facts = [self.workflow.died_at, self.workflow.workflow_id, self.event]
        return urlsafe_b64encode(json.dumps(facts).encode()).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, cursor: str) -> Self:
        """Return the place of a cursor. Raises ValueError for one that was never given out."""
        facts = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        match facts:
            case [int(died_at), str(workflow_id), str(event)] if abs(died_at) < 2**63:
                position = Position(died_at=died_at, workflow_id=workflow_id)
                return cls(workflow=position, event=event)
        raise ValueError("the cursor is of another list")


START = Place()
