"""The map of a cluster: which server has which slots, followed as it changes."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import dataclass

import redis.exceptions as theirs
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from portico.redis.address import Address, Host
from portico.redis.connect import ask, part_from, to_host
from portico.redis.errors import ErrorReply, Reason, RedisUnavailable
from portico.redis.lane import Connector
from portico.redis.node import Node
from portico.redis.options import RedisOptions
from portico.redis.wire import pack

logger = logging.getLogger("portico.redis")

# The map is read again this often, and in the second case as long as something is amiss.
_QUIET_SECONDS = 30.0
_TROUBLED_SECONDS = 1.0
# Many commands find out at once that something moved; the map is read once for them.
_AT_LEAST_SECONDS = 0.1
_SLOTS = pack((b"CLUSTER", b"SLOTS"))


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Slots that one primary has; `host` is empty where it is whoever was asked."""

    first: int
    last: int
    host: Host


class Cluster:
    """The primaries of a cluster and the slots of each."""

    keyed = True

    def __init__(self, address: Address, options: RedisOptions) -> None:
        self._address = address
        self._options = options
        self._nodes: dict[Host, Node] = {}
        self._leaving: list[Node] = []
        self._slots: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._complete = False
        self._doubted = asyncio.Event()
        self._attempted = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="redis cluster")

    @property
    def available(self) -> bool:
        return self._complete and all(node.available for node in self._nodes.values())

    def nodes(self) -> tuple[Node, ...]:
        return tuple(self._nodes.values())

    def node_for(self, key: bytes) -> Node:
        """Return the primary of the slot of a key; any, for a command without one."""
        node = self._slots[key_slot(key)]
        if node is not None:
            return node
        self.doubt()
        detail = "no server is known for this slot" if self._nodes else "no server was reached"
        raise RedisUnavailable(Reason.CLUSTER_DOWN, detail, sent=False)

    def redirect(self, error: theirs.AskError, by: Node) -> Node:
        """Return the named server; after MOVED it has the slot from now on."""
        host = (error.host or _host_of(by, self._nodes)[0], error.port)
        node = self._node(host)
        if isinstance(error, theirs.MovedError):
            self._slots[error.slot_id] = node
            self.doubt()
        return node

    def doubt(self) -> None:
        self._doubted.set()

    def connector(self) -> Connector:
        """Return a way to one of the servers; a cluster tells all of them what is published."""
        hosts = list(self._nodes) or list(self._address.hosts)
        return to_host(random.choice(hosts), self._address, self._options)

    async def attempted(self) -> None:
        await self._attempted.wait()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        for node in (*self._nodes.values(), *self._leaving):
            await node.close()

    async def _follow(self) -> None:
        while True:
            self._doubted.clear()
            try:
                if ranges := await self._read_map():
                    await self._apply(ranges)
            except Exception:  # the map outlives a mistake of ours, and tells of it
                logger.exception("the map of the redis cluster was not read")
            self._attempted.set()
            await asyncio.sleep(_AT_LEAST_SECONDS * random.uniform(1.0, 2.0))
            seconds = _QUIET_SECONDS if self.available else _TROUBLED_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._doubted.wait()

    async def _read_map(self) -> list[SlotRange]:
        """Ask one server after the other: those we know, then those of the URL."""
        for host, node in list(self._nodes.items()):
            with suppress(RedisUnavailable, ErrorReply):
                reply = await node.submit(_SLOTS, self._options.timeout_seconds).future
                if ranges := slot_ranges(reply, host):
                    return ranges
        for host in self._address.hosts:
            with suppress(RedisUnavailable, theirs.RedisError, OSError, RuntimeError):
                if ranges := await self._ask_seed(host):
                    return ranges
        return []

    async def _ask_seed(self, host: Host) -> list[SlotRange]:
        connection = await to_host(host, self._address, self._options).connect()
        try:
            async with asyncio.timeout(self._options.timeout_seconds):
                return slot_ranges(await ask(connection, "CLUSTER", "SLOTS"), host)
        finally:
            await part_from(connection)

    async def _apply(self, ranges: list[SlotRange]) -> None:
        slots: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        known = len(self._nodes)
        for one in ranges:
            slots[one.first : one.last + 1] = [self._node(one.host)] * (one.last + 1 - one.first)
        self._slots = slots
        self._complete = None not in slots
        await self._let_go({one.host for one in ranges})
        if known == 0:
            for node in self._nodes.values():
                await node.attempted()

    async def _let_go(self, hosts: set[Host]) -> None:
        """Part from servers without slots; close them one round later, when they have answered."""
        for node in self._leaving:
            await node.close()
        gone = [host for host in self._nodes if host not in hosts]
        self._leaving = [self._nodes.pop(host) for host in gone]

    def _node(self, host: Host) -> Node:
        if host not in self._nodes:
            self._nodes[host] = Node(
                lambda: to_host(host, self._address, self._options), self._options
            )
        return self._nodes[host]


def slot_ranges(reply: object, asked: Host) -> list[SlotRange]:
    """Return what a reply to CLUSTER SLOTS says; what is not understood is left out."""
    entries = reply if isinstance(reply, list) else []
    return [found for entry in entries if (found := _slot_range(entry, asked))]


def _slot_range(entry: object, asked: Host) -> SlotRange | None:
    match entry:
        case [int(first), int(last), [host, int(port), *_], *_]:
            name = host.decode() if isinstance(host, bytes) else ""
            # Empty, null or "?": a server that does not know its own name.
            return SlotRange(first, last, (asked[0] if name in ("", "?") else name, port))
    return None


def _host_of(node: Node, nodes: dict[Host, Node]) -> Host:
    return next((host for host, known in nodes.items() if known is node), ("", 0))
