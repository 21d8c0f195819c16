"""The workflow database: SQLite in the data folder, or a PostgreSQL that many nodes share.

The URL alone decides; what differs between the two is in this module.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from portico.statements import Insert, insert
from portico.workflow.errors import WorkflowDatabaseError

# SQLite has one writer at a time: more connections would only wait for one another.
_SQLITE_CONNECTIONS = 4
# Leases, the outbox and what operators ask for; the engine has connections of its own.
_POSTGRES_CONNECTIONS = 4
_CONNECT_SECONDS = 5
_SQLITE_PRAGMAS = (
    # Readers and the writer do not block one another.
    "journal_mode=WAL",
    # A commit is on disk before it is acknowledged; with WAL the default would lose the last ones.
    "synchronous=FULL",
    # Several processes share the file: wait for the other writer instead of failing.
    "busy_timeout=30000",
    "foreign_keys=ON",
)


@dataclass(frozen=True, slots=True)
class WorkflowDatabase:
    """Where workflows, the outbox, leases and incidents are kept."""

    url: URL

    @classmethod
    def parse(cls, text: str) -> WorkflowDatabase:
        """Return the database of `sqlite:///PATH` or `postgresql://…`.

        Raises WorkflowDatabaseError.
        """
        hint = "write sqlite:////absolute/path or postgresql://user@host/database"
        try:
            url = make_url(text)
        except ArgumentError:
            raise WorkflowDatabaseError("the URL cannot be read", hint) from None
        if url.get_backend_name() not in {"sqlite", "postgresql"}:
            raise WorkflowDatabaseError(f"{url.drivername} is not supported", hint)
        if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
            raise WorkflowDatabaseError("a workflow database has to outlive its process", hint)
        return cls(url)

    @classmethod
    def in_folder(cls, folder: Path) -> WorkflowDatabase:
        """Return the embedded database of a data folder."""
        return cls(URL.create("sqlite", database=str(folder.absolute() / "workflows.sqlite")))

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def text(self) -> str:
        """Return the URL as the engine takes it, with its password."""
        return self.url.set(drivername=self.url.get_backend_name()).render_as_string(False)

    def engine_for_dbos(self) -> sa.Engine | None:
        """Return the connections of the engine, or None where its own are right.

        DBOS leaves SQLite's journal as SQLite makes it, which is half as fast.
        """
        if not self.is_sqlite:
            return None
        engine = sa.create_engine(
            self.url.set(drivername="sqlite"),
            pool_size=_SQLITE_CONNECTIONS,
            max_overflow=0,
            hide_parameters=True,
        )
        event.listens_for(engine, "connect")(_set_pragmas)
        return engine

    def open(self) -> AsyncEngine:
        """Return connections for Portico's own tables; to be disposed of."""
        if self.is_sqlite:
            engine = create_async_engine(
                self.url.set(drivername="sqlite+aiosqlite"),
                pool_size=_SQLITE_CONNECTIONS,
                max_overflow=0,
                hide_parameters=True,
            )
            event.listens_for(engine.sync_engine, "connect")(_set_pragmas)
            return engine
        return create_async_engine(
            self.url.set(drivername="postgresql+psycopg"),
            pool_size=_POSTGRES_CONNECTIONS,
            max_overflow=0,
            hide_parameters=True,
            # A database that was restarted has closed what the pool still holds.
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT_SECONDS},
        )

    def now(self) -> sa.ColumnElement[float]:
        """Return the database's own clock in seconds: nodes need not agree on theirs."""
        if self.is_sqlite:
            return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double)
        return sa.literal_column("extract(epoch from clock_timestamp())", sa.Double)

    def insert(self, table: sa.Table) -> Insert:
        """Return an insert that can say what happens on a conflict."""
        return insert(self.url.get_backend_name(), table)

    def __repr__(self) -> str:
        return f"<WorkflowDatabase {self.url.render_as_string(hide_password=True)}>"


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection in a transaction that reads and then writes."""
    async with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # SQLite cannot make a writer of a reader while another process writes.
            await connection.execute(sa.text("BEGIN IMMEDIATE"))
        yield connection


def _set_pragmas(connection: Any, record: Any) -> None:
    del record
    # Writers queue at BEGIN; a transaction that read first could not be upgraded safely.
    connection.isolation_level = "IMMEDIATE"
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
