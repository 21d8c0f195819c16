"""The engine on both databases: what was started is finished, once, whoever does it."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from dbos import DBOS

from portico.problems import Problem
from portico.workflow import retention
from portico.workflow.database import WorkflowDatabase
from portico.workflow.definition import Schedule, Workflow
from portico.workflow.engine import WorkflowOptions, open_workflows
from portico.workflow.errors import (
    DeadLetterError,
    UnknownWorkflowError,
    WorkflowDatabaseError,
)
from tests.portico.workflow.waiting import reached
from tests.support.until import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio


async def _step(name: str, function: Callable[[], Awaitable[Any]]) -> Any:
    return await DBOS.run_step_async({"name": name}, function)


class Flow:
    """A workflow of two steps; the second fails until it is repaired."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.definition = Workflow(name="flow.v1", run=self.run)

    async def run(self, payload: Any) -> Any:
        await _step("first", self.first)
        await self.gate.wait()
        return {"of": payload["of"], "second": await _step("second", self.second)}

    async def first(self) -> str:
        self.calls.append("first")
        return "1"

    async def second(self) -> str:
        self.calls.append("second")
        if self.broken:
            raise ValueError("the ledger is closed")
        return "2"


async def test_a_workflow_runs_to_its_result(database: WorkflowDatabase) -> None:
    flow = Flow()

    async with open_workflows(database, [flow.definition]) as workflows:
        await workflows.start("w-1", "flow.v1", {"of": "one"})
        state = await reached(workflows, "w-1", "succeeded")

    assert state.result == {"of": "one", "second": "2"}
    assert state.payload == {"of": "one"}
    assert [step.name for step in state.steps] == ["first", "second"]
    assert state.attempts == 1


async def test_a_second_start_of_one_id_runs_nothing(database: WorkflowDatabase) -> None:
    flow = Flow()

    async with open_workflows(database, [flow.definition]) as workflows:
        await asyncio.gather(*(workflows.start("w-1", "flow.v1", {"of": "x"}) for _ in range(5)))
        await reached(workflows, "w-1", "succeeded")
        await workflows.start("w-1", "flow.v1", {"of": "x"})

    assert flow.calls == ["first", "second"]


async def test_what_a_closed_engine_left_is_taken_up_by_another(database: WorkflowDatabase) -> None:
    """The second engine has another executor id: it takes over because the lease was given back."""
    flow = Flow()
    flow.gate.clear()
    options = WorkflowOptions(lease_seconds=0.6)
    async with open_workflows(database, [flow.definition], options=options) as workflows:
        await workflows.start("w-1", "flow.v1", {"of": "one"})
        await until(lambda: flow.calls)

    again = Flow()
    async with open_workflows(database, [again.definition], options=options) as workflows:
        state = await reached(workflows, "w-1", "succeeded")

    assert again.calls == ["second"], "the first step is in the journal"
    assert state.attempts == 2


async def test_a_failed_workflow_is_a_dead_letter_until_it_is_replayed(
    database: WorkflowDatabase,
) -> None:
    flow = Flow(broken=True)

    async with open_workflows(database, [flow.definition]) as workflows:
        await workflows.start("w-1", "flow.v1", {"of": "one"})
        await reached(workflows, "w-1", "dead")
        dead = await workflows.list_dead("flow.v1")
        flow.broken = False
        replayed = await workflows.replay("w-1")
        await reached(workflows, "w-1", "succeeded")
        left = await workflows.list_dead()
        again = await workflows.replay("w-1")

    assert [(letter.workflow_id, letter.error) for letter in dead] == [
        ("w-1", "the ledger is closed")
    ]
    assert flow.calls == ["first", "second", "second"], "a replay begins with the step that failed"
    assert (replayed, left, again) == (True, [], False)


