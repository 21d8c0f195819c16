"""The database: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from portico.connectors.failures import UnavailableError

T = TypeVar("T")

# How long a writer waits for another one; a transaction here takes milliseconds.
BUSY_SECONDS = 10
POOL_SIZE = 4
# The time-out comes first: others may be opening the same file at this moment.
_PRAGMAS = (f"busy_timeout={BUSY_SECONDS * 1000}", "journal_mode=WAL", "synchronous=FULL")


def parse_url(url: str) -> sa.URL:
    """Return a database URL in its parts; raises ValueError for one that is none or not known."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError("it is not a database URL") from error
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite" or not parsed.database:
        raise ValueError("only sqlite:///PATH and postgresql:// are known")
    return parsed


def open_engine(url: str) -> sa.Engine:
    """Return an engine for `sqlite:///PATH` or `postgresql://…`; raises ValueError."""
    parsed = parse_url(url)
    if not parsed.database or parsed.drivername != "sqlite":
        return sa.create_engine(parsed, pool_size=POOL_SIZE, pool_pre_ping=True)
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, pool_size=POOL_SIZE, max_overflow=0)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_immediate)
    return engine


class Database:
    """Runs transactions on threads: drivers and disks wait, the event loop does not."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what `work` returns, committed. Raises UnavailableError."""

        def run() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        try:
            return await asyncio.to_thread(run)
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            message = "the database of the cross-references cannot be used now"
            raise UnavailableError(message, system="references") from error

    def __repr__(self) -> str:
        return repr(self._engine.url)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transactions begin with the first write, too late to read before it.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
