"""The life of the engine: one per process, as DBOS has one instance per process."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from portico.trace import enter
from portico.workflow import retention
from portico.workflow.database import WorkflowDatabase
from portico.workflow.definition import Run, Schedule, Workflow
from portico.workflow.errors import WorkflowDatabaseError
from portico.workflow.journal import Journal
from portico.workflow.leases import Leases
from portico.workflow.logs import engine_log
from portico.workflow.notes import Notes
from portico.workflow.sweeper import Running, Sweeper
from portico.workflow.tables import create_tables
from portico.workflow.traces import trace_of
from portico.workflow.transactions import Transactions
from portico.workflow.workflows import LANES, Workflows

logger = logging.getLogger("portico.workflow")

# Constant: the engine resumes only what its own version started, and by default the version is a
# hash of the code, so that any edit would strand what is running. Changes go behind DBOS.patch.
APPLICATION_VERSION = "portico-1"
# A workflow that ends its process is started again this often; then it is a dead letter. Ends in
# order do not count.
MAX_RECOVERY_ATTEMPTS = 5
# The journal is written in threads. Without a bound a burst opens hundreds, and with sixteen the
# start of a workflow is four times faster at the 99th percentile.
MAX_EXECUTOR_THREADS = 16
# How soon SQLite's waiting workflows notice a signal; PostgreSQL notifies by itself.
_NOTIFICATION_SECONDS = 0.1
# How soon a workflow of a lane begins, and the next after it; the engine looks for them this often.
# A look takes about 5 ms of CPU, so that twice a second is one in a hundred of a core.
LANE_POLL_SECONDS = 0.5
_PLACE = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowOptions:
    """How the engine runs. `name` tells applications apart that share a database."""

    name: str = "portico"
    start_timeout_seconds: float = 5.0
    """How long a start may wait for the database; senders of webhooks give up after five."""

    lease_seconds: float = 15.0
    """After what time without a sign of life others take a process's workflows over."""

    retention_seconds: float = 30 * 86_400.0
    """How long a workflow that succeeded can be looked at."""

    schedule_poll_seconds: float = 30.0
    """How soon a process notices a new schedule."""


@contextlib.asynccontextmanager
async def open_workflows(
    database: WorkflowDatabase,
    definitions: Iterable[Workflow],
    *,
    options: WorkflowOptions | None = None,
    schedules: Iterable[Schedule] = (),
) -> AsyncIterator[Workflows]:
    """Run the engine with these workflows, and yield how they are started and looked at.

    What earlier runs or other processes left is taken up again. When it closes, workflows stop
    where they are and stay in the journal. Raises WorkflowDatabaseError.
    """
    options = options or WorkflowOptions()
    executor_id = _executor_id()
    running = Running()
    _make_folder(database)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_alone())
        stack.enter_context(engine_log())
        own = database.open()
        stack.push_async_callback(own.dispose)
        leases = Leases(database, own, executor_id, options.lease_seconds)
        await _prepare(database, own, leases)
        journal = Journal(own, options.name)
        stack.push_async_callback(_release, leases, journal)
        DBOS(config=_config(database, options, executor_id))
        stack.push_async_callback(_destroy)
        stack.push_async_callback(running.stop)
        transactions = Transactions(own)
        notes = Notes(database, own)
        cleaning = retention.workflow(options.retention_seconds, notes, transactions)
        functions = _register([*definitions, cleaning], running)
        DBOS.launch()
        await DBOS.register_queue_async(
            LANES, partition_concurrency=1, polling_interval_sec=LANE_POLL_SECONDS
        )
        await stack.enter_async_context(Sweeper(leases, running, journal).sweeping())
        workflows = Workflows(
            functions, leases, transactions, journal, options.start_timeout_seconds
        )
        for schedule in (*schedules, retention.SCHEDULE):
            await workflows.schedule(schedule)
        yield workflows


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the only place there is: a second engine would silently share DBOS's one instance."""
    if not _PLACE.acquire(blocking=False):
        raise RuntimeError("this process runs workflows already: there is one engine per process")
    try:
        yield
    finally:
        _PLACE.release()


def _executor_id() -> str:
    """Return an id that no other process has or had: workflows belong to exactly one of them."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _make_folder(database: WorkflowDatabase) -> None:
    if database.is_sqlite and database.url.database:
        folder = Path(database.url.database).parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


async def _prepare(database: WorkflowDatabase, own: AsyncEngine, leases: Leases) -> None:
    try:
        await create_tables(own)
        # The lease is there before the first workflow is: nobody takes it for an orphan.
        await leases.renew()
    except (SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise WorkflowDatabaseError(
            f"{database!r} cannot be used: {cause}", "check the URL, and that the server runs"
        ) from error


def _config(database: WorkflowDatabase, options: WorkflowOptions, executor_id: str) -> DBOSConfig:
    config: DBOSConfig = {
        "name": options.name,
        "system_database_url": database.text,
        "application_version": APPLICATION_VERSION,
        "executor_id": executor_id,
        # The default writes pickles: whoever can write a row could run code here.
        "serializer": DBOSPortableJSONSerializer(),
        "max_executor_threads": MAX_EXECUTOR_THREADS,
        "notification_listener_polling_interval_sec": _NOTIFICATION_SECONDS,
        "scheduler_polling_interval_sec": options.schedule_poll_seconds,
        "log_level": "WARNING",
        # What is written to the journal does not stand in the message of an error, or in a log.
        "db_engine_kwargs": {"hide_parameters": True},
    }
    engine = database.engine_for_dbos()
    if engine is not None:
        config["system_database_engine"] = engine
    return config


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A workflow as the engine knows it: started by a caller, and by the clock."""

    start: Run
    scheduled: Any


def _register(definitions: Iterable[Workflow], running: Running) -> Mapping[str, Registered]:
    """Register workflows by their names.

    It happens when the engine opens rather than by decorators when a module is imported: a
    workflow then has what it works with as plain attributes.
    """
    found: dict[str, Registered] = {}
    for definition in definitions:
        if definition.name in found:
            raise ValueError(f"two workflows are named {definition.name}")
        found[definition.name] = _registered(definition, running)
    return found


def _registered(definition: Workflow, running: Running) -> Registered:
    async def start(payload: Any, trace: str = "") -> Any:
        with running.counted():
            enter(trace_of(DBOS.workflow_id or "", trace))
            return await definition.run(payload)

    async def scheduled(at: dt.datetime, payload: Any) -> Any:
        with running.counted():
            enter(trace_of(DBOS.workflow_id or ""))
            return await definition.run({**(payload or {}), "scheduledAt": at.isoformat()})

    decorate = DBOS.workflow(name=definition.name, max_recovery_attempts=MAX_RECOVERY_ATTEMPTS)
    by_clock = DBOS.workflow(
        name=f"{definition.name}@schedule", max_recovery_attempts=MAX_RECOVERY_ATTEMPTS
    )
    return Registered(start=decorate(start), scheduled=by_clock(scheduled))


async def _destroy() -> None:
    """Close the engine; it joins its threads, which the event loop must not wait for."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:
        await loop.run_in_executor(thread, lambda: DBOS.destroy(destroy_registry=True))
    # The engine had made its own threads the default ones of this loop, and they are gone.
    loop.set_default_executor(ThreadPoolExecutor())


async def _release(leases: Leases, journal: Journal) -> None:
    try:
        await journal.left_in_order(leases.executor_id)
        await leases.release()
    except (SQLAlchemyError, OSError) as error:
        logger.warning("the lease was not given back: %s", type(error).__name__)
