"""What inventory.v1 hears on the bus: levels, whoever counted them."""

from __future__ import annotations

from collections.abc import Sequence

from portico.durable import Durable
from portico.events.bus import Subscription
from portico.events.event import CloudEvent
from process_apis.inventory import levels
from process_apis.inventory.app import ERP

GROUP = "inventory"


def subscriptions(durable: Durable) -> Sequence[Subscription]:
    """Return what keeps the known levels up to date."""

    async def handle(event: CloudEvent) -> None:
        known = (await durable.ready()).projections
        word = levels.level_word(event)
        source = word.value["source"]
        if source != ERP:
            # The ERP is heard of when all of it was looked at, not when a part of that arrives.
            await known.put(levels.SOURCES, [levels.source_word(source, word.value["asOf"])])
        await known.put(levels.LEVELS, [word])

    return [Subscription(group=GROUP, types=[levels.CHANGED], handle=handle)]
