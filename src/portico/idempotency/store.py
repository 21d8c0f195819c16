"""The store of idempotency records: claims, and everything that goes on behind them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast

from portico.idempotency.attempt import Attempt, Prepared, Standing, Verdict
from portico.idempotency.claim import Claim
from portico.idempotency.counters import Counters
from portico.idempotency.keeper import Keeper
from portico.idempotency.key import described
from portico.idempotency.policy import Policy
from portico.idempotency.problems import STORE_UNAVAILABLE
from portico.idempotency.record import Record, UnreadableRecordError, facts, parse
from portico.idempotency.refusals import retry_after
from portico.idempotency.scope import Location, Locator
from portico.idempotency.scripts import ABANDON, CLAIM, PEEK, QUOTA_SLICES
from portico.idempotency.waiters import Waiters
from portico.problems import Problem
from portico.redis.errors import RedisFailure, RedisUnavailable
from portico.redis.script import Script

logger = logging.getLogger("portico.idempotency")
T = TypeVar("T")
# An operation that was told to stop has this long to do so; its lease runs out anyway.
_STOP_SECONDS = 5.0


class ScriptRunner(Protocol):
    """What the store needs of Redis: `portico.redis.client.RedisClient` has it."""

    async def run(
        self,
        script: Script,
        keys: Sequence[bytes],
        arguments: Sequence[bytes | str | int],
        *,
        timeout_seconds: float | None = None,
        repeatable: bool = False,
        acknowledged: bool = False,
    ) -> object:
        """Return what the script returns; raises RedisUnavailable, RedisRefused."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How one process keeps records.

    `acknowledged` makes a claim count only when replicas have it. Keys are limited by tenant, or by
    client where there is no tenant: `max_keys` new ones within `quota_seconds`, which is the
    longest retention of any policy and the time an operation takes; 0 sets no limit.
    """

    acknowledged: bool = False
    claim_seconds: float | None = None
    settle_seconds: float | None = None
    max_keys: int = 0
    quota_seconds: float = 86_460.0
    type_base: str = "/portal/problems/"
    # Results that could not be saved, kept in memory until they can.
    max_unsaved: int = 10_000
    max_unsaved_bytes: int = 64 * 1024 * 1024
    # Requests that wait for another attempt to end.
    max_waiting: int = 1_000


class IdempotencyStore:
    """Makes claims, and keeps them until they are settled. Belongs to one event loop."""

    def __init__(
        self, redis: ScriptRunner, locator: Locator, options: StoreOptions | None = None
    ) -> None:
        self.options = options = options or StoreOptions()
        self.counters = Counters()
        # Tokens are unique among all stores, not secret.
        self._name = os.urandom(9).hex().encode()
        self._made = 0
        self._redis = redis
        self._locator = locator
        self._acknowledged = options.acknowledged
        slice_ms = int(options.quota_seconds * 1000) // QUOTA_SLICES
        self._quota = b"%d %d" % (options.max_keys, max(1, slice_ms))
        self._keeper = Keeper(
            self.fenced,
            self.counters,
            max_unsaved=options.max_unsaved,
            max_unsaved_bytes=options.max_unsaved_bytes,
        )
        self._waiters = Waiters(self._peek, limit=options.max_waiting)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self, grace_seconds: float = 0.0) -> None:
        """Let operations end for `grace_seconds`; the rest is stopped and goes in doubt."""
        if self._tasks and grace_seconds > 0:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        await self._keeper.close()

    # Claiming.

    def prepare(self, attempt: Attempt, policy: Policy) -> Prepared:
        """Return the keys and arguments of a claim, for CLAIM or for an admission script."""
        if b" " in attempt.fingerprint or not attempt.fingerprint:
            raise ValueError("a fingerprint is one word")
        location = self._locator.locate(attempt.scope, attempt.key, attempt.operation)
        self._made += 1
        token = b"%b.%x" % (self._name, self._made)
        first_sent = attempt.first_sent_ms if policy.check_key_age else 0
        arguments = [
            token,
            attempt.fingerprint,
            policy.settings,
            self._quota,
            facts(attempt.request_id, attempt.operation, location.upstream_key),
            b"%d" % first_sent if first_sent else b"0",
        ]
        return Prepared(location, token, policy, arguments)

    async def claim(self, attempt: Attempt, policy: Policy) -> Claim | Standing:
        """Return the claim to an operation, or what another attempt has made of the key.

        Raises Problem 503 when the store cannot tell; then nothing was claimed.
        """
        prepared = self.prepare(attempt, policy)
        try:
            reply = await self._redis.run(
                CLAIM,
                prepared.keys,
                prepared.arguments,
                timeout_seconds=self.options.claim_seconds,
                repeatable=True,
                acknowledged=self._acknowledged,
            )
        except RedisFailure as failure:
            self.abandon(prepared, failure)
            raise self.unavailable(failure) from failure
        except asyncio.CancelledError:
            self.abandon(prepared)
            raise
        return self.interpret(prepared, reply)

    def interpret(self, prepared: Prepared, reply: Any) -> Claim | Standing:
        """Return what the reply of a claim means, the one of `idempotency_commit`."""
        word, epoch, left_ms, raw = reply
        if word == b"CLAIMED" and not raw:
            return self._claimed(prepared, epoch)
        verdict = Verdict(word.decode())
        record = None
        if raw:
            try:
                record = parse(raw)
            except UnreadableRecordError as error:
                logger.critical(
                    "unreadable idempotency record %s: %s", prepared.location.record.decode(), error
                )
                verdict = Verdict.BROKEN
        elif verdict is Verdict.BROKEN:
            logger.critical("no idempotency record at %s", prepared.location.record.decode())
        if verdict in _TAKEN and record is not None:
            return self._taken(prepared, epoch, verdict, record)
        self._count(verdict)
        return Standing(verdict, prepared.location.record, record, left_ms / 1000)

    def abandon(self, prepared: Prepared, failure: RedisFailure | None = None) -> None:
        """Give up a claim whose reply is not known, so that it does not hold the key."""
        if isinstance(failure, RedisUnavailable) and not failure.sent and failure.reply is None:
            return
        self.save_later(
            ABANDON, (prepared.location.record,), (prepared.token, prepared.policy.retention_ms)
        )

    def unprotected(self, attempt: Attempt, policy: Policy) -> Claim:
        """Return a claim without a record, for an operation that runs without the store."""
        self.counters.unprotected += 1
        return Claim(self, self.prepare(attempt, policy), b"0")

    def unavailable(self, failure: RedisFailure) -> Problem:
        """Return the problem of a request that the store could not decide about."""
        self.counters.unavailable += 1
        # The client tells of an outage once; a refusal is a mistake that nobody else tells of.
        level = logging.DEBUG if isinstance(failure, RedisUnavailable) else logging.ERROR
        logger.log(level, "idempotency store: %s", failure)
        problem = described(STORE_UNAVAILABLE, "", self.options.type_base)
        problem.headers += (retry_after(1.0),)
        return problem

    def _claimed(self, prepared: Prepared, epoch: bytes) -> Claim:
        claim = Claim(self, prepared, epoch)
        self.counters.claims += 1
        self._keeper.watch(claim)
        return claim

    def _taken(self, prepared: Prepared, epoch: bytes, verdict: Verdict, record: Record) -> Claim:
        """Return the claim to an operation that somebody else had begun."""
        claim = self._claimed(prepared, epoch)
        claim.points = dict(record.points)
        # The key that was sent upstream stays, even where the secret it came from was changed.
        claim.upstream_key = record.upstream_key
        claim.reconciling = verdict is Verdict.RECONCILE
        claim.resumed = verdict is Verdict.RESUMED
        self.counters.reconciled += claim.reconciling
        self.counters.resumed += claim.resumed
        return claim

    def _count(self, verdict: Verdict) -> None:
        name = _COUNTED[verdict]
        setattr(self.counters, name, getattr(self.counters, name) + 1)

    # What claims and the runner ask for.

    def fenced(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes]
    ) -> Coroutine[Any, Any, object]:
        """Run a script of a claim's owner; each of them recognizes its repetition."""
        return self._redis.run(
            script,
            keys,
            arguments,
            timeout_seconds=self.options.settle_seconds,
            repeatable=True,
            acknowledged=self._acknowledged,
        )

    def save_later(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes]) -> None:
        """Run a script of an owner as soon as the store answers again."""
        self._keeper.save_later(script, keys, arguments)

    def forget(self, claim: Claim) -> None:
        """Stop renewing a claim."""
        self._keeper.forget(claim)

    def wake(self, record_name: bytes) -> None:
        """Let those look again who wait for a record."""
        self._waiters.wake(record_name)

    async def wait(self, record_name: bytes, seconds: float) -> bool:
        """Wait until a running attempt may have ended; False when it has not."""
        self.counters.waited += 1
        return await self._waiters.wait(record_name, seconds)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work that goes on when the request that started it is gone."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def locate(self, attempt: Attempt) -> Location:
        """Return where the record of an attempt is."""
        return self._locator.locate(attempt.scope, attempt.key, attempt.operation)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whoever waits gets the exception; when nobody does, it is not a stray one.
            task.exception()

    async def _peek(self, record_name: bytes) -> float:
        with suppress(RedisFailure):
            return cast("int", await self._redis.run(PEEK, (record_name,), ())) / 1000
        return 1.0  # nothing is known to have changed

    def __repr__(self) -> str:
        return f"<IdempotencyStore {len(self._tasks)} running, {self._keeper.unsaved} unsaved>"


_TAKEN = frozenset({Verdict.CLAIMED, Verdict.RESUMED, Verdict.RECONCILE})
_COUNTED = {
    Verdict.BUSY: "busy",
    Verdict.MISMATCH: "mismatches",
    Verdict.REPLAY: "replays",
    Verdict.TOMBSTONE: "tombstones_met",
    Verdict.IN_DOUBT: "in_doubt_met",
    Verdict.QUOTA: "over_quota",
    Verdict.EXPIRED: "expired",
    Verdict.BROKEN: "unreadable",
    Verdict.ABANDONED: "unavailable",
}
