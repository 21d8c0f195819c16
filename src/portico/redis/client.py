"""The client: scripts and commands, sent once, with failures that say what may have happened."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

from portico.redis.address import Kind, parse
from portico.redis.cluster import Cluster
from portico.redis.detour import Detour
from portico.redis.errors import ErrorReply, RedisUnavailable, failure_from
from portico.redis.lane import Connector
from portico.redis.options import RedisOptions
from portico.redis.routing import routing_key
from portico.redis.script import Script
from portico.redis.state import RedisState
from portico.redis.topology import OnePrimary, Topology
from portico.redis.waiting import Request
from portico.redis.wire import Word, pack


class RedisClient:
    """Runs scripts and commands of many requests over few connections.

    Nothing is repeated once it may have been executed, unless its caller says that is safe.
    """

    def __init__(self, topology: Topology, options: RedisOptions) -> None:
        self._topology = topology
        self._options = options
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, url: str, *, options: RedisOptions | None = None) -> Self:
        """Return a client, also where the server cannot be reached yet: it keeps trying.

        Raises RedisURLError.
        """
        address = parse(url)
        options = options or RedisOptions()
        clustered = address.kind is Kind.CLUSTER
        topology = Cluster(address, options) if clustered else OnePrimary(address, options)
        client = cls(topology, options)
        await topology.attempted()
        return client

    async def close(self) -> None:
        """Close all connections; whoever still waits gets RedisUnavailable."""
        await self._topology.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def available(self) -> bool:
        """Return whether a command given now would be written."""
        return self._topology.available

    @property
    def clustered(self) -> bool:
        """Return whether all keys of one script have to be in one slot."""
        return self._topology.keyed

    @property
    def options(self) -> RedisOptions:
        return self._options

    def state(self) -> RedisState:
        """Return the condition of every connection."""
        lanes = [lane for node in self._topology.nodes() for lane in node.states()]
        return RedisState(available=self.available, lanes=tuple(lanes))

    def connector(self) -> Connector:
        """Return what opens connections apart from those of commands, for what blocks them."""
        return self._topology.connector()

    async def execute(
        self,
        *command: Word,
        key: bytes | None = None,
        timeout_seconds: float | None = None,
        repeatable: bool = False,
    ) -> object:
        """Return the reply to one command. Raises RedisUnavailable, RedisRefused.

        A cluster needs to know the `key` where it is not the word after the command. Commands
        that block their connection, such as SUBSCRIBE or BLPOP, are not for this client.
        """
        request = Request(pack(command), repeatable=repeatable)
        if key is None:
            key = routing_key(command) if self._topology.keyed else b""
        return await self._send(request, key, timeout_seconds)

    def run(
        self,
        script: Script,
        keys: Sequence[bytes],
        arguments: Sequence[Word],
        *,
        timeout_seconds: float | None = None,
        repeatable: bool = False,
        acknowledged: bool = False,
    ) -> Coroutine[Any, Any, object]:
        """Return what the script returns, when awaited. Raises RedisUnavailable, RedisRefused.

        `repeatable` says that the script recognises its own repetition. `acknowledged` asks for
        the copies that the options name; too few raise NOT_REPLICATED with the reply.
        """
        request = Request(
            pack((b"EVALSHA", script.sha, len(keys), *keys, *arguments)),
            script,
            repeatable=repeatable,
            acknowledged=acknowledged,
        )
        return self._send(request, keys[0] if keys else b"", timeout_seconds)

    async def execute_everywhere(self, *command: Word) -> dict[str, object]:
        """Return the reply of each primary by its address. Raises what `execute` raises."""
        request = Request(pack(command))
        seconds = self._options.timeout_seconds
        replies: dict[str, object] = {}
        for node in self._topology.nodes() or (self._topology.node_for(b""),):
            try:
                replies[node.address] = await node.ask(request, seconds)
            except ErrorReply as reply:
                raise failure_from(reply.error) from reply.error
        return replies

    async def _send(self, request: Request, key: bytes, timeout_seconds: float | None) -> object:
        seconds = self._options.timeout_seconds if timeout_seconds is None else timeout_seconds
        node = self._topology.node_for(key)
        try:
            return await node.ask(request, seconds)
        except ErrorReply as reply:
            detour = Detour(self._topology, request, self._loop.time() + seconds)
            return await detour.follow(node, reply)
        except RedisUnavailable:
            self._topology.doubt()
            raise
