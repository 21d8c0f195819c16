"""What a workflow is to the engine: a name that stays, and a coroutine function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Run = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow by its name, such as `order-to-cash.v1`.

    `run` takes one argument and returns a result, both JSON. It is plain DBOS code: what it does
    besides calling steps has to come out the same when it is run again. The name is written to the
    journal; a change of what is done in which order goes under a new name, or behind `DBOS.patch`.
    """

    name: str
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A workflow that is started by the clock, once over all processes.

    `cron` has six fields, seconds first. `run` gets the payload with `scheduledAt` added.
    """

    name: str
    workflow: str
    cron: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    timezone: str = "UTC"
