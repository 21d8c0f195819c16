"""Which server a key belongs to."""

from __future__ import annotations

from typing import Protocol

import redis.exceptions as theirs

from portico.redis.address import Address, Kind
from portico.redis.connect import to_server
from portico.redis.errors import failure_from
from portico.redis.lane import Connector
from portico.redis.node import Node
from portico.redis.options import RedisOptions
from portico.redis.sentinel import SentinelConnector


class Topology(Protocol):
    """The primaries a client writes to."""

    @property
    def keyed(self) -> bool:
        """Return whether the key of a command decides where it goes."""
        ...

    @property
    def available(self) -> bool:
        """Return whether every key can be reached now."""
        ...

    def nodes(self) -> tuple[Node, ...]:
        """Return the known primaries."""
        ...

    def node_for(self, key: bytes) -> Node:
        """Return where a key is. Raises RedisUnavailable."""
        ...

    def redirect(self, error: theirs.AskError, by: Node) -> Node:
        """Return the server that another one named by MOVED or ASK."""
        ...

    def doubt(self) -> None:
        """Take note that a server failed: what is known may be old."""
        ...

    def connector(self) -> Connector:
        """Return what opens a connection of its own, to any server that hears what is published."""
        ...

    async def attempted(self) -> None:
        """Wait until the first attempt to connect has succeeded or failed."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class OnePrimary:
    """One server, or whichever Sentinel names."""

    keyed = False

    def __init__(self, address: Address, options: RedisOptions) -> None:
        self._address = address
        self._options = options
        self._node = Node(self.connector, options)

    @property
    def available(self) -> bool:
        return self._node.available

    def nodes(self) -> tuple[Node, ...]:
        return (self._node,)

    def node_for(self, key: bytes) -> Node:
        del key
        return self._node

    def redirect(self, error: theirs.AskError, by: Node) -> Node:
        """Refuse: this is a cluster, and the URL does not say so."""
        del by
        raise failure_from(error) from error

    def doubt(self) -> None:
        """Do nothing: the lane connects again by itself."""

    def connector(self) -> Connector:
        if self._address.kind is Kind.SENTINEL:
            return SentinelConnector(self._address, self._options)
        return to_server(self._address, self._options)

    async def attempted(self) -> None:
        await self._node.attempted()

    async def close(self) -> None:
        await self._node.close()
