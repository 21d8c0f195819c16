"""Dead letters of all kinds in one place; people are told of each trouble once."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import socketserver
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from portico.dead_letters.audit import Audit
from portico.dead_letters.channels import LogChannel, MailChannel, SlackChannel, WebhookChannel
from portico.dead_letters.desk import Desk
from portico.dead_letters.incidents import Alert, Watcher
from portico.dead_letters.letter import DeadLetter
from portico.dead_letters.place import START, Place
from portico.events.bus import EventBus, Subscription
from portico.events.errors import RejectedEventError
from portico.events.event import CloudEvent, new_event
from portico.events.memory import MemoryLog
from portico.webhooks.standard import STANDARD, decode_secret, decode_signing_secret
from portico.workflow.database import WorkflowDatabase
from portico.workflow.definition import Workflow
from portico.workflow.engine import open_workflows
from portico.workflow.errors import DeadLetterError
from tests.portico.webhooks.test_egress import egress, receiver
from tests.portico.workflow.waiting import reached
from tests.support.until import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
MADE = "test.thing.made"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@dataclass
class Setting:
    """A desk with a workflow and a subscriber that fail as long as they are broken."""

    database: WorkflowDatabase
    desk: Desk
    bus: EventBus
    broken: bool = True
    handled: list[str] = field(default_factory=list)

    async def run(self, payload: Any) -> str:
        if self.broken:
            raise DeadLetterError(f"order {payload['of']} was refused with 503", system="ledger")
        return "done"

    async def handle(self, event: CloudEvent) -> None:
        if self.broken:
            raise RejectedEventError("no such thing")
        self.handled.append(event.id)

    async def die(self, *names: str) -> None:
        """Make a dead letter of each name."""
        for name in names:
            await self.desk.workflows.start(name, "sale.v1", {"of": name})
            await reached(self.desk.workflows, name, "dead")

    async def letters(self) -> list[DeadLetter]:
        return [letter async for letter in self.desk.each()]

    def watcher(self, *channels: Any) -> Watcher:
        return Watcher(
            self.desk,
            self.database,
            self.desk.workflows.transactions.engine,
            channels,
            "https://runbooks.test/dead-letters",
        )


@pytest.fixture(params=["sqlite", "postgresql"])
async def setting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Setting]:
    database = WorkflowDatabase.in_folder(tmp_path)
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = WorkflowDatabase.parse(server.new_database())
    here: Setting

    async def run(payload: Any) -> Any:
        return await here.run(payload)

    log = MemoryLog()
    bus = EventBus(log)
    async with open_workflows(database, [Workflow(name="sale.v1", run=run)]) as workflows:
        desk = Desk(workflows, log, Audit(workflows.transactions.engine))
        here = Setting(database, desk, bus)
        wanted = Subscription(group="stock", types=[MADE], handle=here.handle)
        async with bus.subscribed(wanted):
            yield here


class Told:
    """A channel that notes what it was told; it fails as often as it is told."""

    def __init__(self, name: str = "told", failures: int = 0) -> None:
        self.name = name
        self.failures = failures
        self.alerts: list[Alert] = []

    async def tell(self, alert: Alert) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("no line")
        self.alerts.append(alert)


async def test_workflows_and_events_are_on_one_list(setting: Setting) -> None:
    await setting.die("w-1")
    await setting.bus.publish(new_event(MADE, "/tests", {"of": "e"}, event_id="e-1"))
    await until(setting.desk.log.dead)

    letters = await setting.letters()

    assert sorted((letter.kind, letter.name, letter.cause) for letter in letters) == [
        ("event", f"stock {MADE}", "no such thing"),
        ("workflow", "sale.v1", "ledger: order w-1 was refused with 503"),
    ]
    only_events = await setting.desk.page(limit=10, kind="event")
    assert [letter.kind for letter in only_events.letters] == ["event"]
    for letter in letters:
        assert await setting.desk.find(letter.letter_id) == letter


async def test_pages_have_every_letter_once_in_the_order_they_died(setting: Setting) -> None:
    """Several die within one tick of the database's clock; events and workflows are in turns."""
    for number in range(4):
        await setting.die(*(f"w-{number}-{index}" for index in range(3)))
        await setting.bus.publish(new_event(MADE, "/tests", {}, event_id=f"e-{number}"))
        await until(partial(_more_events_than, setting, number))
    everything = await setting.letters()

    pages, place = [], START
    while True:
        page = await setting.desk.page(place, limit=5)
        pages.append(page.letters)
        if page.following is None:
            break
        place = Place.parse(page.following.cursor)

    assert [len(page) for page in pages] == [5, 5, 5, 1]
    assert [letter for page in pages for letter in page] == everything
    assert len({letter.letter_id for letter in everything}) == 16
    assert sorted(everything, key=lambda letter: letter.died_at) == everything


async def _more_events_than(setting: Setting, count: int) -> bool:
    return len(await setting.desk.log.dead()) > count


