"""What a run does, step by step. It survives whatever ends its process.

How often a system that is down is tried again is said here: the waits are in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from dbos import DBOS, StepOptions

from portico.durable import Durable
from portico.workflow.definition import Schedule, Workflow
from portico.workflow.errors import DeadLetterError
from portico.workflow.steps import Steps
from process_apis.reconciliation.app import Settings
from process_apis.reconciliation.database import Database
from process_apis.reconciliation.domain import (
    NAME,
    NIGHTLY,
    SUBJECTS,
    Listing,
    Period,
    Run,
    SubjectName,
    comparison,
    listings,
    ordered,
    waits_for,
)
from process_apis.reconciliation.rows import in_seconds
from process_apis.reconciliation.runs import COMPARING, DONE, FAILED, READING, Runs
from process_apis.reconciliation.stage import Stage
from process_apis.reconciliation.starting import Order, nightly, order_of, start
from process_apis.reconciliation.working import Comparer, Reader, now

R = TypeVar("R")
# A restart of the database is over by then; the waits double from a second.
_ATTEMPTS = 9


class Reconciliation:
    """The workflow of one run."""

    def __init__(self, steps: Steps, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._runs = Runs(database)
        self._stage = Stage(database)
        asks = {
            listing: steps.call(listing.api, listing.operation_id)
            for listing in listings(list(SUBJECTS))
        }
        self._reader = Reader(self._stage, asks, settings.books_prefix, settings.max_records)
        self._comparer = Comparer(
            database=database,
            stage=self._stage,
            amount_tolerance=settings.amount_tolerance,
            exempt=frozenset((each.subject, each.kind, each.system) for each in settings.exempt),
        )

    async def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Compare what the payload says. Raises DeadLetterError."""
        order = order_of(DBOS.workflow_id or "", payload)
        begun_at: str = await _step("begin", self._begin, order)
        run = self._run_of(order, begun_at)
        await self._read_all(run)
        for subject in ordered(run.subjects):
            await _step(comparison(subject), self._compare, run, subject)
        await _step("clear", self._clear, run)
        await _step("end", self._end, run)
        return {"phase": DONE}

    async def _begin(self, order: Order) -> str:
        await self._runs.enter(order)
        begun_at = now()
        await self._runs.begin(order.run_id, begun_at)
        return begun_at

    def _run_of(self, order: Order, begun_at: str) -> Run:
        begun = datetime.fromisoformat(begun_at)
        settled = begun - timedelta(seconds=self._settings.settling_seconds)
        since = datetime.fromisoformat(order.since)
        return Run(
            run_id=order.run_id,
            subjects=order.subjects,
            period=Period(since=order.since, until=order.until),
            begun_at=begun_at,
            settled_until=in_seconds(settled),
            oldest=in_seconds(since - timedelta(days=self._settings.lookback_days)),
        )

    async def _read_all(self, run: Run) -> None:
        """Read every list. While a system is down, the others are read."""
        left = listings(run.subjects)
        for attempt in range(self._settings.retries + 1):
            left, failures = await self._read(run, left)
            if not left:
                return
            causes = (f"{failure['system']}: {failure['cause']}" for failure in failures)
            cause = "; ".join(dict.fromkeys(causes))
            passing = all(failure["passing"] for failure in failures)
            if attempt == self._settings.retries or not passing:
                await _step("give up", self._give_up, run.run_id, cause)
                raise DeadLetterError(failures[0]["cause"], system=failures[0]["system"])
            await _step("wait", self._wait, run.run_id, cause)
            await DBOS.sleep_async(self._settings.retry_seconds)

    async def _read(
        self, run: Run, lists: Sequence[Listing]
    ) -> tuple[list[Listing], list[dict[str, Any]]]:
        """Read lists; return those that are left to read, and what failed."""
        left: list[Listing] = []
        failures = []
        for listing in lists:
            if waits_for(listing, left):
                left.append(listing)
                continue
            outcome = await _step(listing.work, self._read_list, run, listing)
            if outcome["failed"]:
                left.append(listing)
                failures.append(outcome)
        return left, failures

    # A replay of a dead letter begins with any of these, and the run is under way again.

    async def _read_list(self, run: Run, listing: Listing) -> dict[str, Any]:
        await self._runs.go_on(run.run_id, READING)
        return await self._reader.read(run, listing)

    async def _compare(self, run: Run, subject: SubjectName) -> None:
        await self._runs.go_on(run.run_id, COMPARING)
        await self._comparer.compare(run, subject)

    async def _wait(self, run_id: str, cause: str) -> None:
        at = datetime.now(UTC) + timedelta(seconds=self._settings.retry_seconds)
        await self._runs.wait(run_id, in_seconds(at), cause)

    async def _give_up(self, run_id: str, cause: str) -> None:
        await self._runs.end(run_id, FAILED, now(), cause)

    async def _clear(self, run: Run) -> None:
        while await self._stage.clear(run.run_id):
            pass

    async def _end(self, run: Run) -> None:
        await self._comparer.finish(run)
        await self._runs.end(run.run_id, DONE, now())


class Nightly:
    """The workflow that the clock starts: it forgets what is old, and starts a run."""

    def __init__(self, settings: Settings, durable: Durable, database: Database) -> None:
        self._settings = settings
        self._durable = durable
        self._runs = Runs(database)

    async def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Start the run of this night; started twice it is one."""
        scheduled = datetime.fromisoformat(payload["scheduledAt"])
        await _step("forget", self._forget, scheduled)
        order = nightly(scheduled, self._settings.period_days)
        await _step("start", self._start, order)
        return {"runId": order.run_id}

    async def _forget(self, scheduled: datetime) -> None:
        before = in_seconds(scheduled - timedelta(days=self._settings.retention_days))
        while await self._runs.forget(before):
            pass
        await self._runs.forget_findings(before)

    async def _start(self, order: Order) -> None:
        await start((await self._durable.ready()).workflows, order)
        await self._runs.enter(order)


async def _step(
    name: str, function: Callable[..., Coroutine[Any, Any, R]], *arguments: object
) -> R:
    """Return what a step comes to, done again while the database does not answer."""
    patient: StepOptions = {"name": name, "retries_allowed": True, "max_attempts": _ATTEMPTS}
    result: R = await DBOS.run_step_async(patient, function, *arguments)
    return result


def workflows(steps: Steps, settings: Settings, durable: Durable) -> Sequence[Workflow]:
    """Return the workflows of this API."""
    database = Database(durable)
    return [
        Workflow(name=NAME, run=Reconciliation(steps, settings, database).run),
        Workflow(name=NIGHTLY, run=Nightly(settings, durable, database).run),
    ]


def schedules(settings: Settings) -> Sequence[Schedule]:
    """Return when everything is compared."""
    if not settings.schedule:
        return []
    return [Schedule(name=NIGHTLY, workflow=NIGHTLY, cron=settings.schedule)]
