"""A real cluster of three: slots found, moved, migrated and lost."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError

from portico.redis.cluster import SlotRange, slot_ranges
from portico.redis.errors import Reason, RedisRefused, RedisUnavailable
from portico.redis.options import Acknowledgement
from portico.redis.script import Script
from portico.redis.startup import Level, check
from tests.portico.redis.servers import QUICK, Server, eventually, free_port, opened, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from portico.redis.client import RedisClient

pytestmark = pytest.mark.anyio

SLOTS = [(0, 5460), (5461, 10922), (10923, 16383)]
ADD = Script("add", "redis.call('INCR', KEYS[2]) return redis.call('INCRBY', KEYS[1], ARGV[1])")
ONE = Script("one", "return redis.call('INCRBY', KEYS[1], ARGV[1])")


class Trio:
    """Three primaries, and a replica of the first."""

    def __init__(self, program: Path, folder: Path) -> None:
        clustered = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
        clustered += ["--repl-diskless-sync-delay", "0"]
        self.servers = [
            Server(
                program,
                folder / str(number),
                *(*clustered, "--cluster-port", str(free_port())),
                port=free_port(),
            )
            for number in range(4)
        ]
        *self.servers, self.replica = self.servers

    @property
    def url(self) -> str:
        first, *_ = self.servers
        # A dead seed comes first.
        return f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{first.port}"

    def start(self) -> None:
        for server, slots in zip(self.servers, SLOTS, strict=True):
            server.start()
            server.ask("CLUSTER", "ADDSLOTS", *range(slots[0], slots[1] + 1))
        self.replica.start()
        first = self.servers[0]
        for number, server in enumerate([*self.servers, self.replica]):
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            bus = first.arguments[first.arguments.index("--cluster-port") + 1]
            server.ask("CLUSTER", "MEET", "127.0.0.1", first.port, bus)
        asyncio.run(until(self.settled, 20))
        self.replica.ask("CLUSTER", "REPLICATE", self.node_id(0))
        asyncio.run(until(lambda: first.ask("WAIT", 1, 100) == 1, 20))

    def settled(self) -> bool:
        return all(_state(server) for server in self.servers)

    def node_id(self, number: int) -> str:
        found = self.servers[number].ask("CLUSTER", "MYID")
        return found.decode() if isinstance(found, bytes) else str(found)

    def owner(self, key: bytes) -> int:
        slot = key_slot(key)
        return next(i for i, (first, last) in enumerate(SLOTS) if first <= slot <= last)

    def stop(self) -> None:
        for server in [*self.servers, self.replica]:
            server.kill()


def _state(server: Server) -> bool:
    found = server.ask("CLUSTER", "INFO")
    assert isinstance(found, bytes)
    return b"cluster_state:ok" in found and b"cluster_known_nodes:4" in found


@pytest.fixture(scope="module")
def shared(redis_server: Path) -> Iterator[Trio]:
    with tempfile.TemporaryDirectory(prefix="portico-", ignore_cleanup_errors=True) as folder:
        trio = Trio(redis_server, Path(folder))
        try:
            trio.start()
            yield trio
        finally:
            trio.stop()


@pytest.fixture
def trio(shared: Trio) -> Trio:
    for server in shared.servers:
        server.ask("FLUSHALL")
        server.ask("SCRIPT", "FLUSH")
    return shared


@pytest.fixture
async def clustered(trio: Trio) -> AsyncIterator[RedisClient]:
    async with opened(trio.url) as client:
        yield client


def tags() -> list[bytes]:
    return [b"{t%d}" % number for number in range(30)]


async def test_keys_are_found_on_all_three(trio: Trio, clustered: RedisClient) -> None:
    await asyncio.gather(*(clustered.execute("SET", tag, tag) for tag in tags()))
    for tag in tags():
        assert await clustered.execute("GET", tag) == tag
        assert trio.servers[trio.owner(tag)].ask("GET", tag) == tag
    assert len(clustered.state().lanes) == 3
    assert clustered.available


async def test_scripts_run_where_their_keys_are(clustered: RedisClient) -> None:
    for tag in tags():
        assert await clustered.run(ADD, [tag + b"a", tag + b"b"], [5]) == 5
    assert await clustered.execute("GET", b"{t7}b") == b"1"


async def test_keys_of_several_slots_are_refused(clustered: RedisClient) -> None:
    with pytest.raises(RedisRefused, match="CROSSSLOT"):
        await clustered.run(ADD, [b"t1:a", b"t1:b"], [5])


async def test_a_command_without_a_key_is_answered(clustered: RedisClient) -> None:
    assert await clustered.execute("PING") == b"PONG"


async def test_a_key_elsewhere_in_the_command_is_told_by_the_caller(
    clustered: RedisClient,
) -> None:
    for tag in tags():
        await clustered.execute("XADD", tag, "*", "field", "value")
        reply = await clustered.execute("XREAD", "STREAMS", tag, "0", key=tag)
        assert reply


async def test_a_moved_slot_is_followed_and_remembered(trio: Trio, clustered: RedisClient) -> None:
    """F19: MOVED."""
    key = b"{moved}n"
    old = trio.owner(key)
    new = (old + 1) % 3
    await clustered.execute("SET", key, "old")
    trio.servers[old].ask("DEL", key)
    assign(trio, key_slot(key), new)
    try:
        assert await clustered.run(ADD, [key, b"{moved}m"], [5]) == 5
        assert trio.servers[new].ask("GET", key) == b"5"
        before = errors(trio.servers[old])
        assert await clustered.run(ADD, [key, b"{moved}m"], [5]) == 10
        assert errors(trio.servers[old]) == before
    finally:
        trio.servers[new].ask("DEL", key, b"{moved}m")
        assign(trio, key_slot(key), old)


@contextlib.contextmanager
def migrating(trio: Trio, key: bytes) -> Iterator[tuple[Server, Server]]:
    """Put the slot of a key on its way; yield where it leaves and where it goes."""
    old = trio.owner(key)
    new = (old + 1) % 3
    slot = key_slot(key)
    trio.servers[new].ask("CLUSTER", "SETSLOT", slot, "IMPORTING", trio.node_id(old))
    trio.servers[old].ask("CLUSTER", "SETSLOT", slot, "MIGRATING", trio.node_id(new))
    try:
        yield trio.servers[old], trio.servers[new]
    finally:
        for server in trio.servers:
            server.ask("CLUSTER", "SETSLOT", slot, "STABLE")


async def test_a_key_on_its_way_is_asked_for_at_both_ends(
    trio: Trio, clustered: RedisClient
) -> None:
    with migrating(trio, b"{asked}") as (old, new):
        # What the old one does not have is made on the new one, the script being loaded there.
        assert await clustered.run(ONE, [b"{asked}n"], [5]) == 5
        assert await clustered.run(ONE, [b"{asked}n"], [5]) == 10
        with pytest.raises(AskError):
            old.ask("GET", "{asked}n")
        with pytest.raises(MovedError):
            new.ask("GET", "{asked}n")


async def test_keys_that_are_parted_on_their_way_are_waited_for(
    trio: Trio, clustered: RedisClient
) -> None:
    with migrating(trio, b"{parted}"):
        adding = asyncio.create_task(clustered.run(ADD, [b"{parted}n", b"{parted}m"], [5]))
        await asyncio.sleep(0.1)
        assert not adding.done()
    assert await adding == 5


async def test_keys_that_stay_parted_are_told(trio: Trio, clustered: RedisClient) -> None:
    with migrating(trio, b"{parted}"):
        with pytest.raises(RedisUnavailable) as told:
            await clustered.run(ADD, [b"{parted}n", b"{parted}m"], [5], timeout_seconds=0.1)
        assert not told.value.sent


async def test_acknowledged_scripts_follow_too(trio: Trio) -> None:
    none = replace(QUICK, acknowledgement=Acknowledgement(replicas=0))
    async with opened(trio.url, none) as client:
        replies = [
            await client.run(ADD, [tag + b"a", tag + b"b"], [1], acknowledged=True)
            for tag in tags()
        ]
        assert replies == [1] * 30


async def test_every_primary_is_checked(trio: Trio, clustered: RedisClient) -> None:
    trio.servers[1].ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    findings = await check(clustered)
    trio.servers[1].ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    refused = [finding.server for finding in findings if finding.level is Level.REFUSE]
    assert refused == [f"127.0.0.1:{trio.servers[1].port}"]


async def test_a_url_of_one_server_of_a_cluster_is_refused_with_the_reason(trio: Trio) -> None:
    async with opened(trio.servers[0].url) as client:
        key = next(tag for tag in tags() if trio.owner(tag) != 0)
        with pytest.raises(RedisUnavailable, match="MOVED"):
            await client.execute("SET", key, 1)


async def test_a_cluster_that_is_away_does_not_stop_the_client() -> None:
    async with opened(f"redis+cluster://127.0.0.1:{free_port()}") as client:
        assert not client.available
        with pytest.raises(RedisUnavailable) as told:
            await client.execute("SET", "k", 1)
        assert (told.value.reason, told.value.sent) == (Reason.CLUSTER_DOWN, False)
        with pytest.raises(RedisUnavailable):
            await check(client)


async def test_a_lost_primary_fails_only_its_own_keys_and_returns(
    trio: Trio, clustered: RedisClient
) -> None:
    lost = trio.servers[2]
    for server in trio.servers:
        server.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
    here = next(tag for tag in tags() if trio.owner(tag) == 0)
    there = next(tag for tag in tags() if trio.owner(tag) == 2)
    lost.kill()
    await until(lambda: not clustered.available)
    assert await clustered.execute("SET", here, 1) == b"OK"
    with pytest.raises(RedisUnavailable) as told:
        await clustered.execute("SET", there, 1)
    assert not told.value.sent
    lost.start()
    assert await eventually(lambda: clustered.execute("SET", there, 1)) == b"OK"
    await until(lambda: clustered.available)
    await until(trio.settled)


async def test_a_killed_primary_is_replaced_by_its_replica(
    trio: Trio, clustered: RedisClient
) -> None:
    """This is the last test of these servers: the first one is a replica from now on."""
    key = next(tag for tag in tags() if trio.owner(tag) == 0)
    assert await clustered.run(ONE, [key], [1]) == 1
    await until(lambda: trio.servers[0].ask("WAIT", 1, 100) == 1)
    trio.servers[0].kill()
    assert await eventually(lambda: clustered.run(ONE, [key], [1])) == 2
    assert trio.replica.ask("GET", key) == b"2"
    await until(lambda: clustered.available)


def assign(trio: Trio, slot: int, number: int) -> None:
    for server in [trio.servers[number], *trio.servers]:
        server.ask("CLUSTER", "SETSLOT", slot, "NODE", trio.node_id(number))


def errors(server: Server) -> object:
    found = server.ask("INFO", "errorstats")
    assert isinstance(found, dict)
    return found.get("errorstat_MOVED")


def test_a_server_that_does_not_know_its_name_is_where_we_asked() -> None:
    reply = [
        [0, 10, [b"", 1, b"id"]],
        [11, 20, [None, 2]],
        [21, 30, [b"?", 3]],
        [31, 40, [b"h", 4]],
    ]
    assert slot_ranges(reply, ("asked", 9)) == [
        SlotRange(0, 10, ("asked", 1)),
        SlotRange(11, 20, ("asked", 2)),
        SlotRange(21, 30, ("asked", 3)),
        SlotRange(31, 40, ("h", 4)),
    ]


@pytest.mark.parametrize("reply", [None, b"OK", [], [[0, 1]], [[0, 1, []]], [["a", "b", ["h", 1]]]])
def test_what_is_no_map_is_none(reply: object) -> None:
    assert slot_ranges(reply, ("asked", 9)) == []
