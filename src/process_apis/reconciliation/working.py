"""What the steps of a run do: read a list page by page, compare a subject batch by batch.

The journal has one entry for a list, however long it is. Where a step was when its process ended
is in the database, together with what it had read or found by then, and there it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from portico.problems import NOT_FOUND, Problem
from portico.workflow.steps import Failure, Step
from process_apis.reconciliation import findings
from process_apis.reconciliation.comparing import Rules, compare
from process_apis.reconciliation.database import Database
from process_apis.reconciliation.domain import SUBJECTS, Listing, Run, SubjectName, comparison
from process_apis.reconciliation.rows import Row, in_seconds, row_of
from process_apis.reconciliation.stage import Place, Stage, move, next_groups

PAGE = 100  # the most that system APIs give at once


def now() -> str:
    return in_seconds(datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads lists to their end."""

    stage: Stage
    asks: Mapping[Listing, Step]
    books_prefix: str
    max_records: int

    async def read(self, run: Run, listing: Listing) -> dict[str, Any]:
        """Read a list from where it was left; return what kept it from its end, if anything."""
        try:
            while not (place := await self.stage.place(run.run_id, listing.work)).done:
                failure = await self._page(run, listing, place)
                if failure is not None:
                    return failure
        except Problem as problem:
            return _failed(str(problem), "workflows", passing=True)
        return {"failed": False}

    async def _page(self, run: Run, listing: Listing, place: Place) -> dict[str, Any] | None:
        """Read the page of a place and keep it; return what failed."""
        if place.records > self.max_records:
            cause = f"{listing.system} lists more than {self.max_records} {listing.subject}"
            return _failed(cause, listing.system, passing=False)
        arguments = {"limit": PAGE, "cursor": place.cursor or None}
        outcome = await self.asks[listing].within(run.run_id, arguments)
        if outcome.failure is not None:
            return await self._failure(place, listing, outcome.failure)
        items = outcome.body["items"]
        rows = [row_of(listing, item) for item in items]
        cursor = outcome.body.get("nextCursor", "")
        if listing.newest_first and rows and max(row.created_at for row in rows) < run.oldest:
            cursor = ""
        kept = [row for row in rows if self._is_compared(run, listing, row)]
        await self.stage.keep(place, listing, kept, len(items), cursor)
        return None

    async def _failure(self, place: Place, listing: Listing, failure: Failure) -> dict[str, Any]:
        if failure.status == NOT_FOUND.status and place.cursor:
            # The record that the page began after is gone. Reading again changes nothing.
            await self.stage.begin_again(place)
            return _failed(f"{listing.work}: {failure}", listing.system, passing=True)
        return _failed(str(failure), failure.system, passing=failure.passing)

    def _is_compared(self, run: Run, listing: Listing, row: Row) -> bool:
        if listing.subject == "customers":
            return True
        if listing.system == "quickbooks" and not row.key.startswith(self.books_prefix):
            return False
        return row.created_at >= run.oldest


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparer:
    """Compares what was read."""

    database: Database
    stage: Stage
    amount_tolerance: Decimal
    exempt: frozenset[tuple[str, str, str]]

    async def compare(self, run: Run, subject: SubjectName) -> None:
        """Compare a subject from where that was left."""
        while not (place := await self.stage.place(run.run_id, comparison(subject))).done:
            await self._batch(run, subject, place)

    async def _batch(self, run: Run, subject: SubjectName, place: Place) -> None:
        """Compare the next keys; what is found and how far that was are kept as one."""
        rules = Rules(
            period=run.period,
            settled_until=run.settled_until,
            amount_tolerance=self.amount_tolerance,
            exempt=self.exempt,
        )
        async with self.database.writing() as connection:
            groups = await next_groups(connection, run.run_id, subject, place.cursor)
            differences = [
                difference
                for key, of_key in groups.items()
                for difference in compare(SUBJECTS[subject], key, of_key, rules)
            ]
            if not await move(connection, place, len(groups), list(groups)[-1] if groups else ""):
                return
            await findings.report(connection, run, differences, now())

    async def finish(self, run: Run) -> None:
        """Note which findings are no more."""
        async with self.database.writing() as connection:
            await findings.resolve(connection, run)


def _failed(cause: str, system: str, *, passing: bool) -> dict[str, Any]:
    return {"failed": True, "cause": cause, "system": system, "passing": passing}
