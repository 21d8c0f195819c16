"""The systems that Portico starts itself where the configuration names none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.config import Config
from gateway.config.secrets import SecretStore
from gateway.sandboxes import SANDBOXES, secret_of
from gateway.steering import steerable
from portico.sandbox.running import Running, run_sandboxes
from system_apis.tryton.sandbox.server import Endpoint, Sandbox

TRYTON = "system/tryton.v1"
Progress = Callable[[str, int, int], None]
Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What was started: the settings by which APIs reach it, and the sandboxes by their names."""

    settings: Settings
    sandboxes: Mapping[str, Running]


@contextlib.asynccontextmanager
async def open_embedded(
    config: Config, names: Sequence[str], progress: Progress
) -> AsyncIterator[Embedded]:
    """Start what the APIs of this process need and yield how they reach it.

    Raises SandboxError and SandboxesError. A system that ends by itself is started again.
    """
    wanted = [name for name in names if not is_configured(config, name)]
    async with (
        _open_tryton(config, wanted, progress) as tryton,
        _open_sandboxes(config, wanted) as sandboxes,
    ):
        settings = {entry.kind.api: entry.kind.settings(entry.url) for entry in sandboxes.values()}
        yield Embedded(settings={**tryton, **settings}, sandboxes=sandboxes)


def is_configured(config: Config, name: str) -> bool:
    """Tell whether the configuration says where the system of an API is."""
    api = config.apis.get(name)
    return api is not None and bool(api.settings or api.url)


@contextlib.asynccontextmanager
async def _open_tryton(
    config: Config, wanted: Sequence[str], progress: Progress
) -> AsyncIterator[Settings]:
    if not config.embedded.tryton or TRYTON not in wanted:
        yield {}
        return
    sandbox = Sandbox(config.data / "tryton", progress=progress)
    endpoint = await sandbox.start()
    watching = asyncio.create_task(sandbox.watch())
    try:
        yield _reaching(endpoint)
    finally:
        watching.cancel()
        await sandbox.stop()


def running_tryton(config: Config) -> Settings:
    """Return how to reach the Tryton of the data folder that another process runs, if one does."""
    endpoint = Sandbox(config.data / "tryton").running_elsewhere()
    return {} if endpoint is None else _reaching(endpoint)


def _reaching(endpoint: Endpoint) -> Settings:
    return {TRYTON: {"base_url": endpoint.base_url, "key": endpoint.key_reference}}


@contextlib.asynccontextmanager
async def _open_sandboxes(
    config: Config, wanted: Sequence[str]
) -> AsyncIterator[Mapping[str, Running]]:
    kinds = {name: kind for name, kind in SANDBOXES.items() if kind.api in wanted}
    if not config.embedded.sandboxes or not kinds:
        yield {}
        return
    secret = secret_of(SecretStore(config.data))
    folder = config.data / "sandboxes"
    async with (
        run_sandboxes(kinds, secret, folder=folder) as running,
        steerable(running, folder),
    ):
        yield running
