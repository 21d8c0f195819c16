"""What the handlers work with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from portico.connectors.moments import from_text
from portico.durable import Durable
from portico.problems import NOT_FOUND, UNPROCESSABLE, Problem
from process_apis.reconciliation.database import Database
from process_apis.reconciliation.domain import SUBJECTS, SubjectName, ordered
from process_apis.reconciliation.findings import Findings, Found
from process_apis.reconciliation.rows import in_seconds
from process_apis.reconciliation.runs import DONE, FAILED, Runs
from process_apis.reconciliation.stage import Stage
from process_apis.reconciliation.starting import Order, start


@dataclass(frozen=True, slots=True)
class Desk:
    """Runs and findings, for those who ask for them."""

    durable: Durable
    database: Database
    period_days: int

    @property
    def runs(self) -> Runs:
        return Runs(self.database)

    @property
    def stage(self) -> Stage:
        return Stage(self.database)

    @property
    def findings(self) -> Findings:
        return Findings(self.database)

    async def start(
        self,
        run_id: str,
        started_by: str,
        subjects: Sequence[SubjectName],
        period: Mapping[str, str] | None,
    ) -> Mapping[str, str]:
        """Start a run and return it; one of this id is returned as it is."""
        known = await self.runs.find(run_id)
        if known is not None:
            return known
        now = datetime.now(UTC)
        since, until = self._period(period, now)
        order = Order(
            run_id=run_id,
            started_by=started_by,
            subjects=ordered(subjects or list(SUBJECTS)),
            since=since,
            until=until,
            requested_at=in_seconds(now),
        )
        # Once it is in the journal it will be done; what it notes of itself may come later.
        await start(self.durable.parts.workflows, order)
        await self.runs.enter(order)
        return await self.run(run_id)

    def _period(self, period: Mapping[str, str] | None, now: datetime) -> tuple[str, str]:
        if period is None:
            return in_seconds(now - timedelta(days=self.period_days)), in_seconds(now)
        since, until = _moment(period["from"], "from"), _moment(period["to"], "to")
        if since >= until:
            raise _refused("the period ends before it begins", "#/period/to")
        return in_seconds(since), in_seconds(until)

    async def run(self, run_id: str) -> Mapping[str, str]:
        """Return a run; raises Problem for one that is not known."""
        found = await self.runs.find(run_id)
        if found is None:
            raise Problem(NOT_FOUND, f"there is no run {run_id}")
        return found

    async def under_way(self, run_id: str) -> Mapping[str, str]:
        """Return a run as it is: one whose workflow died without a word of its own has failed."""
        found = await self.run(run_id)
        if found["phase"] in {DONE, FAILED}:
            return found
        state = await self.durable.parts.workflows.status(run_id)
        if state is None or state.phase != "dead":
            return found
        ended = in_seconds(state.updated_at)
        return {**found, "phase": FAILED, "cause": state.error, "ended_at": ended}

    async def finding(self, finding_id: str) -> Found:
        """Return a finding; raises Problem for one that is not known."""
        found = await self.findings.find(finding_id)
        if found is None:
            raise Problem(NOT_FOUND, f"there is no finding {finding_id}")
        return found


def _moment(text: str, name: str) -> datetime:
    try:
        return from_text(text)
    except (ValueError, OverflowError):
        # RFC 3339 has leap seconds, and offsets that lead out of the calendar.
        raise _refused("there is no such moment", f"#/period/{name}") from None


def _refused(detail: str, pointer: str) -> Problem:
    errors: list[dict[str, Any]] = [{"detail": detail, "pointer": pointer}]
    return Problem(UNPROCESSABLE, detail, extensions={"errors": errors})
