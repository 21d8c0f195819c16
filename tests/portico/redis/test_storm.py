"""Everything at once: what callers were told is what happened, whatever was cut or given up."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from portico.redis.errors import RedisUnavailable
from portico.redis.script import Script
from tests.portico.redis.servers import QUICK, eventually, opened, until

if TYPE_CHECKING:
    from portico.redis.client import RedisClient
    from tests.portico.redis.byte_proxy import ByteProxy
    from tests.portico.redis.servers import Server

pytestmark = pytest.mark.anyio

ROUNDS = 25
CALLERS = 32
# Adds a member once, tells how often it was asked to, and answers with its own argument.
NOTE = Script(
    "note",
    "redis.call('HINCRBY', KEYS[1], ARGV[1], 1) return {ARGV[1], redis.sha1hex(ARGV[1])}",
)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@dataclass
class Told:
    """What callers were told of their commands."""

    done: set[bytes] = field(default_factory=set)
    unsent: set[bytes] = field(default_factory=set)
    unclear: set[bytes] = field(default_factory=set)


async def call(client: RedisClient, told: Told, name: bytes, chance: random.Random) -> None:
    asked = asyncio.ensure_future(client.run(NOTE, [b"notes"], [name]))
    if chance.random() < 0.3:
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.003]))
        asked.cancel()
    try:
        reply = await asked
    except asyncio.CancelledError:
        told.unclear.add(name)
    except RedisUnavailable as error:
        (told.unclear if error.sent else told.unsent).add(name)
    else:
        assert isinstance(reply, list)
        assert reply[0] == name, "a reply reached another caller"
        told.done.add(name)


def disturb(server: Server, proxy: ByteProxy, chance: random.Random) -> None:
    match chance.randrange(6):
        case 0:
            proxy.cut()
        case 1 | 2:
            proxy.cut_after = chance.randrange(600)
        case 3:
            server.ask("SCRIPT", "FLUSH")
        case 4:
            server.ask("CLIENT", "PAUSE", chance.randrange(1, 60), "ALL")
        case _:
            pass


@pytest.mark.parametrize("seed", [1])
async def test_what_callers_were_told_is_what_happened(
    server: Server, proxy: ByteProxy, seed: int
) -> None:
    chance = random.Random(seed)
    told = Told()
    async with opened(proxy.url, replace(QUICK, max_waiting=200)) as client:
        for number in range(ROUNDS):
            if chance.random() < 0.8:
                await until(lambda: client.available)
            disturb(server, proxy, chance)
            names = [b"%d-%d" % (number, caller) for caller in range(CALLERS)]
            await asyncio.gather(*(call(client, told, name, chance) for name in names))
            await asyncio.sleep(chance.choice([0, 0.002, 0.03]))
        proxy.cut_after = None
        assert await eventually(lambda: client.execute("ECHO", "calm")) == b"calm"
        await asyncio.sleep(0.1)
    notes = server.ask("HGETALL", "notes")
    assert isinstance(notes, dict)
    assert told.done <= notes.keys(), "a command was answered and not executed"
    assert not told.unsent & notes.keys(), "a command was called unsent and executed"
    assert set(notes.values()) == {b"1"}, "a command was executed twice"
    assert len(told.done) > ROUNDS * CALLERS / 5
    assert told.unclear
