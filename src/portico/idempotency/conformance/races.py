"""The checks in which several attempts are under way at once, or one is cut off."""

from __future__ import annotations

from portico.idempotency.conformance.checks import (
    Check,
    Level,
    Outcome,
    failed,
    passed,
    skipped,
)
from portico.idempotency.conformance.probe import Probe, Reply, Request


async def _one_execution(probe: Probe) -> Outcome:
    before = await probe.count()
    for number in range(1, probe.target.rounds + 1):
        request = probe.new_request(probe.new_key())
        replies = await probe.send_together([request] * probe.target.parallel)
        wrong = _judge(replies) or await _judge_last(probe, request, replies)
        if wrong:
            return failed(f"round {number}: {wrong}")
    if before is not None:
        effects = (await probe.count() or 0) - before
        if effects != probe.target.rounds:
            return failed(f"{probe.target.rounds} keys had {effects} effects")
    return passed(f"{probe.target.rounds} times {probe.target.parallel} at once")


def _judge(replies: list[Reply]) -> str:
    """Return what is wrong with answers to attempts that were made together, or nothing."""
    done = [reply for reply in replies if reply.ok]
    strange = [reply for reply in replies if not reply.ok and reply.status != 409]
    if strange:
        return f"an attempt was answered {strange[0].describe()}, neither success nor 409"
    if not done:
        return "no attempt succeeded"
    found = done[0].differences(next((r for r in done if done[0].differences(r)), done[0]))
    if found:
        return f"two executions: {'; '.join(found)}"
    fresh = sum(not reply.replayed for reply in done)
    if fresh > 1 and fresh < len(done):
        return f"{fresh} responses are not marked as replays"
    return ""


async def _judge_last(probe: Probe, request: Request, replies: list[Reply]) -> str:
    """Return what is wrong with a later attempt: it must get what the successful one got."""
    last = await probe.settle(request)
    first = next(reply for reply in replies if reply.ok)
    return "; ".join(first.differences(last))


async def _retry_after(probe: Probe) -> Outcome:
    request = probe.new_request(probe.new_key())
    replies = await probe.send_together([request] * probe.target.parallel)
    refused = [reply for reply in replies if reply.status == 409]
    if not refused:
        return skipped("no attempt was refused: the operation is quick, or attempts wait")
    waits = [reply.headers.get("retry-after", "") for reply in refused]
    if all(wait.isdigit() and int(wait) >= 1 for wait in waits):
        return passed(f"Retry-After: {', '.join(sorted(set(waits)))}")
    return failed(f"Retry-After is {waits[0]!r}")


async def _gone_away(probe: Probe) -> Outcome:
    before = await probe.count()
    keys = 0
    for seconds in (0.0, 0.002, 0.01, 0.05):
        request = probe.new_request(probe.new_key())
        keys += 1
        await probe.send_and_go_away(request, seconds)
        reply = await probe.settle(request)
        if not reply.ok:
            return failed(f"the retry was answered {reply.describe()}")
        found = reply.differences(await probe.send(request))
        if found:
            return failed("; ".join(found))
    if before is not None:
        effects = (await probe.count() or 0) - before
        if effects != keys:
            return failed(f"{keys} keys had {effects} effects")
    return passed()


RACES: tuple[Check, ...] = (
    Check(
        "parallel.one-execution",
        Level.MUST,
        "Attempts at once are one execution: the others get it or a 409",
        _one_execution,
    ),
    Check("parallel.retry-after", Level.SHOULD, "A 409 says when to come back", _retry_after),
    Check(
        "cut-off.retry",
        Level.MUST,
        "A client that lost its connection gets the result with a retry",
        _gone_away,
    ),
)
