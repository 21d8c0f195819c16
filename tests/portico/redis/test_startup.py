"""What a server must be before Portico keeps its records there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from portico.redis.errors import RedisUnavailable
from portico.redis.options import Acknowledgement
from portico.redis.startup import Durability, Level, ServerFacts, check, judge
from tests.portico.redis.servers import QUICK, opened, until

if TYPE_CHECKING:
    from pathlib import Path

    from portico.redis.client import RedisClient
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio

GOOD = ServerFacts(
    version=(7, 0, 15),
    role="master",
    replicas=0,
    policy="noeviction",
    append_only=True,
    fsync="everysec",
)


def found(
    facts: ServerFacts,
    durability: Durability = "default",
    acknowledgement: Acknowledgement | None = None,
) -> list[tuple[Level, str]]:
    findings = judge(facts, durability, acknowledgement, server="redis:6379")
    return [(finding.level, finding.rule) for finding in findings]


def test_a_good_server_is_taken() -> None:
    assert found(GOOD) == []
    assert found(GOOD, "strict") == []


@pytest.mark.parametrize(
    "policy", ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random", "volatile-lfu"]
)
def test_a_server_that_evicts_is_refused(policy: str) -> None:
    assert found(replace(GOOD, policy=policy)) == [(Level.REFUSE, "eviction")]


def test_a_replica_is_refused() -> None:
    assert found(replace(GOOD, role="slave")) == [(Level.REFUSE, "replica")]


def test_a_server_older_than_6_2_is_refused() -> None:
    assert found(replace(GOOD, version=(6, 0, 16))) == [(Level.REFUSE, "version")]
    assert found(replace(GOOD, version=(6, 2, 0))) == []


def test_a_server_that_keeps_nothing_on_disk_is_refused_where_durability_is_strict() -> None:
    assert found(replace(GOOD, append_only=False)) == [(Level.WARN, "append-only")]
    assert found(replace(GOOD, append_only=False), "strict") == [(Level.REFUSE, "append-only")]


def test_a_server_that_never_syncs_is_refused_where_durability_is_strict() -> None:
    assert found(replace(GOOD, fsync="no")) == [(Level.WARN, "fsync")]
    assert found(replace(GOOD, fsync="no"), "strict") == [(Level.REFUSE, "fsync")]


def test_strict_durability_with_replicas_wants_them_waited_for() -> None:
    two = replace(GOOD, replicas=2)
    assert found(two) == []
    assert found(two, "strict") == [(Level.WARN, "acknowledgement")]
    assert found(two, "strict", Acknowledgement(replicas=1)) == []


def test_fewer_replicas_than_must_confirm_are_told() -> None:
    assert found(GOOD, "strict", Acknowledgement(replicas=1)) == [(Level.WARN, "replicas")]


def test_a_server_without_waitaof_cannot_confirm_its_disk() -> None:
    wanted = Acknowledgement(replicas=0, local_disk=True)
    assert found(GOOD, "strict", wanted) == [(Level.REFUSE, "waitaof")]
    assert found(replace(GOOD, version=(7, 2, 4)), "strict", wanted) == []


def test_what_could_not_be_checked_is_told() -> None:
    (finding,) = judge(ServerFacts(), "strict", None, server="redis:6379")
    assert (finding.level, finding.rule) == (Level.WARN, "unchecked")
    for name in ("version", "role", "maxmemory-policy", "appendonly"):
        assert name in finding.message


async def rules(client: RedisClient, durability: Durability = "default") -> set[tuple[Level, str]]:
    return {(finding.level, finding.rule) for finding in await check(client, durability)}


async def test_a_real_server_is_checked(server: Server, client: RedisClient) -> None:
    assert await rules(client) == {(Level.WARN, "append-only")}
    assert await rules(client, "strict") == {(Level.REFUSE, "append-only")}
    server.ask("CONFIG", "SET", "appendonly", "yes")
    assert await rules(client, "strict") == set()
    server.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    assert await rules(client) == {(Level.REFUSE, "eviction")}


async def test_a_real_replica_is_refused(server: Server, client: RedisClient) -> None:
    server.ask("REPLICAOF", "127.0.0.1", 1)
    assert (Level.REFUSE, "replica") in await rules(client)


async def test_a_managed_server_without_config_is_checked_by_info(server: Server) -> None:
    server.ask("ACL", "SETUSER", "app", "on", ">p", "~*", "+@all", "-config")
    async with opened(f"{server.url}?username=app&password=p") as client:
        server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        assert await rules(client) == {(Level.REFUSE, "eviction"), (Level.WARN, "append-only")}


async def test_a_server_without_info_is_checked_by_config(server: Server) -> None:
    server.ask("ACL", "SETUSER", "app", "on", ">p", "~*", "+@all", "-info")
    async with opened(f"{server.url}?username=app&password=p") as client:
        server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        assert await rules(client) == {
            (Level.WARN, "unchecked"),
            (Level.REFUSE, "eviction"),
            (Level.WARN, "append-only"),
        }


async def test_a_server_that_tells_nothing_is_warned_of(server: Server) -> None:
    server.ask("ACL", "SETUSER", "app", "on", ">p", "~*", "+@all", "-config", "-info")
    async with opened(f"{server.url}?username=app&password=p") as client:
        assert await rules(client) == {(Level.WARN, "unchecked")}


async def test_a_server_that_is_away_is_not_judged(program: Path, folder: Path) -> None:
    async with opened(f"unix://{folder}/nobody", QUICK) as client:
        with pytest.raises(RedisUnavailable):
            await check(client)
        await until(lambda: not client.available)
    assert program
