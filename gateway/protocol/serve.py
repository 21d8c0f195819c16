"""Serving: bind, start, listen, drain. uvicorn accepts and sends; signals and order are ours."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop

from gateway.protocol.gate import Gate
from gateway.protocol.http import protocol_class
from gateway.protocol.limits import ProtocolLimits
from gateway.protocol.listening import bind, fit_open_files, listen_error
from gateway.protocol.refusal import ProblemWriter, Refusal, log_refusal
from gateway.protocol.stopping import StopSignals

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterator
    from contextlib import AbstractAsyncContextManager

    from uvicorn._types import ASGI3Application

# Measured with 32 connections saturating a core: the 99th percentile falls from 23-39 ms with the
# collector's defaults to 3-4 ms, as young objects are mostly freed by their reference counts.
_GC_THRESHOLDS = (50_000, 50, 1_000)


def _nothing(*_: object) -> None:
    """Ignore an event that nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeEvents:
    """What a caller may want to know, each called once and in this order, except `refused`."""

    bound: Callable[[str, int], None] = _nothing  # the real address, before anything is started
    ready: Callable[[], None] = _nothing  # connections are accepted
    draining: Callable[[], None] = _nothing  # readiness must fail from now on
    refused: Callable[[Refusal], None] = log_refusal


async def serve(
    app: ASGI3Application,
    *,
    host: str,
    port: int,
    sock: socket.socket | None = None,
    limits: ProtocolLimits | None = None,
    writer: ProblemWriter | None = None,
    lifespan: Callable[[], AbstractAsyncContextManager[object]] | None = None,
    events: ServeEvents | None = None,
) -> int:
    """Serve until a signal and return the exit code; raise `ListenError` if the port is taken.

    With `sock` that one is listened on, which other processes may share, instead of the address.
    `lifespan` is entered once the port is ours and left after the last answer. The first signal
    drains, a second one stops at once. The code is 0 after a whole drain, 1 if requests had to be
    cut, and that of the signal if it came before readiness or twice.
    """
    events = events or ServeEvents()
    limits = fit_open_files(limits or ProtocolLimits())
    gate = Gate(limits, writer, events.refused)
    listening = sock or bind(host, port)
    with contextlib.closing(listening), StopSignals(limits.force_seconds) as signals:
        events.bound(*listening.getsockname()[:2])
        server = DrainingServer(server_config(app, gate), gate, events)
        try:
            async with lifespan() if lifespan else contextlib.nullcontext():
                signals.drain = server.stop
                with quiet_collector():
                    await server.serve(sockets=[listening])
        except asyncio.CancelledError:
            if signals.received is None:
                raise  # it is the caller's cancellation, not a signal's
            return signals.exit_code
        finally:
            server.abandon()
        return 1 if server.cut else 0


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run `serve` on uvloop and return its exit code; Ctrl-C leaves no traceback at any time."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def server_config(app: ASGI3Application, gate: Gate) -> uvicorn.Config:
    """Return the uvicorn configuration that `serve` uses."""
    return uvicorn.Config(
        app,
        http=protocol_class(gate),
        ws="none",
        interface="asgi3",
        lifespan="off",  # `serve` has its own, whose errors reach the caller
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,  # the pipeline writes it
        proxy_headers=False,  # the pipeline decides whom to believe
        server_header=False,
        backlog=gate.limits.backlog,
        timeout_graceful_shutdown=math.ceil(gate.limits.grace_seconds),
    )


class DrainingServer(uvicorn.Server):
    """uvicorn's server without its signal handlers, telling when it is ready and when it drains."""

    def __init__(self, config: uvicorn.Config, gate: Gate, events: ServeEvents) -> None:
        super().__init__(config)
        self.cut = False  # whether requests were cancelled
        self._limits = gate.limits
        self._events = events

    def stop(self) -> None:
        """Begin to drain at the next tick, a tenth of a second away at most."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `StopSignals`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:
            # Two processes may have bound the port; only the first can listen.
            name = sockets[0].getsockname() if sockets else ("", 0)
            raise listen_error(name[0], name[1], error) from error
        self._events.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._events.draining()
        await asyncio.sleep(self._limits.drain_delay_seconds)
        await super().shutdown(sockets)
        tasks = set(self.server_state.tasks)
        if tasks:
            # uvicorn has cancelled them; they still have their 503 to send.
            self.cut = True
            await asyncio.wait(tasks, timeout=self._limits.force_seconds)
            await asyncio.sleep(0)

    def abandon(self) -> None:
        """Drop whatever is left: nothing after a drain, everything after a second signal."""
        for server in getattr(self, "servers", ()):
            server.close()
        for task in set(self.server_state.tasks):
            task.cancel()
        for connection in set(self.server_state.connections):
            connection.transport.abort()


@contextlib.contextmanager
def quiet_collector() -> Iterator[None]:
    """Take what start-up built out of the collector's sight and let it look less often."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
