"""A connection without sockets: bytes in, bytes out, and a clock that the test moves."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.server import ServerState

from gateway.protocol.gate import Gate
from gateway.protocol.http import GuardedProtocol, protocol_class
from gateway.protocol.limits import ProtocolLimits
from gateway.protocol.serve import server_config

# No tick comes by itself: the tests move the clock.
STILL = ProtocolLimits(tick_seconds=3_600.0)


class MemoryTransport(asyncio.Transport):
    """Keeps what is written; `stuck` stands for a client that reads nothing."""

    def __init__(self, peer: str = "192.0.2.1") -> None:
        super().__init__({"peername": [peer, 50_000], "sockname": ["192.0.2.2", 443]})
        self.written = b""
        self.closed = self.half_closed = False
        self._reading = True
        self._aborted = False
        self.stuck = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.half_closed, "written after the end"
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self._aborted = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def is_reading(self) -> bool:
        return self._reading

    def was_aborted(self) -> bool:
        return self._aborted

    def get_write_buffer_size(self) -> int:
        return self.stuck


class MemoryConnection:
    """One protocol over a `MemoryTransport`, delivering only what is being read."""

    def __init__(self, app: Any, gate: Gate | None = None, peer: str = "192.0.2.1") -> None:
        self.gate = gate or Gate(STILL, on_refusal=lambda _: None)
        config = server_config(app, self.gate)
        config.load()
        self.state = ServerState()
        self.transport = MemoryTransport(peer)
        self.protocol: GuardedProtocol = protocol_class(self.gate)(config, self.state, {})
        self.protocol.connection_made(self.transport)

    async def feed(self, *chunks: bytes) -> None:
        """Deliver the chunks and let the application run."""
        for chunk in chunks:
            if not self.transport.closed:
                self.protocol.data_received(chunk)
            await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def lose(self) -> None:
        """Let the connection be lost, as a transport does after `close`."""
        self.transport.closed = True
        self.protocol.connection_lost(None)
        await self.settle()
        for task in list(self.state.tasks):
            task.cancel()
        await self.settle()
