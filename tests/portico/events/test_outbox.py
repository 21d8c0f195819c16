"""The outbox: an event is there with its step or not at all, and reaches the bus in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portico.events.bus import EventBus, Subscription
from portico.events.contracts import EventContracts, load_events
from portico.events.errors import (
    BusUnavailableError,
    EventContractError,
    MalformedEventError,
    UnknownEventError,
)
from portico.events.event import CloudEvent, new_event
from portico.events.memory import MemoryLog
from portico.events.outbox import MAX_PUBLISHED_BYTES, Outbox
from portico.workflow.database import WorkflowDatabase
from portico.workflow.definition import Workflow
from portico.workflow.engine import open_workflows
from tests.portico.workflow.waiting import reached
from tests.support.until import until

if TYPE_CHECKING:
    from portico.workflow.workflows import Workflows
    from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
MADE = "test.thing.made"
CONTRACT = """\
asyncapi: 3.1.0
info: {title: Things, version: 1.0.0}
x-owner: tests
channels:
  things: {address: things, messages: {made: {$ref: '#/components/messages/Made'}}}
operations:
  sendMade: {action: send, channel: {$ref: '#/channels/things'}}
components:
  messages:
    Made:
      name: test.thing.made
      payload: {type: object, required: [of], properties: {of: {type: string}}}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> WorkflowDatabase:
    if request.param == "sqlite":
        return WorkflowDatabase.in_folder(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return WorkflowDatabase.parse(server.new_database())


@pytest.fixture
def contracts(tmp_path: Path) -> EventContracts:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "things.v1.yaml").write_text(CONTRACT)
    return load_events(tmp_path / "events")


class Bus:
    """Notes what it gets; is away when it is told."""

    def __init__(self) -> None:
        self.got: list[CloudEvent] = []
        self.room = 1_000_000

    async def publish(self, event: CloudEvent) -> None:
        if not self.room:
            raise BusUnavailableError("away")
        self.room -= 1
        self.got.append(event)

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.got]


def made(name: str) -> CloudEvent:
    return new_event(MADE, "/tests", {"of": name}, event_id=name)


def outbox_of(database: WorkflowDatabase, workflows: Workflows, known: EventContracts) -> Outbox:
    return Outbox(database, workflows.transactions, known)


async def test_a_workflow_publishes_once_however_often_it_runs(
    database: WorkflowDatabase, contracts: EventContracts
) -> None:
    crash = True
    outbox: Outbox

    async def run(payload: Any) -> None:
        nonlocal crash
        # The id is another one each time the code runs; the step makes it count once.
        await outbox.publish(new_event(MADE, "/tests", {"of": payload}))
        if crash:
            crash = False
            raise RuntimeError("after publishing")

    bus = Bus()
    async with open_workflows(database, [Workflow(name="make.v1", run=run)]) as workflows:
        outbox = outbox_of(database, workflows, contracts)
        await workflows.start("w-1", "make.v1", "one")
        await reached(workflows, "w-1", "dead")
        await workflows.replay("w-1")
        state = await reached(workflows, "w-1", "succeeded")
        await outbox.send_batch(bus)
        again = await outbox.send_batch(bus)

    assert [event.data for event in bus.got] == [{"of": "one"}]
    assert [step.name for step in state.steps] == [f"publish {MADE}"]
    assert again == 0


async def test_what_a_failed_transaction_would_publish_is_not_there(
    database: WorkflowDatabase, contracts: EventContracts
) -> None:
    bus = Bus()
    async with open_workflows(database, []) as workflows:
        outbox = outbox_of(database, workflows, contracts)

        async def write(session: Any) -> None:
            await outbox.add(session, made("never"))
            raise ValueError("the write failed")

        with pytest.raises(ValueError, match="the write failed"):
            await workflows.transactions.run("write", write)
        sent = await outbox.send_batch(bus)

    assert (sent, bus.got) == (0, [])


async def test_events_wait_in_order_while_the_bus_is_away(
    database: WorkflowDatabase, contracts: EventContracts
) -> None:
    bus = Bus()
    bus.room = 2
    async with open_workflows(database, []) as workflows:
        outbox = outbox_of(database, workflows, contracts)
        for number in range(5):
            await outbox.publish(made(str(number)))
        with pytest.raises(BusUnavailableError):
            await outbox.send_batch(bus)
        first = bus.ids
        bus.room = 10
        await outbox.send_batch(bus)

    assert first == ["0", "1"]
    assert bus.ids == ["0", "1", "2", "3", "4"]


async def test_one_event_is_kept_once(
    database: WorkflowDatabase, contracts: EventContracts
) -> None:
    bus = Bus()
    async with open_workflows(database, []) as workflows:
        outbox = outbox_of(database, workflows, contracts)
        await outbox.publish(made("same"))
        await outbox.publish(made("same"))
        await outbox.send_batch(bus)

    assert bus.ids == ["same"]


async def test_a_batch_another_process_has_is_left_to_it(
    database: WorkflowDatabase, contracts: EventContracts
) -> None:
    async with open_workflows(database, []) as workflows:
        one, two = (outbox_of(database, workflows, contracts) for _ in range(2))
        await one.publish(made("0"))
        claimed = await one._claim()
        await two.publish(made("1"))
        bus = Bus()
        sent = await two.send_batch(bus)

    assert [text[1] for text in claimed]
    assert (sent, bus.got) == (0, []), "the order would be another one"


async def test_what_is_published_reaches_subscribers(
    tmp_path: Path, contracts: EventContracts
) -> None:
    got: list[CloudEvent] = []

    async def handle(event: CloudEvent) -> None:
        got.append(event)

    database = WorkflowDatabase.in_folder(tmp_path)
    bus = EventBus(MemoryLog())
    subscription = Subscription(group="group", types=[MADE], handle=handle)
    async with open_workflows(database, []) as workflows:
        outbox = outbox_of(database, workflows, contracts)
        async with bus.subscribed(subscription), outbox.sending(bus):
            await outbox.publish(made("news"))
            await until(lambda: got)

    assert [event.id for event in got] == ["news"]


async def test_what_no_contract_allows_is_not_published(
    tmp_path: Path, contracts: EventContracts
) -> None:
    async with open_workflows(WorkflowDatabase.in_folder(tmp_path), []) as workflows:
        outbox = outbox_of(WorkflowDatabase.in_folder(tmp_path), workflows, contracts)
        with pytest.raises(UnknownEventError):
            await outbox.publish(new_event("test.other", "/tests", {}))
        with pytest.raises(EventContractError):
            await outbox.publish(new_event(MADE, "/tests", {"of": 7}))
        with pytest.raises(MalformedEventError, match="bytes"):
            await outbox.publish(new_event(MADE, "/tests", {"of": "x" * MAX_PUBLISHED_BYTES}))
        sent = await outbox.send_batch(Bus())

    assert sent == 0
