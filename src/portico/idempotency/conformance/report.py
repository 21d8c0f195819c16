"""Running the checks, and telling what they found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from portico.idempotency.conformance.checks import CHECKS, Check, Level, Outcome, Result, first
from portico.idempotency.conformance.probe import Probe, Target
from portico.idempotency.conformance.races import RACES

_MARKS = {Result.PASSED: "ok", Result.FAILED: "FAIL", Result.SKIPPED: "skip"}


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks found."""

    target: Target
    requests: int
    found: tuple[tuple[Check, Outcome], ...]

    def failures(self, *, strict: bool = False) -> list[Check]:
        """Return the checks that failed; `strict` counts what is only recommended too."""
        return [
            check
            for check, outcome in self.found
            if outcome.result is Result.FAILED and (strict or check.level is Level.MUST)
        ]

    def document(self, *, strict: bool = False) -> dict[str, object]:
        """Return the report as data."""
        return {
            "url": self.target.url,
            "method": self.target.method,
            "requests": self.requests,
            "conforms": not self.failures(strict=strict),
            "checks": [
                {
                    "name": check.name,
                    "level": check.level.value,
                    "title": check.title,
                    "result": outcome.result.value,
                    "detail": outcome.detail,
                }
                for check, outcome in self.found
            ],
        }

    def summary(self, *, strict: bool = False) -> str:
        """Return the last line of a report."""
        counts = {
            result: sum(outcome.result is result for _, outcome in self.found) for result in Result
        }
        failures = self.failures(strict=strict)
        advice = counts[Result.FAILED] - len(failures)
        verdict = f"{len(failures)} failed" if failures else "conforms"
        return (
            f"{verdict}: {counts[Result.PASSED]} passed, {counts[Result.FAILED]} failed"
            f" ({advice} of them advice), {counts[Result.SKIPPED]} skipped,"
            f" {self.requests} requests"
        )


def line(check: Check, outcome: Outcome) -> str:
    """Return one check as a line for people."""
    mark = _MARKS[outcome.result]
    if outcome.result is Result.FAILED and check.level is not Level.MUST:
        mark = "warn"
    text = f"{mark:5}{check.name:24}{check.level.value:7}{check.title}"
    return f"{text}\n{'':36}{outcome.detail}" if outcome.detail else text


async def conform(
    target: Target,
    told: Callable[[Check, Outcome], None] = lambda _check, _outcome: None,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Report:
    """Run every check against an API; `told` gets each result as it is found.

    Raises CannotProbeError when the API does not answer, or not with a success.
    """
    limits = httpx.Limits(max_connections=target.parallel * 2 + 4, max_keepalive_connections=4)
    found = []
    async with httpx.AsyncClient(
        timeout=target.timeout_seconds,
        limits=limits,
        transport=transport,
        follow_redirects=False,
        trust_env=False,
    ) as http:
        probe = Probe(target, http)
        await first(probe)
        for check in (*CHECKS, *RACES):
            outcome = await check.ask(probe)
            told(check, outcome)
            found.append((check, outcome))
    return Report(target, probe.sent, tuple(found))
