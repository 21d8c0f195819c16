"""Takes over workflows that nobody runs.

The engine recovers at start-up what the same executor left. Every process here has an id of its
own, so nobody would ask for the workflows of one that was killed: the sweeper does, again and
again, because a look that is made once misses what goes wrong later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from portico.workflow.journal import Journal
from portico.workflow.leases import Leases

logger = logging.getLogger("portico.workflow")

# A lease is renewed this many times in its life, so two failures in a row do not end it.
_RENEWALS = 3


class Running:
    """The workflows that run in this process."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], str] = {}

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count the workflow of this task while it runs."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks[task] = DBOS.workflow_id or ""
        try:
            yield
        finally:
            if task is not None:
                del self._tasks[task]

    def ids(self) -> set[str]:
        return set(self._tasks.values())

    async def stop(self) -> None:
        """Cancel them: a cancelled task writes no outcome, so the journal has it as unfinished."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class Sweeper:
    """Renews the lease of this process, and looks for workflows that are nobody's."""

    def __init__(self, leases: Leases, running: Running, journal: Journal) -> None:
        self._leases = leases
        self._journal = journal
        self._running = running
        self._idle: dict[str, int] = {}  # how often in a row each was seen so

    @contextlib.asynccontextmanager
    async def sweeping(self) -> AsyncIterator[None]:
        """Sweep in the background."""
        task = asyncio.create_task(self._run(), name="workflow sweeper")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        pause = self._leases.seconds / _RENEWALS
        while True:
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(pause):
                    await self._leases.renew()
                await self.sweep()
            except (SQLAlchemyError, OSError, TimeoutError):
                self._leases.lost()

    async def sweep(self) -> None:
        """Look once."""
        await self._take_over()
        await self._take_up_again()

    async def _take_over(self) -> None:
        """Let the workflows of processes without a lease go on, wherever there is room."""
        owners = await self._journal.owners() - {self._leases.executor_id}
        if not owners:
            return
        for executor_id in sorted(owners - await self._leases.spared()):
            logger.warning("taking over the workflows of %s", executor_id)
            # Private, and pinned by a contract test: the public way resets the count of attempts
            # and does not look at who owns the workflow.
            await asyncio.to_thread(DBOS._recover_pending_workflows, [executor_id])  # noqa: SLF001

    async def _take_up_again(self) -> None:
        """Let workflows of this process that it does not run go on.

        A start whose answer from the database was lost leaves one. It is only believed after a
        whole lease: a workflow is in the journal a moment before it runs and a moment after, and
        on a busy machine moments are long.
        """
        idle = await self._journal.owned_by(self._leases.executor_id) - self._running.ids()
        self._idle = {name: self._idle.get(name, 0) + 1 for name in idle}
        stranded = sorted(name for name, times in self._idle.items() if times > _RENEWALS)
        if stranded:
            logger.warning("taking up %s workflows that were stranded here", len(stranded))
            await DBOS.resume_workflows_async(stranded)
