"""The same tests on all logs: each group gets each event, and what fails is not lost."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

import pytest

from portico.events.bus import EventBus, Subscription
from portico.events.errors import RejectedEventError
from portico.events.event import CloudEvent, new_event
from tests.support.until import until

if TYPE_CHECKING:
    from portico.events.bus import DeadEvent

pytestmark = pytest.mark.anyio
REDELIVERY_SECONDS = 0.3


class Subscriber:
    """Notes what it gets; fails as it is told."""

    def __init__(
        self, group: str, event_type: str, *, failing: type[Exception] | None = None
    ) -> None:
        self.got: list[CloudEvent] = []
        self.failing = failing
        self.subscription = Subscription(
            group=group,
            types=[event_type],
            handle=self.handle,
            max_deliveries=2,
            redelivery_seconds=REDELIVERY_SECONDS,
        )

    async def handle(self, event: CloudEvent) -> None:
        self.got.append(event)
        if self.failing is not None:
            raise self.failing("the shelf is full")

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.got]


def event(event_type: str, name: str) -> CloudEvent:
    return new_event(event_type, "/tests", {"of": name}, event_id=f"{event_type}-{name}")


async def dead_of(bus: EventBus, event_type: str) -> list[DeadEvent]:
    return [found for found in await bus.log.dead() if found.event_type == event_type]


async def test_each_group_gets_each_event_in_order(bus: EventBus, event_type: str) -> None:
    one, two = Subscriber("one", event_type), Subscriber("two", event_type)
    events = [event(event_type, str(number)) for number in range(5)]

    async with bus.subscribed(one.subscription), bus.subscribed(two.subscription):
        for published in events:
            await bus.publish(published)
        await until(lambda: len(one.got) == len(two.got) == 5)

    assert one.got == two.got == events


async def test_the_members_of_a_group_share_its_events(bus: EventBus, event_type: str) -> None:
    left, right = Subscriber("group", event_type), Subscriber("group", event_type)
    ids = {event(event_type, str(number)).id for number in range(20)}

    async with bus.subscribed(left.subscription), bus.subscribed(right.subscription):
        for number in range(20):
            await bus.publish(event(event_type, str(number)))
        await until(lambda: len(left.got) + len(right.got) >= 20)
        await asyncio.sleep(REDELIVERY_SECONDS)

    assert sorted(left.ids + right.ids) == sorted(ids)


async def test_an_event_published_twice_is_handled_once(bus: EventBus, event_type: str) -> None:
    """Source and id are what makes it the same event (CE-05)."""
    subscriber = Subscriber("group", event_type)
    same, other = event(event_type, "same"), event(event_type, "other")

    async with bus.subscribed(subscriber.subscription):
        await bus.publish(same)
        await bus.publish(same)
        await until(lambda: subscriber.got)
        await bus.publish(same)
        await bus.publish(other)
        await until(lambda: other in subscriber.got)

    assert subscriber.got == [same, other]


async def test_events_wait_for_a_group_that_is_away(bus: EventBus, event_type: str) -> None:
    subscriber = Subscriber("group", event_type)
    async with bus.subscribed(subscriber.subscription):
        pass

    await bus.publish(event(event_type, "meanwhile"))
    async with bus.subscribed(subscriber.subscription):
        await until(lambda: subscriber.got)

    assert subscriber.ids == [f"{event_type}-meanwhile"]


async def test_a_failed_event_comes_again_and_then_is_a_dead_letter(
    bus: EventBus, event_type: str
) -> None:
    subscriber = Subscriber("group", event_type, failing=ValueError)
    failed = event(event_type, "failed")

    async with bus.subscribed(subscriber.subscription):
        await bus.publish(failed)
        await until(lambda: dead_of(bus, event_type))

    (dead,) = await dead_of(bus, event_type)
    assert subscriber.got == [failed, failed]
    assert (dead.group, dead.deliveries) == ("group", 2)
    assert dead.error == "ValueError: the shelf is full"
    assert b'"of":"failed"' in dead.payload


async def test_a_rejected_event_is_a_dead_letter_at_once(bus: EventBus, event_type: str) -> None:
    subscriber = Subscriber("group", event_type, failing=RejectedEventError)

    async with bus.subscribed(subscriber.subscription):
        await bus.publish(event(event_type, "no"))
        await until(lambda: dead_of(bus, event_type))

    assert len(subscriber.got) == 1


async def test_an_event_a_subscriber_took_and_never_finished_goes_to_another(
    bus: EventBus, event_type: str
) -> None:
    hanging = asyncio.Event()

    async def hang(_: CloudEvent) -> None:
        hanging.set()
        await asyncio.sleep(60)

    gone = Subscription(group="group", types=[event_type], handle=hang, redelivery_seconds=0.3)
    heir = Subscriber("group", event_type)
    async with bus.subscribed(gone):
        await bus.publish(event(event_type, "taken"))
        await hanging.wait()
    async with bus.subscribed(heir.subscription):
        await until(lambda: heir.got)

    assert heir.ids == [f"{event_type}-taken"]


async def test_an_event_that_ends_its_subscriber_each_time_becomes_a_dead_letter(
    bus: EventBus, event_type: str
) -> None:
    await bus.log.open_group(event_type, "group", REDELIVERY_SECONDS)
    await bus.publish(event(event_type, "poison"))
    for _ in range(2):
        await until(lambda: bus.log.take(event_type, "group", 1, REDELIVERY_SECONDS))
    survivor = Subscriber("group", event_type)

    async with bus.subscribed(survivor.subscription):
        await until(lambda: dead_of(bus, event_type))

    (dead,) = await dead_of(bus, event_type)
    assert survivor.got == []
    assert dead.error == "the subscriber ended each time it handled the event"


async def test_a_dead_letter_is_replayed_for_its_group_alone(
    bus: EventBus, event_type: str
) -> None:
    broken = Subscriber("broken", event_type, failing=RejectedEventError)
    fine = Subscriber("fine", event_type)

    async with bus.subscribed(broken.subscription), bus.subscribed(fine.subscription):
        await bus.publish(event(event_type, "one"))
        (dead,) = await until(lambda: dead_of(bus, event_type))
        broken.failing = None
        replayed = await bus.log.revive(dead.dead_id)
        await until(lambda: len(broken.got) == 2)
        await bus.publish(event(event_type, "two"))
        await until(lambda: len(fine.got) == 2)

    assert replayed is True
    assert broken.ids[0] == broken.ids[1] == f"{event_type}-one"
    assert fine.ids == [f"{event_type}-one", f"{event_type}-two"]
    assert await dead_of(bus, event_type) == []
    assert await bus.log.revive(dead.dead_id) is False


async def test_a_discarded_dead_letter_is_gone(bus: EventBus, event_type: str) -> None:
    subscriber = Subscriber("group", event_type, failing=RejectedEventError)

    async with bus.subscribed(subscriber.subscription):
        await bus.publish(event(event_type, "no"))
        (dead,) = await until(lambda: dead_of(bus, event_type))

    assert await bus.log.discard(dead.dead_id) is True
    assert await bus.log.discard(dead.dead_id) is False
    assert await dead_of(bus, event_type) == []


async def test_dead_letters_are_read_page_by_page(bus: EventBus, event_type: str) -> None:
    """Types have lists of their own in some brokers; pages go through all of them in order."""
    other = f"{event_type}.else"
    for name in (event_type, other):
        await bus.log.open_group(name, "group", REDELIVERY_SECONDS)
    for number in range(7):
        name = other if number % 3 == 1 else event_type
        await bus.publish(event(name, str(number)))
        (delivery,) = await until(partial(bus.log.take, name, "group", 1, REDELIVERY_SECONDS))
        await bus.log.bury("group", delivery, "no")
    everything = [one.dead_id for one in await bus.log.dead()]

    read: list[str] = []
    while page := await bus.log.dead(after=read[-1] if read else "", limit=3):
        assert len(page) <= 3
        read += [one.dead_id for one in page]
    gone = everything[len(everything) // 2]
    await bus.log.discard(gone)

    assert len(everything) >= 7
    assert read == everything
    assert [one.dead_id for one in await bus.log.dead()] == [
        name for name in everything if name != gone
    ]
    assert await bus.log.find_dead(gone) is None
    found = await bus.log.find_dead(everything[0])
    assert found is not None
    assert found.dead_id == everything[0]


@pytest.mark.parametrize("dead_id", ["", "0", "none", "9" * 30, "a@b", "@1-1", "a.b@1-1", "-1"])
async def test_an_id_of_no_dead_letter_finds_nothing(bus: EventBus, dead_id: str) -> None:
    assert await bus.log.find_dead(dead_id) is None
    assert await bus.log.revive(dead_id) is False
    assert await bus.log.discard(dead_id) is False


async def test_what_is_no_event_is_a_dead_letter(bus: EventBus, event_type: str) -> None:
    subscriber = Subscriber("group", event_type)

    async with bus.subscribed(subscriber.subscription):
        await bus.log.append(event_type, "noise", b"not an event")
        (dead,) = await until(lambda: dead_of(bus, event_type))

    assert subscriber.got == []
    assert dead.payload == b"not an event"


async def test_a_subscriber_that_is_cancelled_keeps_nothing_running(
    bus: EventBus, event_type: str
) -> None:
    before = asyncio.all_tasks()

    with contextlib.suppress(ZeroDivisionError):
        async with bus.subscribed(Subscriber("group", event_type).subscription):
            raise ZeroDivisionError

    assert {task for task in asyncio.all_tasks() - before if "events" in task.get_name()} == set()


async def test_a_cancellation_is_not_lost_when_the_broker_answers_at_that_moment(
    bus: EventBus, event_type: str
) -> None:
    for turns in range(150):
        task = asyncio.create_task(bus.log.remember("one", f"{event_type}-{turns}", 10.0))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_over = task.done()
        task.cancel()
        await asyncio.wait([task])

        assert was_over or task.cancelled(), f"after {turns} turns of the loop"
