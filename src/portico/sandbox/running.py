"""The sandboxes of one process, each on a loopback port of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from portico.sandbox.company import read_company
from portico.sandbox.faults import FaultyApp
from portico.sandbox.state import State
from portico.sandbox.system import SandboxKind, Secret, SystemSandbox

HOST = "127.0.0.1"
STOP_SECONDS = 1


class SandboxesError(Exception):
    """The sandboxes cannot be started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A sandbox that answers at `url`."""

    kind: SandboxKind
    sandbox: SystemSandbox
    faulty: FaultyApp
    url: str

    def describe(self) -> Mapping[str, object]:
        """Return what the admin endpoint tells of it."""
        return {
            "api": self.kind.api,
            "url": self.url,
            "requests": self.faulty.requests,
            "faults": self.faulty.faults.model_dump(),
        }

    def reset(self) -> None:
        """Go back to what a fresh sandbox begins with."""
        self.sandbox.state.clear()
        self.sandbox.seed(read_company())
        self.sandbox.state.commit()


@contextlib.asynccontextmanager
async def run_sandboxes(
    kinds: Mapping[str, SandboxKind],
    secret: Secret,
    *,
    folder: Path | None = None,
    first_port: int = 0,
) -> AsyncIterator[Mapping[str, Running]]:
    """Serve the systems until the end of the block, each on a port of its own.

    `folder` keeps their state. The ports follow one another from `first_port`; 0 takes free ones.
    Raises SandboxesError for a port that is taken.
    """
    async with contextlib.AsyncExitStack() as stack:
        running = {}
        for number, (name, kind) in enumerate(kinds.items()):
            state = State(folder / f"{name}.json" if folder else None)
            sandbox = kind.build(state, secret)
            if state.empty:
                sandbox.seed(read_company())
                state.commit()
            faulty = FaultyApp(sandbox)
            port = first_port + number if first_port else 0
            url = await stack.enter_async_context(serve_on_loopback(faulty, port))
            running[name] = Running(kind=kind, sandbox=sandbox, faulty=faulty, url=url)
            if sandbox.webhooks is not None:
                delivering = asyncio.create_task(sandbox.webhooks.run())
                stack.push_async_callback(_cancel, delivering)
        yield running


@contextlib.asynccontextmanager
async def serve_on_loopback(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serve an application on 127.0.0.1 and yield its URL; raises SandboxesError."""
    # The protocol is named so that asyncio knows it for TCP and switches Nagle's algorithm off;
    # with it each answer in two parts would wait for an acknowledgement.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError as error:
        sock.close()
        raise SandboxesError(f"port {port} of {HOST} is taken") from error
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        await server.ready.wait()
        yield f"http://{HOST}:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        sock.close()


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: whoever runs the sandboxes has those."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
