"""A claim: the right to run one operation once, for as long as the lease is renewed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from portico.idempotency.policy import Policy, Sending
from portico.idempotency.problems import IN_DOUBT
from portico.idempotency.record import Field, write_points, write_response
from portico.idempotency.scripts import COMPLETE, DOUBT, MARK, RELEASE
from portico.problems import Problem
from portico.redis.errors import RedisFailure
from portico.redis.script import Script

if TYPE_CHECKING:
    from portico.idempotency.attempt import Prepared
    from portico.idempotency.store import IdempotencyStore

logger = logging.getLogger("portico.idempotency")
MAX_POINTS_BYTES = 16 * 1024


class Completion(Enum):
    """What became of a result."""

    STORED = "stored"
    UNSTORED = "unstored"  # the store is away; saving goes on behind the answer
    LOST = "lost"  # the claim belongs to somebody else now


class Claim:
    """What an operation holds while it runs.

    `upstream_key` is the same for every attempt with the caller's key: send it on, and derive the
    keys of inner calls from it. `epoch` grows with every owner; a system that keeps the largest it
    saw can refuse an owner that was replaced. `points` are what earlier attempts got done.
    """

    __slots__ = (
        "_arguments",
        "_keys",
        "_store",
        "begun",
        "ended",
        "epoch",
        "lost",
        "on_lost",
        "points",
        "policy",
        "reconciling",
        "record_name",
        "renew_at",
        "renewed_at",
        "resumed",
        "token",
        "upstream_key",
    )

    def __init__(self, store: IdempotencyStore, prepared: Prepared, epoch: bytes) -> None:
        policy = prepared.policy
        self._store = store
        self._keys = (prepared.location.record,)
        self._arguments = (prepared.token, epoch, policy.retention_ms)
        self.record_name = prepared.location.record
        self.token = prepared.token
        self.policy: Policy = policy
        self.epoch = int(epoch)
        self.upstream_key = prepared.location.upstream_key
        self.points: dict[str, Any] = {}
        self.reconciling = False
        self.resumed = False
        # Whether the operation may have had an effect, as far as this process knows.
        self.begun = policy.sending is Sending.ASSUMED
        self.lost = False
        self.ended = False
        self.on_lost: Callable[[], object] | None = None
        self.renewed_at = self.renew_at = 0.0

    @property
    def protected(self) -> bool:
        """Tell whether there is a record; without one (`fail_open`) nothing is promised."""
        return self.epoch > 0

    async def dispatched(self) -> None:
        """Note that the operation is about to act; await this before the first effect.

        Raises Problem when the claim is lost, or when it must be recorded and cannot be.
        """
        self.check()
        if not self.begun and self.policy.sending is Sending.RECORDED and self.protected:
            try:
                held = await self._run(MARK, b"Y", write_points(self.points))
            except RedisFailure as failure:
                raise self._store.unavailable(failure) from failure
            if not held:
                self.lose()
                self.check()
        self.begun = True

    async def phase(self, name: str, value: Any) -> bool:
        """Keep a recovery point, with JSON data, for whoever resumes the operation.

        Return whether it is stored; one that is not goes with the next. Raises Problem when the
        claim is lost, ValueError when the points are too large.
        """
        self.check()
        points = {**self.points, name: value}
        written = write_points(points)
        if len(written) > MAX_POINTS_BYTES:
            raise ValueError(f"the recovery points have more than {MAX_POINTS_BYTES} bytes")
        self.points = points
        if not self.protected:
            return False
        try:
            held = await self._run(MARK, b"-", written)
        except RedisFailure:
            return False
        if not held:
            self.lose()
            self.check()
        return True

    def check(self) -> None:
        """Raise Problem when the claim is lost: what follows could be done twice."""
        if self.lost:
            raise Problem(IN_DOUBT, "another attempt has taken over")

    async def complete(
        self, status: int, headers: Iterable[Field] = (), body: bytes = b""
    ) -> Completion:
        """Store the response that every further attempt gets."""
        content = write_response(status, headers, body)
        completion = await self._settle(COMPLETE, b"C", content)
        if completion is Completion.STORED:
            self._store.counters.completed += 1
        return completion

    async def tombstone(self, status: int, headers: Iterable[Field] = ()) -> Completion:
        """Store that the operation took effect, without a response to give again."""
        content = write_response(status, headers)
        completion = await self._settle(COMPLETE, b"T", content)
        if completion is Completion.STORED:
            self._store.counters.tombstones += 1
        return completion

    async def release(self) -> Completion:
        """Free the key: nothing was done, or doing it again does no harm. The next attempt runs.

        Raises ValueError when neither is so.
        """
        free = self.reconciling or self.policy.reexecutable
        if self.begun and not free and self.policy.sending is not Sending.ASSUMED:
            raise ValueError("the operation has begun to act and is not reexecutable")
        completion = await self._settle(RELEASE, b"1" if free else b"0")
        if completion is Completion.STORED:
            self._store.counters.released += 1
        return completion

    async def in_doubt(self) -> Completion:
        """Say that nobody knows whether the operation took effect.

        This owner may still complete, should it learn the outcome later.
        """
        completion = await self._settle(DOUBT)
        if completion is Completion.STORED:
            self._store.counters.in_doubt += 1
        return completion

    def renewal(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Return the keys and arguments that renew the lease."""
        return self._keys, (*self._arguments, self.policy.lease_ms)

    def lose(self) -> None:
        """Note that the claim is somebody else's, and tell whoever runs the operation."""
        if self.lost:
            return
        self.lost = True
        self._store.counters.lost += 1
        self._store.forget(self)
        logger.error("claim lost: record=%s epoch=%s", self.record_name.decode(), self.epoch)
        if self.on_lost is not None:
            self.on_lost()

    async def _settle(self, script: Script, *arguments: bytes) -> Completion:
        """End the claim by a script; what cannot be saved now is saved later."""
        self.ended = True
        self._store.forget(self)
        if not self.protected:
            return Completion.UNSTORED
        if self.lost:
            return Completion.LOST
        given = (*self._arguments, *arguments)
        try:
            held = await self._store.fenced(script, self._keys, given)
        except (RedisFailure, asyncio.CancelledError) as failure:
            self._store.save_later(script, self._keys, given)
            if isinstance(failure, asyncio.CancelledError):
                raise
            return Completion.UNSTORED
        if not held:
            self.lose()
            return Completion.LOST
        self._store.wake(self.record_name)
        return Completion.STORED

    async def _run(self, script: Script, *arguments: bytes) -> bool:
        return bool(await self._store.fenced(script, self._keys, (*self._arguments, *arguments)))

    def __repr__(self) -> str:
        states = ("lost", "ended", "reconciling", "resumed", "begun")
        state = next((name for name in states if getattr(self, name)), "claimed")
        return f"<Claim {self.record_name.decode()} epoch={self.epoch} {state}>"
