"""An operation under its claim, from its start to a record that says how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

from portico.idempotency.claim import Claim, Completion
from portico.idempotency.judgement import judge_exception, judge_problem, judge_status
from portico.idempotency.key import described
from portico.idempotency.policy import Disposition
from portico.idempotency.problems import IN_DOUBT
from portico.idempotency.relay import Relay
from portico.idempotency.replay import (
    STATUS_FIELD,
    Answer,
    is_endless,
    kept_headers,
    storable_body,
)
from portico.problems import INTERNAL_ERROR, Problem

logger = logging.getLogger("portico.idempotency")

Execute = Callable[[Claim], Awaitable[Answer]]
# Renders a problem as it is sent; what is stored of it is what later attempts get.
Render = Callable[[Problem], Answer]


class Work:
    """One run of one operation."""

    __slots__ = ("_claim", "_detached", "_execute", "_render", "_type_base")

    def __init__(
        self, claim: Claim, execute: Execute, render: Render, type_base: str, *, detached: bool
    ) -> None:
        self._claim = claim
        self._detached = detached
        self._execute = execute
        self._render = render
        self._type_base = type_base

    async def run(self) -> Answer:
        """Return the answer, stored; raises Problem where there is none to store."""
        try:
            return await self._run()
        except BaseException:
            # Whatever went wrong on the way to the store: nobody may hold the key for ever.
            if not self._claim.ended:
                await self._claim.in_doubt()
            raise

    async def _run(self) -> Answer:
        claim = self._claim
        stop_when_lost(claim)
        try:
            answer = await self._execute(claim)
        except Problem as problem:
            return await self._after_problem(problem)
        except asyncio.CancelledError:
            stopped = await self._after_stop()
            # Whoever cancelled a task that is not ours is waiting for that to happen.
            if not (self._detached or claim.lost):
                raise
            raise stopped from None
        except Exception as error:
            kept = await self._after_exception(error)
            if kept is None:
                raise
            return kept
        finally:
            claim.on_lost = None
        return await self._after_answer(answer)

    async def _after_answer(self, answer: Answer) -> Answer:
        match judge_status(answer.status, self._claim):
            case Disposition.STORE:
                return await self._keep(answer)
            case Disposition.RELEASE:
                await self._claim.release()
            case Disposition.IN_DOUBT:
                await self._claim.in_doubt()
                answer.headers.append((STATUS_FIELD, b"in-doubt"))
        return answer

    async def _after_problem(self, problem: Problem) -> Answer:
        if self._claim.lost:
            raise self._taken_over() from None
        match judge_problem(problem, self._claim):
            case Disposition.STORE:
                return await self._keep(self._render(problem))
            case Disposition.RELEASE:
                await self._claim.release()
            case Disposition.IN_DOUBT:
                await self._claim.in_doubt()
                problem.headers += ((STATUS_FIELD.decode(), "in-doubt"),)
        raise problem

    async def _after_exception(self, error: Exception) -> Answer | None:
        """Settle the record; return an answer where the policy makes the failure one."""
        match judge_exception(self._claim):
            case Disposition.STORE:
                logger.error("an operation failed and that is its result", exc_info=error)
                return await self._keep(self._render(Problem(INTERNAL_ERROR)))
            case Disposition.RELEASE:
                await self._claim.release()
            case Disposition.IN_DOUBT:
                await self._claim.in_doubt()
        return None

    async def _after_stop(self) -> Problem:
        """Return what the caller is told when the claim was lost or the process is stopping."""
        if self._claim.lost:
            if not self._detached:
                cast("asyncio.Task[None]", asyncio.current_task()).uncancel()
            return self._taken_over()
        if self._claim.begun:
            await self._claim.in_doubt()
        else:
            await self._claim.release()
        return described(IN_DOUBT, "the operation was stopped before it ended", self._type_base)

    def _taken_over(self) -> Problem:
        return described(IN_DOUBT, "another attempt has taken over", self._type_base)

    async def _keep(self, answer: Answer) -> Answer:
        """Store an answer before its first byte is sent, or pass it on where it cannot be."""
        policy = self._claim.policy
        headers = kept_headers(answer.headers, policy) if policy.store_responses else ()
        body = answer.body
        if not isinstance(body, bytes):
            read = await self._read(answer, body, policy.max_body_bytes)
            if read is None:
                return answer
            body = read
        kept = storable_body(answer, body, policy.max_body_bytes)
        if kept is None or not policy.store_responses:
            completion = await self._claim.tombstone(answer.status, headers)
        else:
            completion = await self._claim.complete(answer.status, headers, kept)
        if completion is not Completion.STORED:
            answer.headers.append((STATUS_FIELD, b"unstored"))
        return answer

    async def _read(self, answer: Answer, stream: AsyncIterator[bytes], limit: int) -> bytes | None:
        """Return the whole of a stream; None when it goes on by itself, as `answer.body`."""
        read: list[bytes] = []
        if not is_endless(answer) and await _drain(stream, read, limit):
            answer.body = b"".join(read)
            return answer.body
        policy = self._claim.policy
        headers = kept_headers(answer.headers, policy) if policy.store_responses else ()
        relay = Relay(self._claim, answer.status, headers, read, stream, answer.aclose)
        answer.body, answer.aclose = relay, relay.aclose
        return None


async def _drain(stream: AsyncIterator[bytes], read: list[bytes], limit: int) -> bool:
    """Read a stream to its end, or until it is larger than `limit`; tell whether it ended."""
    size = 0
    async for chunk in stream:
        read.append(chunk)
        size += len(chunk)
        if size > limit:
            return False
    return True


def stop_when_lost(claim: Claim) -> None:
    """Cancel the current task when the claim is lost to somebody else."""
    task = asyncio.current_task()

    def stop() -> None:
        if task is not None and asyncio.current_task() is not task:
            task.cancel()

    claim.on_lost = stop
