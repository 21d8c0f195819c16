"""`portico serve`: the gateway, its APIs and the embedded parts, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import AsyncIterator

from gateway.app import Gateway
from gateway.cli.configuration import read_config
from gateway.config import Config, Listen
from gateway.protocol.refusal import ProblemWriter
from gateway.protocol.serve import ServeEvents, serve
from gateway.protocol.serve import run as run_server


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="the port to listen on; 0 takes a free one")
    parser.add_argument("--host", help="the address to listen on")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TIER/API", help="run only this API here"
    )


def run(options: argparse.Namespace) -> int:
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    config = with_address(read_config(options.config), options.host, options.port)
    return Server(config, options.only).run()


def with_address(config: Config, host: str | None, port: int | None) -> Config:
    """Return the configuration with the address of the command line over that of the file."""
    chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if not chosen:
        return config
    listen = Listen(**{**config.listen.model_dump(), **chosen})
    return config.model_copy(update={"listen": listen})


def public_url(config: Config, port: int) -> str:
    """Return how clients reach the gateway: as configured, else the address it listens on."""
    return config.public_url.rstrip("/") or f"http://{config.listen.host}:{port}"


class Server:
    """One run of the gateway, from the bound port to the last answer."""

    def __init__(self, config: Config, only: list[str]) -> None:
        self.config = config
        self.gateway = Gateway(config, only=only)
        self.url = ""

    def run(self) -> int:
        return run_server(self.serve())

    async def serve(self) -> int:
        listen = self.config.listen
        events = ServeEvents(bound=self._bound, ready=self.ready, draining=self._draining)
        return await serve(
            self.gateway,
            host=listen.host,
            port=listen.port,
            limits=self.config.limits.protocol(),
            writer=ProblemWriter(),
            lifespan=self.lifespan,
            events=events,
        )

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with self.gateway.run(self.url):
            yield

    def ready(self) -> None:
        print(f"Portico is ready at {self.url} (portal: {self.url}/portal/)", flush=True)

    def _bound(self, host: str, port: int) -> None:
        del host
        self.url = public_url(self.config, port)

    def _draining(self) -> None:
        self.gateway.draining = True