async def test_a_start_of_what_was_replayed_does_nothing_and_nobody_is_warned(
    database: WorkflowDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """What looks through a list of events starts it at each look."""
    flow = Flow(broken=True)
    async with open_workflows(database, [flow.definition]) as workflows:
        await workflows.start("w-1", "flow.v1", {"of": "one"})
        await reached(workflows, "w-1", "dead")
        flow.broken = False
        await workflows.replay("w-1")
        await reached(workflows, "w-1", "succeeded")
        caplog.clear()
        await workflows.start("w-1", "flow.v1", {"of": "one"})

    assert flow.calls == ["first", "second", "second"]
    assert caplog.records == []


async def test_a_discarded_dead_letter_is_gone(database: WorkflowDatabase) -> None:
    flow = Flow(broken=True)

    async with open_workflows(database, [flow.definition]) as workflows:
        await workflows.start("w-1", "flow.v1", {"of": "one"})
        await reached(workflows, "w-1", "dead")
        discarded = await workflows.discard("w-1")
        state = await workflows.status("w-1")
        again = await workflows.discard("w-1")

    assert (discarded, state, again) == (True, None, False)


async def test_a_durable_sleep_tells_when_it_ends(database: WorkflowDatabase) -> None:
    async def run(payload: Any) -> str:
        del payload
        await DBOS.sleep_async(30)
        return "late"

    async with open_workflows(database, [Workflow(name="nap.v1", run=run)]) as workflows:
        await workflows.start("w-1", "nap.v1", None)

        async def wake_up() -> dt.datetime | None:
            state = await workflows.status("w-1")
            return state.next_wake_at if state else None

        left = await until(wake_up) - dt.datetime.now(dt.UTC)

    assert dt.timedelta(seconds=20) < left <= dt.timedelta(seconds=30)


async def test_a_signal_arrives_once_under_its_id(database: WorkflowDatabase) -> None:
    async def run(payload: Any) -> list[Any]:
        del payload
        first = await DBOS.recv_async("decision", timeout_seconds=10)
        return [first, await DBOS.recv_async("decision", timeout_seconds=0.2)]

    async with open_workflows(database, [Workflow(name="ask.v1", run=run)]) as workflows:
        await workflows.start("w-1", "ask.v1", None)
        for _ in range(2):
            await workflows.signal("w-1", "decision", {"approved": True}, signal_id="s-1")
        state = await reached(workflows, "w-1", "succeeded")

    assert state.result == [{"approved": True}, None]


async def test_a_schedule_starts_its_workflow(sqlite: WorkflowDatabase) -> None:
    fired: list[Any] = []

    async def run(payload: Any) -> None:
        fired.append(payload)

    tick = Schedule(name="tick", workflow="tick.v1", cron="* * * * * *", payload={"of": "clock"})
    options = WorkflowOptions(schedule_poll_seconds=0.1)
    definition = Workflow(name="tick.v1", run=run)
    async with open_workflows(sqlite, [definition], options=options, schedules=[tick]):
        await until(lambda: fired)

    assert fired[0]["of"] == "clock"
    assert dt.datetime.fromisoformat(fired[0]["scheduledAt"]).tzinfo is not None


async def test_DUR_07_retention_deletes_what_succeeded_and_keeps_dead_letters(  # noqa: N802
    database: WorkflowDatabase,
) -> None:
    flow = Flow()

    async with open_workflows(database, [flow.definition]) as workflows:
        await workflows.start("good", "flow.v1", {"of": "one"})
        await reached(workflows, "good", "succeeded")
        flow.broken = True
        await workflows.start("bad", "flow.v1", {"of": "two"})
        await reached(workflows, "bad", "dead")
        kept = await retention.delete_ended(3600.0, workflows.transactions)
        # A clock in whole seconds needs one to pass.
        deleted = await retention.delete_ended(-2.0, workflows.transactions)
        good, bad = await workflows.status("good"), await workflows.status("bad")

    assert (kept, deleted) == (0, 1)
    assert good is None
    assert bad is not None


async def test_DUR_08_a_start_is_refused_in_time_when_the_database_is_away(  # noqa: N802
    postgres: Postgres,
) -> None:
    """Sent again under the same id it runs, once."""
    database = WorkflowDatabase.parse(postgres.new_database())
    flow = Flow()
    options = WorkflowOptions(start_timeout_seconds=0.5, lease_seconds=1.5)
    async with open_workflows(database, [flow.definition], options=options) as workflows:
        postgres.stop()
        try:
            with pytest.raises(Problem) as refusal:
                await workflows.start("w-1", "flow.v1", {"of": "one"})
            with pytest.raises(Problem) as at_once:
                await workflows.start("w-2", "flow.v1", {"of": "two"})
            with pytest.raises(Problem) as unread:
                await workflows.status("w-1")
        finally:
            postgres.start()
        await until(lambda: workflows.available)
        await workflows.start("w-1", "flow.v1", {"of": "one"})
        state = await reached(workflows, "w-1", "succeeded")

    assert refusal.value.status == at_once.value.status == unread.value.status == 503
    assert dict(refusal.value.headers)["Retry-After"] == "10"
    assert state.result == {"of": "one", "second": "2"}
    assert flow.calls == ["first", "second"]


async def test_an_unknown_workflow_is_named(sqlite: WorkflowDatabase) -> None:
    async with open_workflows(sqlite, []) as workflows:
        with pytest.raises(UnknownWorkflowError, match="no workflow nothing"):
            await workflows.start("w-1", "nothing.v1", None)


async def test_one_name_is_one_workflow(sqlite: WorkflowDatabase) -> None:
    with pytest.raises(ValueError, match=r"two workflows are named flow\.v1"):
        async with open_workflows(sqlite, [Flow().definition, Flow().definition]):
            pass


async def test_the_log_has_nothing_of_what_workflows_work_with(
    sqlite: WorkflowDatabase, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither when they are cut off, nor when they become dead letters."""
    began = asyncio.Event()

    async def bill(customer: str) -> None:
        del customer
        began.set()
        await asyncio.sleep(30)

    async def run(payload: Any) -> None:
        if payload["die"]:
            raise DeadLetterError("refused", system="ledger")
        await DBOS.run_step_async({"name": "bill"}, bill, payload["customer"])

    async with open_workflows(sqlite, [Workflow(name="bill.v1", run=run)]) as workflows:
        await workflows.start("dead", "bill.v1", {"customer": "Ada Lovelace", "die": True})
        await reached(workflows, "dead", "dead")
        await workflows.start("cut", "bill.v1", {"customer": "Ada Lovelace", "die": False})
        await began.wait()

    logged = caplog.text + capfd.readouterr().err
    assert "Lovelace" not in logged
    assert "Traceback" not in logged


async def test_a_process_has_one_engine(sqlite: WorkflowDatabase) -> None:
    async with open_workflows(sqlite, []):
        with pytest.raises(RuntimeError, match="one engine per process"):
            async with open_workflows(sqlite, []):
                pass


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/db", "mysql is not supported"),
        ("sqlite://", "has to outlive its process"),
        ("sqlite:///:memory:", "has to outlive its process"),
        ("no url", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(WorkflowDatabaseError, match=message):
        WorkflowDatabase.parse(url)


async def test_a_database_that_is_not_there_is_refused_at_start() -> None:
    database = WorkflowDatabase.parse("postgresql://nobody:secret@127.0.0.1:1/none")

    with pytest.raises(WorkflowDatabaseError) as refusal:
        async with open_workflows(database, []):
            pass

    assert "secret" not in str(refusal.value)
    assert "127.0.0.1" in str(refusal.value)


async def test_DUR_01_sqlite_keeps_a_write_ahead_log_and_syncs_each_commit(  # noqa: N802
    sqlite: WorkflowDatabase,
) -> None:
    async with open_workflows(sqlite, []) as workflows:
        async with workflows.transactions.engine.connect() as connection:
            own = [
                (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
            ]
        engine = sqlite.engine_for_dbos()
        assert engine is not None
        with engine.connect() as connection:
            theirs = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
            ]
        engine.dispose()

    assert own == theirs == ["wal", 2, 30000, 1]


async def test_DUR_02_the_journal_holds_no_pickles(sqlite: WorkflowDatabase) -> None:  # noqa: N802
    """Whoever can write a row of pickles can run code in the next process that reads it."""
    flow = Flow()
    async with open_workflows(sqlite, [flow.definition]) as workflows:
        await workflows.start("w-1", "flow.v1", {"of": "one"})
        await reached(workflows, "w-1", "succeeded")
        async with workflows.transactions.engine.connect() as connection:
            rows = await connection.exec_driver_sql(
                "select serialization from operation_outputs union "
                "select serialization from workflow_status"
            )
            kinds = set(rows.scalars())

    assert kinds == {"portable_json"}