async def test_pages_go_on_where_they_were_when_letters_go_meanwhile(setting: Setting) -> None:
    await setting.die("w-1", "w-2", "w-3")
    first = await setting.desk.page(limit=2)
    await setting.desk.discard(first.letters[0].letter_id, "ada", "a test")
    await setting.desk.discard(first.letters[1].letter_id, "ada", "a test")
    assert first.following is not None

    second = await setting.desk.page(first.following, limit=2)

    assert [letter.letter_id for letter in second.letters] == ["workflow:w-3"]
    assert second.following is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("order 100 is away", "order 101 is away", True),
        ("order w-412 is away", "order w-503 is away", True),
        ("order 0f343b0931 is away", "order 1a343b0932 is away", True),
        ("it answered 503", "it answered 422", False),
        ("it answered 503 for 17", "it answered 503 for 18", True),
    ],
)
def test_letters_of_one_cause_are_one_incident_whatever_they_are_about(
    one: str, other: str, same: bool
) -> None:
    letters = [
        DeadLetter(
            letter_id="workflow:w",
            kind="workflow",
            name="sale.v1",
            cause=cause,
            attempts=1,
            died_at=dt.datetime.now(dt.UTC),
            payload=None,
        )
        for cause in (one, other)
    ]

    assert (letters[0].incident_id == letters[1].incident_id) is same


async def test_an_incident_has_more_letters_than_one_batch(setting: Setting) -> None:
    names = [f"w-{number}" for number in range(260)]
    for name in names:
        await setting.desk.workflows.start(name, "sale.v1", {"of": name})
    for name in names:
        await reached(setting.desk.workflows, name, "dead")
    told = Told()

    await setting.watcher(told).look()

    (alert,) = told.alerts
    assert alert.letters == 260
    page = await setting.desk.page(limit=100, incident_id=alert.incident_id)
    assert len(page.letters) == 100
    assert page.following is not None


