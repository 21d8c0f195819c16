"""A run as it is asked for, by somebody or by the clock, and how it is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from portico.workflow.workflows import Workflows
from process_apis.reconciliation.domain import NAME, SUBJECTS, SubjectName, ordered
from process_apis.reconciliation.rows import in_seconds

SCHEDULE = "schedule"
# Runs follow one another: they ask the same systems for the same.
LANE = "reconciliation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody asked for, or the clock."""

    run_id: str
    started_by: str
    subjects: Sequence[SubjectName]
    since: str
    until: str
    requested_at: str

    def payload(self) -> dict[str, object]:
        """Return it as the workflow gets it, which has the id."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "run_id"}


def order_of(run_id: str, payload: Mapping[str, object]) -> Order:
    """Return an order as the journal has it."""
    return Order(run_id=run_id, **payload)  # type: ignore[arg-type]  # what `payload` made


def nightly(scheduled: datetime, period_days: int) -> Order:
    """Return the run of a night: everything of the last days."""
    at = in_seconds(scheduled)
    return Order(
        run_id=f"nightly-{at}",
        started_by=SCHEDULE,
        subjects=ordered(list(SUBJECTS)),
        since=in_seconds(scheduled - timedelta(days=period_days)),
        until=at,
        requested_at=at,
    )


async def start(workflows: Workflows, order: Order) -> None:
    """Start a run; one of this id is started once. Raises Problem 503."""
    await workflows.start(order.run_id, NAME, order.payload(), lane=LANE)
