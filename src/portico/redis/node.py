"""One server: its connections, and the scripts it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import cycle

from portico.redis.acknowledge import Acknowledging
from portico.redis.lane import Connector, Lane
from portico.redis.options import RedisOptions
from portico.redis.script import Script
from portico.redis.state import Condition, LaneState
from portico.redis.waiting import Request, Waiting
from portico.redis.wire import ASKING, pack


class Node:
    """One server by one or several lanes, and a lane of its own for acknowledged writes."""

    def __init__(self, connector: Callable[[], Connector], options: RedisOptions) -> None:
        lanes = [Lane(connector(), options) for _ in range(max(1, options.connections))]
        self._only = lanes[0] if len(lanes) == 1 else None
        self._turn = cycle(lanes)
        self._lanes = lanes
        self._loading: dict[bytes, Waiting] = {}
        self._acknowledging: Acknowledging | None = None
        if options.acknowledgement is not None:
            # WAIT holds its connection up; other commands do not stand behind it.
            stall = options.stall_seconds + options.acknowledgement.timeout_seconds
            lane = Lane(connector(), replace(options, stall_seconds=stall))
            self._acknowledging = Acknowledging(lane, options.acknowledgement)
            self._lanes = [*lanes, lane]

    @property
    def available(self) -> bool:
        return all(lane.condition is Condition.READY for lane in self._lanes)

    @property
    def address(self) -> str:
        return self._lanes[0].state().address

    def states(self) -> tuple[LaneState, ...]:
        return tuple(lane.state() for lane in self._lanes)

    async def attempted(self) -> None:
        for lane in self._lanes:
            await lane.attempted()

    def submit(self, packed: bytes, timeout_seconds: float, *, repeatable: bool = False) -> Waiting:
        """Queue a command on one of the lanes; see `Lane.submit`."""
        lane = self._only or self._next()
        return lane.submit(packed, timeout_seconds, repeatable=repeatable)

    def ask(
        self, request: Request, timeout_seconds: float, *, asking: bool = False
    ) -> Awaitable[object]:
        """Return the reply to a request, when awaited. Raises ErrorReply, RedisUnavailable.

        `asking` says that the server does not own the slot yet: it asks for an ASKING before.
        """
        acknowledging = self._acknowledging if request.acknowledged else None
        lane = acknowledging.lane if acknowledging else self._only or self._next()
        if asking:
            lane.submit(ASKING, timeout_seconds).retrieve()
        if acknowledging:
            return acknowledging.ask(request, timeout_seconds)
        return lane.submit(request.packed, timeout_seconds, repeatable=request.repeatable).future

    async def load(self, script: Script, timeout_seconds: float) -> None:
        """Give the server a script, once for all who miss it now."""
        loading = self._loading.get(script.sha)
        if loading is None or loading.future.done():
            loading = self.submit(pack((b"SCRIPT", b"LOAD", script.text)), timeout_seconds)
            loading.retrieve()
            self._loading[script.sha] = loading
        await asyncio.shield(loading.future)

    def _next(self) -> Lane:
        lane = next(self._turn)
        return lane if lane.condition is Condition.READY else next(self._turn)

    async def close(self) -> None:
        for lane in self._lanes:
            await lane.close()
