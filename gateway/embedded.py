"""The systems that Portico starts itself where the configuration names none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from gateway.config import Config
from system_apis.tryton.sandbox.server import Sandbox

TRYTON = "system/tryton.v1"
Progress = Callable[[str, int, int], None]


@contextlib.asynccontextmanager
async def open_embedded(
    config: Config, names: Sequence[str], progress: Progress
) -> AsyncIterator[Mapping[str, Mapping[str, Any]]]:
    """Start what the APIs of this process need and yield the settings by which they reach it.

    Raises SandboxError. A system that ends by itself is started again.
    """
    api = config.apis.get(TRYTON)
    configured = api is not None and bool(api.settings or api.url)
    if not config.embedded.tryton or configured or TRYTON not in names:
        yield {}
        return
    sandbox = Sandbox(config.data / "tryton", progress=progress)
    endpoint = await sandbox.start()
    watching = asyncio.create_task(sandbox.watch())
    try:
        yield {TRYTON: {"base_url": endpoint.base_url, "key": endpoint.key_reference}}
    finally:
        watching.cancel()
        await sandbox.stop()