@pytest.mark.parametrize("cursor", ["", "x", "bnVsbA", "WzEsMl0", "WyJhIiwgIiIsICIiXQ", "W10"])
def test_a_cursor_that_was_never_given_out_is_an_error(cursor: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # its kind is all that is promised
        Place.parse(cursor)


async def test_a_replay_is_done_and_audited(setting: Setting) -> None:
    await setting.die("w-1")
    await setting.bus.publish(new_event(MADE, "/tests", {}, event_id="e-1"))
    await until(setting.desk.log.dead)
    setting.broken = False

    for letter in await setting.letters():
        assert await setting.desk.replay(letter.letter_id, "ada")
    await reached(setting.desk.workflows, "w-1", "succeeded")
    await until(lambda: setting.handled)

    (entry,) = await setting.desk.history("workflow:w-1")
    assert (entry.actor, entry.action) == ("ada", "replay")
    assert entry.detail == "ledger: order w-1 was refused with 503"
    assert await setting.desk.audit.was_replayed("workflow:w-1")
    assert await setting.letters() == []


async def test_what_is_given_up_is_gone_with_its_reason_on_record(setting: Setting) -> None:
    await setting.die("w-1")

    assert await setting.desk.discard("workflow:w-1", "ada", "it was a test")

    (entry,) = await setting.desk.history("workflow:w-1")
    assert (entry.action, entry.actor) == ("discard", "ada")
    assert entry.detail.startswith("it was a test")
    assert await setting.letters() == []


@pytest.mark.parametrize("letter_id", ["workflow:none", "event:none", "webhook:w-1", "", "none"])
async def test_what_is_no_dead_letter_is_not_touched(setting: Setting, letter_id: str) -> None:
    await setting.die("w-1")

    assert await setting.desk.find(letter_id) is None
    assert await setting.desk.replay(letter_id, "ada") is False
    assert await setting.desk.discard(letter_id, "ada", "") is False
    assert list(await setting.desk.history(letter_id)) == []


async def test_people_are_told_of_one_trouble_once(setting: Setting) -> None:
    """Two processes look again and again; a hundred letters of one cause are one incident."""
    told = Told()
    await setting.die("w-1", "w-2", "w-3")

    for watcher in (setting.watcher(told), setting.watcher(told)) * 2:
        await watcher.look()

    (alert,) = told.alerts
    assert alert.letters == 3
    assert alert.cause == "ledger: order w-1 was refused with 503"
    assert alert.replay_command == f"portico dlq replay --incident {alert.incident_id}"
    assert alert.runbook_url == "https://runbooks.test/dead-letters"
    for fact in (alert.cause, alert.runbook_url, alert.replay_command):
        assert fact in alert.text


async def test_a_trouble_that_comes_back_is_told_again(setting: Setting) -> None:
    told = Told()
    watcher = setting.watcher(told)
    await setting.die("w-1")
    await watcher.look()
    await setting.desk.discard("workflow:w-1", "ada", "")
    await watcher.look()
    await setting.die("w-2")

    await watcher.look()

    assert [alert.first_letter_id for alert in told.alerts] == ["workflow:w-1", "workflow:w-2"]


async def test_a_second_look_finds_what_died_since_the_first(setting: Setting) -> None:
    told = Told()
    watcher = setting.watcher(told)
    await setting.die("w-1")
    await watcher.look()
    await setting.bus.publish(new_event(MADE, "/tests", {"of": "e"}, event_id="e-1"))
    await until(setting.desk.log.dead)

    await watcher.look()
    await watcher.look()

    assert [alert.kind for alert in told.alerts] == ["workflow", "event"]


async def test_a_channel_that_failed_is_tried_again_and_the_others_are_not(
    setting: Setting,
) -> None:
    fine, weak = Told("fine"), Told("weak", failures=1)
    watcher = setting.watcher(fine, weak)
    await setting.die("w-1")
    await watcher.look()
    engine = setting.desk.workflows.transactions.engine
    async with engine.begin() as connection:  # as if the half minute were over
        await connection.exec_driver_sql("update portico_incident set claimed_until = 0")

    await watcher.look()

    assert (len(fine.alerts), len(weak.alerts)) == (1, 1)


async def test_two_causes_are_two_incidents(setting: Setting) -> None:
    told = Told()
    await setting.die("w-1")
    await setting.bus.publish(new_event(MADE, "/tests", {}, event_id="e-1"))
    await until(setting.desk.log.dead)

    await setting.watcher(told).look()

    assert sorted(alert.kind for alert in told.alerts) == ["event", "workflow"]


ALERT = Alert(
    incident_id="abc",
    kind="workflow",
    name="sale.v1",
    cause="ledger: refused",
    letters=2,
    first_letter_id="workflow:w-1",
    opened_at="2026-11-27T12:00:00+00:00",
    runbook_url="https://runbooks.test/",
    replay_command="portico dlq replay --incident abc",
)


async def test_the_log_has_the_alert_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    await LogChannel().tell(ALERT)

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "\n" not in record.getMessage()
    assert "portico dlq replay --incident abc" in record.getMessage()


async def test_an_alert_by_webhook_is_signed_and_keeps_its_id() -> None:
    got: list[tuple[dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        fields = {name.lower(): value for name, value in request.headers.items()}
        got.append((fields, await request.read()))
        return web.Response()

    async with receiver(handler) as port, egress() as opened:
        channel = WebhookChannel(
            url=f"http://127.0.0.1:{port}/",
            secrets=[decode_signing_secret(SECRET)],
            egress=opened,
        )
        await channel.tell(ALERT)
        await channel.tell(ALERT)

    names = set()
    for headers, body in got:
        at = float(headers["webhook-timestamp"])
        names.add(STANDARD.verify(headers, body, [decode_secret(SECRET)], at).delivery_id)
        assert json.loads(body)["data"]["replayCommand"] == ALERT.replay_command
    assert names == {"incident_abc_202611271200000000"}


async def test_slack_gets_the_alert_as_text() -> None:
    got: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        got.append(await request.json())
        return web.Response(text="ok")

    async with receiver(handler) as port, egress() as opened:
        channel = SlackChannel(url=f"http://127.0.0.1:{port}/services/secret", egress=opened)
        await channel.tell(ALERT)

    assert got == [{"text": ALERT.text}]
    assert "secret" not in repr(channel)


async def test_a_receiver_that_refuses_is_a_failure() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=500)

    async with receiver(handler) as port, egress() as opened:
        channel = SlackChannel(url=f"http://127.0.0.1:{port}/", egress=opened)
        with pytest.raises(Exception, match="answered 500"):
            await channel.tell(ALERT)


class _MailServer(socketserver.StreamRequestHandler):
    """As much of SMTP as a client needs to hand over a message."""

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                message = []
                for part in self.rfile:
                    if part == b".\r\n":
                        break
                    message.append(part)
                self.server.messages.append(b"".join(message).decode())  # type: ignore[attr-defined]
            if word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


@contextlib.contextmanager
def mail_server() -> Iterator[Any]:
    with socketserver.TCPServer(("127.0.0.1", 0), _MailServer) as server:
        server.messages = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_an_alert_by_mail_has_cause_runbook_and_command() -> None:
    with mail_server() as server:
        channel = MailChannel(
            host="127.0.0.1",
            port=server.server_address[1],
            sender="portico@example.com",
            recipients=["ops@example.com"],
        )
        await channel.tell(ALERT)

    (message,) = server.messages
    assert "Subject: 2 dead letters: workflow sale.v1" in message
    assert "To: ops@example.com" in message
    for fact in (ALERT.cause, ALERT.runbook_url, ALERT.replay_command):
        assert fact in message


async def test_a_mail_server_that_is_away_is_a_failure() -> None:
    channel = MailChannel(host="127.0.0.1", port=1, sender="a@b.c", recipients=["d@e.f"])

    with pytest.raises(Exception, match="refused|Connection"):
        await channel.tell(ALERT)


def test_a_password_is_not_shown() -> None:
    channel = MailChannel(
        host="h", port=1, sender="a@b.c", recipients=[], user="u", password="geheim"
    )

    assert "geheim" not in repr(channel)
