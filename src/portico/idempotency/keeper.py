"""The one background task of a store: it renews every lease and saves what could not be saved."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from portico.idempotency.claim import Claim
from portico.idempotency.counters import Counters
from portico.idempotency.policy import InDoubt
from portico.idempotency.scripts import RENEW
from portico.redis.errors import RedisFailure, RedisUnavailable
from portico.redis.script import Script

logger = logging.getLogger("portico.idempotency")

# Claims are looked at this many times within the shortest lease: a renewal is due after a third.
_LOOKS_PER_LEASE = 6
_LONGEST_PAUSE_SECONDS = 1.0
_FIRST_RETRY_SECONDS = 0.05
_MAX_RETRY_SECONDS = 2.0
# Renewals that are under way at once; the client writes them together.
_BATCH = 64


class Fenced(Protocol):
    """Runs a script that recognizes its owner, and its own repetition."""

    async def __call__(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes]
    ) -> object:
        """Return its reply; raises RedisFailure."""
        ...


@dataclass(slots=True)
class _Unsaved:
    script: Script
    keys: Sequence[bytes]
    arguments: Sequence[bytes]
    size: int


class Keeper:
    """Renews the claims of this process, all by one task."""

    def __init__(
        self, run: Fenced, counters: Counters, *, max_unsaved: int, max_unsaved_bytes: int
    ) -> None:
        self._run = run
        self._counters = counters
        self._max_unsaved = max_unsaved
        self._max_unsaved_bytes = max_unsaved_bytes
        self._claims: dict[bytes, Claim] = {}
        self._unsaved: deque[_Unsaved] = deque()
        self._unsaved_bytes = 0
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._retry_at = 0.0
        self._pause = _LONGEST_PAUSE_SECONDS
        self._nudge = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    @property
    def unsaved(self) -> int:
        return len(self._unsaved)

    def watch(self, claim: Claim) -> None:
        """Renew the lease of a claim from now on."""
        now = self._loop.time()
        lease = claim.policy.lease_seconds
        claim.renewed_at = now
        claim.renew_at = now + lease / 3
        self._claims[claim.token] = claim
        if self._task is None or lease < self._pause * _LOOKS_PER_LEASE:
            self._hurry(lease / _LOOKS_PER_LEASE)

    def forget(self, claim: Claim) -> None:
        """Let the lease of a claim be."""
        self._claims.pop(claim.token, None)

    def save_later(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes]) -> None:
        """Run a script as soon as the store is there again; what is too much is given up."""
        size = sum(map(len, arguments))
        full = len(self._unsaved) >= self._max_unsaved
        if full or self._unsaved_bytes + size > self._max_unsaved_bytes:
            self._counters.given_up += 1
            return
        self._counters.unsaved += 1
        self._unsaved.append(_Unsaved(script, keys, arguments, size))
        self._unsaved_bytes += size
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._retry_at = self._loop.time() + self._retry_seconds
        self._hurry(self._retry_seconds)

    async def close(self) -> None:
        """Try once more to save, then stop renewing."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._claims.clear()
        await self._save()
        self._counters.given_up += len(self._unsaved)

    def _hurry(self, pause: float) -> None:
        self._pause = min(self._pause, max(pause, 0.01))
        if self._task is None:
            self._task = self._loop.create_task(self._work(), name="idempotency keeper")
        self._nudge.set()

    async def _work(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._nudge.wait()
            self._nudge.clear()
            self._pause = _LONGEST_PAUSE_SECONDS
            if self._unsaved and self._loop.time() >= self._retry_at:
                await self._save()
            await self._renew_due()
            self._set_pause()

    def _set_pause(self) -> None:
        """Choose the pause by the shortest lease there is."""
        leases = [claim.policy.lease_seconds for claim in self._claims.values()]
        pause = min(leases) / _LOOKS_PER_LEASE if leases else _LONGEST_PAUSE_SECONDS
        if self._unsaved:
            pause = min(pause, self._retry_seconds)
        self._pause = min(self._pause, max(pause, 0.01))

    async def _renew_due(self) -> None:
        now = self._loop.time()
        due = [claim for claim in self._claims.values() if claim.renew_at <= now]
        for first in range(0, len(due), _BATCH):
            await asyncio.gather(*map(self._renew, due[first : first + _BATCH]))

    async def _renew(self, claim: Claim) -> None:
        now = self._loop.time()
        lease = claim.policy.lease_seconds
        claim.renew_at = now + lease / 3
        try:
            held = await self._run(RENEW, *claim.renewal())
        except RedisFailure:
            # Where a second owner may run by now, the first must not go on.
            overdue = self._loop.time() - claim.renewed_at > lease
            if overdue and claim.policy.in_doubt is InDoubt.REEXECUTE:
                claim.lose()
            return
        if held:
            claim.renewed_at = now
            self._counters.renewals += 1
        elif not claim.ended:
            claim.lose()

    async def _save(self) -> None:
        """Save what waits, in order; the first failure postpones the rest."""
        while self._unsaved:
            waiting = self._unsaved[0]
            try:
                held = await self._run(waiting.script, waiting.keys, waiting.arguments)
            except RedisUnavailable:
                self._retry_seconds = min(self._retry_seconds * 2, _MAX_RETRY_SECONDS)
                self._retry_at = self._loop.time() + self._retry_seconds
                return
            except RedisFailure as failure:
                logger.warning("a record cannot be saved: %s", failure)
                held = 0
            self._unsaved.popleft()
            self._unsaved_bytes -= waiting.size
            if held:
                self._counters.saved_late += 1
            else:
                self._counters.given_up += 1
        self._retry_seconds = _FIRST_RETRY_SECONDS
