"""`portico serve`: the gateway, its APIs and the embedded parts, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator

from pydantic import ValidationError

from gateway.app import Gateway
from gateway.cli.announce import announcement
from gateway.cli.configuration import read_config
from gateway.cli.output import CannotRunError
from gateway.cli.progress import ProgressBar
from gateway.cli.workers import Assignment, Supervisor, supervisor_gone
from gateway.config import Config, Listen
from gateway.embedded import Embedded, open_embedded
from gateway.issuing import public_url
from gateway.protocol.listening import bind
from gateway.protocol.refusal import ProblemWriter
from gateway.protocol.serve import ServeEvents, serve
from gateway.protocol.serve import run as run_server
from gateway.protocol.stopping import StopSignals
from gateway.stores import open_redis

# More than any machine has cores that this would help.
_MAX_WORKERS = 256


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="the port to listen on; 0 takes a free one")
    parser.add_argument("--host", help="the address to listen on")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TIER/API", help="run only this API here"
    )
    parser.add_argument(
        "--workers", type=_count, default=1, metavar="N", help="processes that answer (default: 1)"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--announce", action="store_true", help="print credentials and lines to try when ready"
    )


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= _MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {_MAX_WORKERS}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    config = with_address(read_config(options.config), options.host, options.port)
    if options.worker:
        return Worker(config, options.only, Assignment.read(sys.stdin.buffer)).run()
    if options.workers > 1:
        return Workers(config, options).run()
    return Server(config, options.only, announce=options.announce).run()


def with_address(config: Config, host: str | None, port: int | None) -> Config:
    """Return the configuration with the address of the command line over that of the file."""
    chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if not chosen:
        return config
    try:
        listen = Listen(**{**config.listen.model_dump(), **chosen})
    except ValidationError as error:
        name = error.errors()[0]["loc"][0]
        raise CannotRunError(
            f"--{name} {chosen[str(name)]} cannot be used",
            "a port is a number from 0 to 65535",
            "choose another; 0 takes a free one",
        ) from None
    return config.model_copy(update={"listen": listen})


class Server:
    """One run of the gateway, from the bound port to the last answer."""

    def __init__(self, config: Config, only: list[str], *, announce: bool = False) -> None:
        logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
        self.config = config
        self.gateway = Gateway(config, only=only)
        self.url = ""
        self._announce = announce

    def run(self) -> int:
        """Serve until a signal; return the exit code."""
        return run_server(self.serve())

    async def serve(self) -> int:
        listen = self.config.listen
        return await serve(
            self.gateway,
            host=listen.host,
            port=listen.port,
            sock=self.listening(),
            limits=self.config.limits.protocol(),
            writer=self._writer(),
            lifespan=self.lifespan,
            events=ServeEvents(bound=self.bound, ready=self.ready, draining=self.draining),
        )

    def listening(self) -> socket.socket | None:
        """Return the socket to serve, None for one of its own at the configured address."""
        return None

    def _writer(self) -> ProblemWriter:
        """Return what words refusals of the connection layer; a port of 0 is not known yet."""
        port = self.config.listen.port
        base = public_url(self.config, port) if port or self.config.public_url else ""
        return ProblemWriter(type_base=f"{base}/portal/problems/")

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start the embedded parts, then the APIs; stop them in the other order."""
        async with (
            open_embedded(self.config, self.gateway.names, ProgressBar()) as embedded,
            self.gateway.run(self.url, embedded.settings),
        ):
            self.started(embedded)
            yield

    def started(self, embedded: Embedded) -> None:
        """Take note of the embedded parts."""

    def bound(self, host: str, port: int) -> None:
        """Take note of the real port, before anything is started."""
        del host
        self.url = public_url(self.config, port)

    def ready(self) -> None:
        """Say that connections are accepted."""
        if self._announce:
            print(announcement(self.gateway, self.url), flush=True)
            return
        print(f"Portico is ready at {self.url} (portal: {self.url}/portal/)", flush=True)

    def draining(self) -> None:
        """Make readiness fail."""
        self.gateway.draining = True


class Workers(Server):
    """The gateway as several processes; this one starts the embedded parts and answers nothing."""

    def __init__(self, config: Config, options: argparse.Namespace) -> None:
        super().__init__(config, options.only, announce=options.announce)
        self._count: int = options.workers
        words = [sys.executable, "-m", "gateway.cli", "serve", "--worker"]
        words += ["--config", str(options.config)] if options.config else []
        self._words = words + [word for name in options.only for word in ("--only", name)]

    async def serve(self) -> int:
        limits = self.config.limits.protocol()
        sock = bind(self.config.listen.host, self.config.listen.port)
        with contextlib.closing(sock), StopSignals(limits.force_seconds) as signals:
            self.bound(*sock.getsockname()[:2])
            supervisor = Supervisor(self.config, self._words, self._count)
            try:
                async with (
                    open_redis(self.config, self.gateway.secrets),
                    open_embedded(self.config, self.gateway.names, ProgressBar()) as embedded,
                ):
                    signals.drain = supervisor.stop
                    return await supervisor.run(sock, self.url, embedded.settings, self.ready)
            except asyncio.CancelledError:
                if signals.received is None:
                    raise
                return signals.exit_code


class Worker(Server):
    """One of several processes: it serves what its supervisor has bound and started."""

    def __init__(self, config: Config, only: list[str], told: Assignment) -> None:
        limits = config.rate_limits
        processes = max(limits.processes, told.workers)
        limits = limits.model_copy(update={"processes": processes})
        super().__init__(config.model_copy(update={"rate_limits": limits}), only)
        self._told = told

    def listening(self) -> socket.socket:
        return socket.socket(fileno=self._told.socket)

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch())
        async with self.gateway.run(self._told.url, self._told.injected):
            yield
        watching.cancel()

    async def _watch(self) -> None:
        await supervisor_gone(sys.stdin.buffer)
        os.kill(os.getpid(), signal.SIGTERM)

    def ready(self) -> None:
        self._told.tell_ready()
