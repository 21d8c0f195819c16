"""`portico serve`: the gateway, its APIs and the embedded parts, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic import ValidationError

from gateway.app import Gateway
from gateway.cli.announce import announcement
from gateway.cli.configuration import read_config
from gateway.cli.output import CannotRunError
from gateway.cli.progress import ProgressBar
from gateway.config import Config, Listen
from gateway.embedded import open_embedded
from gateway.protocol.refusal import ProblemWriter
from gateway.protocol.serve import ServeEvents, serve
from gateway.protocol.serve import run as run_server


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="the port to listen on; 0 takes a free one")
    parser.add_argument("--host", help="the address to listen on")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TIER/API", help="run only this API here"
    )
    parser.add_argument(
        "--announce", action="store_true", help="print credentials and lines to try when ready"
    )


def run(options: argparse.Namespace) -> int:
    config = with_address(read_config(options.config), options.host, options.port)
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


def public_url(config: Config, port: int) -> str:
    """Return how clients reach the gateway: as configured, else the address it listens on."""
    return config.public_url.rstrip("/") or f"http://{config.listen.host}:{port}"


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
            limits=self.config.limits.protocol(),
            writer=self._writer(),
            lifespan=self.lifespan,
            events=ServeEvents(bound=self.bound, ready=self.ready, draining=self.draining),
        )

    def _writer(self) -> ProblemWriter:
        """Return what words refusals of the connection layer; a port of 0 is not known yet."""
        port = self.config.listen.port
        base = public_url(self.config, port) if port or self.config.public_url else ""
        return ProblemWriter(type_base=f"{base}/portal/problems/")

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start the embedded parts, then the APIs; stop them in the other order."""
        async with (
            open_embedded(self.config, self.gateway.names, ProgressBar()) as injected,
            self.gateway.run(self.url, injected),
        ):
            self.started(injected)
            yield

    def started(self, injected: Mapping[str, Mapping[str, Any]]) -> None:
        """Take note of where the embedded parts are."""

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
