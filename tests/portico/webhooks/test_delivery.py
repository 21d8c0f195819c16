"""Deliveries to subscribers: WH-03 to WH-05, order, disabling, dead letters and replays."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from portico.events.event import CloudEvent, new_event
from portico.webhooks import retry
from portico.webhooks.delivery import MAX_PAYLOAD_BYTES, NAME, Deliveries
from portico.webhooks.standard import STANDARD, decode_secret, decode_signing_secret
from portico.webhooks.subscribers import Subscriber, Subscribers
from portico.workflow.database import WorkflowDatabase
from portico.workflow.engine import open_workflows
from tests.portico.webhooks.test_egress import egress, receiver
from tests.support.until import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from portico.workflow.workflows import Workflows

pytestmark = pytest.mark.anyio
MADE = "test.thing.made"
SECRETS = ["whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]


@dataclass
class Receiver:
    """A receiver: notes what comes, answers as it is told."""

    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        fields = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((fields, await request.read()))
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers=self.headers)

    @property
    def names(self) -> list[str]:
        return [json.loads(body)["data"]["of"] for _, body in self.got]


@dataclass
class Setting:
    """What a test works with."""

    workflows: Workflows
    subscribers: Subscribers
    receiver: Receiver
    deliveries: Deliveries
    replayed: set[str]

    async def publish(self, *events: CloudEvent) -> None:
        handle = self.deliveries.subscription(self.workflows).handle
        for event in events:
            await handle(event)

    async def ended(self, count: int = 1) -> list[Any]:
        """Return all deliveries once so many have come to an end."""

        async def all_ended() -> list[Any] | None:
            from dbos import DBOS

            found = await DBOS.list_workflows_async(name=NAME)
            done = [status for status in found if status.status in {"SUCCESS", "ERROR"}]
            return done if len(done) >= count else None

        found: list[Any] = await until(all_ended)
        return found


def quick(attempt: int, retry_after_seconds: float = 0.0) -> float | None:
    """Return the schedule of a test: three attempts."""
    del retry_after_seconds
    return (0.0, 0.05, 0.05)[attempt] if attempt < 3 else None


@contextlib.asynccontextmanager
async def setting(
    folder: Path, answers: Receiver, *, ordered: bool = False, secrets: int = 1
) -> AsyncIterator[Setting]:
    database = WorkflowDatabase.in_folder(folder)
    own = database.open()
    replayed: set[str] = set()

    async def was_replayed(workflow_id: str) -> bool:
        return workflow_id in replayed

    async with receiver(answers.handle) as port, egress() as opened:
        subscriber = Subscriber(
            name="partner",
            url=f"http://127.0.0.1:{port}/hook",
            types=[MADE],
            secrets=[decode_signing_secret(text) for text in SECRETS[:secrets]],
            ordered=ordered,
        )
        subscribers = Subscribers(database, own, [subscriber])
        deliveries = Deliveries(subscribers, opened, was_replayed, delay=quick)
        async with open_workflows(database, [deliveries.workflow]) as workflows:
            yield Setting(workflows, subscribers, answers, deliveries, replayed)
    await own.dispose()


def made(name: str, number: int = 0) -> CloudEvent:
    event = new_event(MADE, "/tests", {"of": name}, event_id=name)
    time = f"2026-11-27T12:00:00.{number:03}Z"
    return CloudEvent(id=event.id, source=event.source, type=event.type, data=event.data, time=time)


async def test_WH_01_an_event_arrives_signed(tmp_path: Path) -> None:  # noqa: N802
    async with setting(tmp_path, Receiver()) as here:
        await here.publish(made("one"))
        await here.ended()

    ((headers, body),) = here.receiver.got
    at = float(headers["webhook-timestamp"])
    received = STANDARD.verify(headers, body, [decode_secret(SECRETS[0])], at)
    assert received.delivery_id == headers["webhook-id"]
    assert received.topic == MADE
    assert "webhook-replayed" not in headers


async def test_WH_03_while_secrets_rotate_both_have_signed(tmp_path: Path) -> None:  # noqa: N802
    async with setting(tmp_path, Receiver(), secrets=2) as here:
        await here.publish(made("one"))
        await here.ended()

    ((headers, body),) = here.receiver.got
    for secret in SECRETS:
        at = float(headers["webhook-timestamp"])
        assert STANDARD.verify(headers, body, [decode_secret(secret)], at).delivery_id


@pytest.mark.parametrize("status", [500, 302, 400, 429, 503])
async def test_WH_04_anything_but_2xx_is_tried_again_under_the_same_id(  # noqa: N802
    tmp_path: Path, status: int
) -> None:
    async with setting(tmp_path, Receiver(statuses=[status])) as here:
        await here.publish(made("one"))
        (delivery,) = await here.ended()

    ids = {headers["webhook-id"] for headers, _ in here.receiver.got}
    assert len(here.receiver.got) == 2
    assert len(ids) == 1
    assert delivery.output == {"attempts": 2, "status": 204}


def test_WH_04_the_schedule_lasts_for_three_days() -> None:  # noqa: N802
    delays = [retry.delay_before(attempt) for attempt in range(10)]

    assert delays[0] == 0.0
    for planned, delay in zip(retry.DELAYS_SECONDS[1:], delays[1:], strict=True):
        assert delay is not None
        assert planned <= delay <= planned * 1.2
    assert sum(retry.DELAYS_SECONDS) == 75 * 3600 + 35 * 60 + 5
    assert retry.delay_before(10) is None


def test_WH_04_a_receiver_may_ask_for_patience() -> None:  # noqa: N802
    assert retry.delay_before(1, 100.0) == 100.0
    assert retry.delay_before(1, 1e9) == 86_400.0
    later = retry.delay_before(9, 100.0)
    assert later is not None
    assert later >= 86_400.0


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7.0), ("Fri, 27 Nov 2026 12:00:30 GMT", 30.0), ("soon", 0.0), ("", 0.0), ("-5", 0.0)],
)
async def test_WH_04_retry_after_is_read(  # noqa: N802
    tmp_path: Path, retry_after: str, seconds: float
) -> None:
    asked: list[float] = []

    def delay(attempt: int, retry_after_seconds: float) -> float | None:
        asked.append(retry_after_seconds)
        return quick(attempt)

    answers = Receiver(statuses=[503], headers={"retry-after": retry_after})
    async with setting(tmp_path, answers) as here:
        object.__setattr__(here.deliveries, "delay", delay)
        object.__setattr__(here.deliveries, "clock", lambda: 1795780800.0)
        await here.publish(made("one"))
        await here.ended()

    assert asked == [seconds]


async def test_WH_04_what_never_arrives_is_a_dead_letter_and_disables(tmp_path: Path) -> None:  # noqa: N802
    async with setting(tmp_path, Receiver(statuses=[500] * 9)) as here:
        await here.publish(made("one"))
        await here.ended()
        (dead,) = await here.workflows.list_dead(NAME)
        disabled = await here.subscribers.disabled()

    assert dead.error == "webhook partner: the receiver answered 500"
    assert len(here.receiver.got) == 3
    assert disabled == {"partner": "the receiver answered 500"}


async def test_WH_04_gone_disables_at_once(tmp_path: Path) -> None:  # noqa: N802
    async with setting(tmp_path, Receiver(statuses=[410])) as here:
        await here.publish(made("one"))
        await here.ended()
        await here.publish(made("two"))
        await here.ended(2)
        disabled = await here.subscribers.disabled()

    assert len(here.receiver.got) == 1, "nothing more is sent"
    assert disabled == {"partner": "the receiver answered 410"}


async def test_a_replay_keeps_the_id_and_says_that_it_is_one(tmp_path: Path) -> None:
    async with setting(tmp_path, Receiver(statuses=[410])) as here:
        await here.publish(made("one"))
        await here.ended()
        (dead,) = await here.workflows.list_dead(NAME)
        await here.subscribers.enable("partner")
        here.replayed.add(dead.workflow_id)
        await here.workflows.replay(dead.workflow_id)
        await until(lambda: len(here.receiver.got) == 2)
        await here.ended()

    (first, _), (second, body) = here.receiver.got
    assert first["webhook-id"] == second["webhook-id"]
    assert second["webhook-replayed"] == "true"
    at = float(second["webhook-timestamp"])
    assert STANDARD.verify(second, body, [decode_secret(SECRETS[0])], at).delivery_id


async def test_WH_05_a_payload_has_type_timestamp_and_data(tmp_path: Path) -> None:  # noqa: N802
    async with setting(tmp_path, Receiver()) as here:
        await here.publish(made("one"))
        await here.ended()

    ((headers, body),) = here.receiver.got
    assert json.loads(body) == {
        "type": MADE,
        "timestamp": "2026-11-27T12:00:00.000Z",
        "data": {"of": "one"},
    }
    assert headers["content-type"] == "application/json"


async def test_WH_05_a_payload_that_is_too_large_is_a_dead_letter(tmp_path: Path) -> None:  # noqa: N802
    async with setting(tmp_path, Receiver()) as here:
        await here.publish(new_event(MADE, "/tests", {"of": "x" * MAX_PAYLOAD_BYTES}))
        await here.ended()
        (dead,) = await here.workflows.list_dead(NAME)
        disabled = await here.subscribers.disabled()

    assert "bytes" in dead.error
    assert here.receiver.got == []
    assert disabled == {}, "it is not the receiver's fault"


async def test_an_event_that_comes_twice_is_delivered_once(tmp_path: Path) -> None:
    async with setting(tmp_path, Receiver()) as here:
        await here.publish(made("one"), made("one"))
        await here.ended()
        await here.publish(made("one"))
        await asyncio.sleep(0.2)

    assert here.receiver.names == ["one"]


async def test_an_ordered_subscriber_gets_nothing_before_what_failed(tmp_path: Path) -> None:
    async with setting(tmp_path, Receiver(statuses=[500, 500]), ordered=True) as here:
        await here.publish(*(made(str(number), number) for number in range(3)))
        await here.ended(3)

    assert here.receiver.names == ["0", "0", "0", "1", "2"]


async def test_DUR_05_what_comes_within_a_second_is_delivered_in_the_order_it_happened(  # noqa: N802
    tmp_path: Path,
) -> None:
    """The journal's clock may have seconds only: then the ids decide, and they begin with the time.

    The names would sort the other way.
    """
    names = ["e", "d", "c", "b", "a"]
    async with setting(tmp_path, Receiver(), ordered=True) as here:
        await here.publish(*(made(name, number) for number, name in enumerate(names)))
        await here.ended(len(names))

    assert here.receiver.names == names


async def test_a_parallel_subscriber_gets_the_others_meanwhile(tmp_path: Path) -> None:
    async with setting(tmp_path, Receiver(statuses=[500])) as here:
        await here.publish(made("first"))
        await until(lambda: here.receiver.got)
        await here.publish(made("second"))
        await here.ended(2)

    assert sorted(here.receiver.names) == ["first", "first", "second"]


async def test_an_address_that_leads_inside_is_a_dead_letter(tmp_path: Path) -> None:
    async with setting(tmp_path, Receiver()) as here:
        inside = Subscriber(
            name="partner", url="https://10.0.0.1/", types=[MADE], secrets=[b"s" + b"x" * 32]
        )
        object.__setattr__(here.subscribers, "by_name", {"partner": inside})
        await here.publish(made("one"))
        await here.ended()
        (dead,) = await here.workflows.list_dead(NAME)

    assert dead.error == "webhook partner: 10.0.0.1 is not a public address"
