"""All sources asked at once, each within its budget, and what comes of one that fails."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime

from portico.contract.sources import Source
from portico.deadline import Deadline
from portico.problems import DEADLINE_EXCEEDED, NOT_FOUND, Problem
from portico.server.call import Call
from process_apis.customer_360.domain import Missing, Name, Outcomes, Piece, Reading, reason_of
from process_apis.customer_360.last_good import Key
from process_apis.customer_360.pieces import READERS
from process_apis.customer_360.profiles import Profiles

logger = logging.getLogger("process_apis.customer_360")
# A tenth of the caller's time is left to answer without the source that is given up last.
SHARE = 0.9


async def gather(call: Call[Profiles], customer_id: str) -> Outcomes:
    """Return what came of asking every source; raises the Problem of a required one."""
    async with asyncio.TaskGroup() as tasks:
        asked = {
            name: tasks.create_task(_outcome(call, customer_id, name, source))
            for name, source in call.resources.sources.items()
        }
    return {name: task.result() for name, task in asked.items()}


async def _outcome(
    call: Call[Profiles], customer_id: str, name: Name, source: Source
) -> Reading | Missing:
    as_of = datetime.now(UTC)
    answer = await _ask(call, customer_id, name, source)
    key = Key.of(call.caller, name, customer_id)
    if isinstance(answer, Piece):
        reading = Reading(piece=answer, as_of=as_of)
        if source.on_failure == "fallback":
            call.resources.last_good.keep(key, reading)
        return reading
    reason = reason_of(answer)
    if reason is None or source.on_failure == "required":
        raise _refusal(answer, customer_id)
    if reason == "not_found":
        # An answer, not a failure: what was known before holds no longer.
        call.resources.last_good.forget(key)
        return Missing(reason=reason)
    logger.warning(
        "a profile goes without %s now: problem=%s request=%s",
        source.api,
        answer.kind.slug,
        call.request_id,
    )
    return call.resources.last_good.find(key, source.keep_seconds) or Missing(reason=reason)


async def _ask(
    call: Call[Profiles], customer_id: str, name: Name, source: Source
) -> Piece | Problem:
    """Return the piece of a source, or why there is none, when its time is over at the latest."""
    own = Deadline.after(source.budget_seconds)
    deadline = min(own, call.deadline.share(SHARE), key=lambda each: each.at)
    answer: Piece | Problem = Problem(DEADLINE_EXCEEDED, extensions={"api": source.api})
    try:
        async with asyncio.timeout(deadline.remaining()):
            answer = await READERS[name](replace(call, deadline=deadline), customer_id)
    except* Problem as group:
        answer = _first(group)
    except* TimeoutError:
        pass
    return answer


def _first(group: BaseExceptionGroup[Problem]) -> Problem:
    first: Problem | BaseExceptionGroup[Problem] = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def _refusal(problem: Problem, customer_id: str) -> Problem:
    """Return the problem of an answer that cannot be given."""
    if problem.status == NOT_FOUND.status:
        return Problem(NOT_FOUND, f"there is no customer {customer_id}")
    return problem
