"""Running an operation under its key: claim, run, store, and tell the truth about failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from portico.idempotency.attempt import Attempt, Standing, Verdict
from portico.idempotency.claim import Claim
from portico.idempotency.policy import Policy
from portico.idempotency.problems import STORE_UNAVAILABLE
from portico.idempotency.record import Record
from portico.idempotency.refusals import refusal
from portico.idempotency.replay import (
    REPLAYED,
    Answer,
    kept_headers,
    replay,
    storable_body,
)
from portico.idempotency.store import IdempotencyStore
from portico.idempotency.work import Execute, Render, Work, stop_when_lost
from portico.problems import Problem

logger = logging.getLogger("portico.idempotency")
T = TypeVar("T")

# Finds out what an interrupted attempt led to: its answer, or None when it had no effect.
Reconcile = Callable[[Claim], Awaitable[Answer | None]]


async def run(
    store: IdempotencyStore,
    attempt: Attempt,
    policy: Policy,
    execute: Execute,
    *,
    render: Render,
    reconcile: Reconcile | None = None,
    standing: Claim | Standing | None = None,
    detached: bool = True,
) -> Answer:
    """Return the answer of an operation that runs at most once for its key.

    `execute` runs in a task of its own, which goes on when this caller is cancelled; without
    `detached` it does not, which suits a server that cancels a request only when it stops.
    `standing` is what an admission script has found already. Raises Problem where the attempt is
    refused, and where the operation failed without a result to keep.
    """
    while True:
        found = standing or await _claim(store, attempt, policy)
        standing = None
        if isinstance(found, Standing) and found.verdict is Verdict.BUSY:
            found = await _wait(store, attempt, policy, found)
        if isinstance(found, Standing):
            return _settled(found, attempt, store.options.type_base)
        if not found.reconciling:
            type_base = store.options.type_base
            work = Work(found, execute, render, type_base, detached=detached).run()
            return await (_detach(store, work) if detached else work)
        answer = await _detach(store, _reconcile(store, found, reconcile))
        if answer is not None:
            return answer


async def _claim(store: IdempotencyStore, attempt: Attempt, policy: Policy) -> Claim | Standing:
    """Claim the key; where the policy says so, go on without a record when the store is away."""
    try:
        return await store.claim(attempt, policy)
    except Problem as problem:
        if policy.fail_open and problem.kind is STORE_UNAVAILABLE:
            return store.unprotected(attempt, policy)
        raise


async def _wait(
    store: IdempotencyStore, attempt: Attempt, policy: Policy, found: Standing
) -> Claim | Standing:
    """Wait for the running attempt as long as the caller would; then look again."""
    loop = asyncio.get_running_loop()
    until = loop.time() + attempt.wait_seconds
    now: Claim | Standing = found
    while isinstance(now, Standing) and now.verdict is Verdict.BUSY:
        if not await store.wait(now.record_name, until - loop.time()):
            return now
        now = await _claim(store, attempt, policy)
    return now


def _settled(standing: Standing, attempt: Attempt, type_base: str) -> Answer:
    """Return the stored response, or raise what stands in the way of one."""
    record: Record | None = standing.record
    if standing.verdict is Verdict.REPLAY and record is not None and record.response is not None:
        return replay(record.response, attempt.accept)
    raise refusal(standing, type_base)


async def _detach(store: IdempotencyStore, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of work that goes on when this caller is cancelled."""
    task = store.spawn(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda ended: _discard(store, ended))
        raise


def _discard(store: IdempotencyStore, ended: asyncio.Task[Any]) -> None:
    """Close a stream that nobody is left to read."""
    if ended.cancelled() or ended.exception() is not None:
        return
    answer = ended.result()
    if isinstance(answer, Answer) and answer.aclose is not None:
        store.spawn(_close(answer.aclose))


async def _close(aclose: Callable[[], Awaitable[None]]) -> None:
    await aclose()


async def _reconcile(
    store: IdempotencyStore, claim: Claim, reconcile: Reconcile | None
) -> Answer | None:
    """Ask what an interrupted attempt led to, and settle the record by it.

    Return None when it had no effect: the key is free. Raises Problem when nobody can tell.
    """
    unknown = refusal(Standing(Verdict.IN_DOUBT, claim.record_name), store.options.type_base)
    if reconcile is None:
        await claim.in_doubt()
        raise unknown
    stop_when_lost(claim)
    try:
        answer = await reconcile(claim)
        if answer is not None:
            return await _keep_found(claim, answer)
        await claim.release()
    except (Exception, asyncio.CancelledError) as error:
        # Not knowing is an outcome here, whatever the reason: the caller may ask again.
        logger.warning("an operation in doubt was not reconciled: %r", error)
        if not claim.ended:
            await claim.in_doubt()
        raise unknown from error
    finally:
        claim.on_lost = None
    return None


async def _keep_found(claim: Claim, answer: Answer) -> Answer:
    body = answer.body
    if not isinstance(body, bytes):
        raise TypeError("the answer of a reconciled operation has no stream for a body")
    headers = kept_headers(answer.headers, claim.policy)
    kept = storable_body(answer, body, claim.policy.max_body_bytes)
    if kept is None or not claim.policy.store_responses:
        await claim.tombstone(answer.status, headers)
    else:
        await claim.complete(answer.status, headers, kept)
    answer.headers.append(REPLAYED)
    answer.replayed = True
    return answer
