"""Opens what outlasts a request: workflows, the bus, the outbox, webhooks and alerts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path

from gateway.config import Config, ConfigError
from gateway.config.durable import Subscriber as SubscriberSettings
from gateway.config.secrets import SecretStore
from portico.dead_letters.audit import Audit
from portico.dead_letters.channels import (
    EventChannel,
    LogChannel,
    MailChannel,
    SlackChannel,
    WebhookChannel,
)
from portico.dead_letters.desk import Desk
from portico.dead_letters.incidents import Channel, Watcher
from portico.durable import Durable, DurableParts
from portico.events.bus import EventBus, Log, Subscription
from portico.events.contracts import EventContracts, load_events
from portico.events.errors import BusUnavailableError
from portico.events.memory import MemoryLog
from portico.events.outbox import Outbox
from portico.events.redis_log import RedisLog
from portico.redis.client import RedisClient
from portico.webhooks.delivery import Deliveries
from portico.webhooks.door import Door
from portico.webhooks.egress import Egress, Guard
from portico.webhooks.standard import decode_signing_secret
from portico.webhooks.subscribers import Subscriber, Subscribers
from portico.webhooks.vendors import VENDORS
from portico.workflow.database import WorkflowDatabase
from portico.workflow.definition import Schedule, Workflow
from portico.workflow.engine import WorkflowOptions, open_workflows
from portico.workflow.errors import WorkflowDatabaseError
from portico.workflow.notes import Notes
from portico.workflow.projections import Projections
from portico.workflow.watermarks import Watermarks
from portico.workflow.workflows import Workflows

_NAME = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*\Z")
# What alerts link to by default: the page of the API that dead letters are looked after with.
_REFERENCE = "/portal/apis/experience/operations.v1"
_REFERENCES = ("env:", "file:", "generated:")


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableOptions:
    """What is needed besides the configuration."""

    config: Config
    secrets: SecretStore
    redis: RedisClient | None
    contracts_root: Path
    public_url: str

    def resolve(self, text: str, where: str) -> str:
        """Return a setting that may be a reference."""
        return self.secrets.resolve(text, where) if text.startswith(_REFERENCES) else text

    def decode(
        self, references: Sequence[str], where: str, read: Callable[[str], bytes]
    ) -> list[bytes]:
        """Return secrets as their user reads them. Raises ConfigError."""
        found = []
        for reference in references:
            try:
                found.append(read(self.secrets.resolve(reference, where)))
            except ValueError as error:
                hint = "see docs/configuration.md, and correct the secret itself"
                raise ConfigError(where, f"the secret cannot be used: {error}", hint) from None
        return found


class Opened:
    """What the rest of the gateway asks: doors, and whether something is away."""

    def __init__(self, doors: Mapping[str, Door], workflows: Workflows | None) -> None:
        self.doors = doors
        self._workflows = workflows

    @property
    def missing(self) -> str:
        """Return what keeps the process from being ready, or nothing."""
        if self._workflows is None or self._workflows.available:
            return ""
        return "the workflow database cannot be reached"


NOTHING = Opened({}, None)


def event_contracts(contracts_root: Path) -> EventContracts:
    """Return the event contracts beside the HTTP contracts. Raises ContractError."""
    folder = contracts_root.parent / "events"
    return load_events(folder) if folder.is_dir() else EventContracts({})


@contextlib.asynccontextmanager
async def open_durable(
    options: DurableOptions,
    durable: Durable,
    definitions: Iterable[Workflow],
    schedules: Sequence[Schedule],
    subscriptions: Sequence[Subscription] = (),
) -> AsyncIterator[Opened]:
    """Open everything, and give it to the APIs that ask for it. Raises ConfigError."""
    config = options.config
    contracts = event_contracts(options.contracts_root)
    database = _database(options)
    async with contextlib.AsyncExitStack() as stack:
        egress = Egress(_guard(config), proxy=config.webhooks.proxy)
        stack.push_async_callback(egress.close)
        own = database.open()
        stack.push_async_callback(own.dispose)
        audit = Audit(own)
        subscribers = Subscribers(database, own, _subscribers(options, contracts))
        deliveries = Deliveries(subscribers, egress, partial(_was_replayed, audit))
        bus = EventBus(await _log(stack, options))
        workflows = await stack.enter_async_context(
            _engine(options, database, [*definitions, deliveries.workflow], schedules)
        )
        outbox = Outbox(database, workflows.transactions, contracts)
        desk = Desk(workflows, bus.log, audit)
        durable.opened(
            DurableParts(
                workflows=workflows,
                outbox=outbox,
                dead_letters=desk,
                subscribers=subscribers,
                watermarks=Watermarks(database, own),
                notes=Notes(database, own),
                projections=Projections(database, own),
            )
        )
        stack.callback(durable.closed)
        outward = [deliveries.subscription(workflows)] if subscribers.types else []
        for subscription in (*outward, *subscriptions):
            await stack.enter_async_context(bus.subscribed(subscription))
        await stack.enter_async_context(outbox.sending(bus))
        channels = _channels(options, egress, outbox)
        runbook = config.alerts.runbook_url or f"{options.public_url}{_REFERENCE}"
        watcher = Watcher(desk, database, own, channels, runbook)
        await stack.enter_async_context(watcher.watching(config.alerts.look_seconds))
        yield Opened(_doors(options, workflows), workflows)


async def _was_replayed(audit: Audit, workflow_id: str) -> bool:
    return await audit.was_replayed(f"webhook:{workflow_id}")


def _database(options: DurableOptions) -> WorkflowDatabase:
    text = options.resolve(options.config.workflows.database, "workflows.database")
    if not text:
        return WorkflowDatabase.in_folder(options.config.data / "workflows")
    try:
        return WorkflowDatabase.parse(text)
    except WorkflowDatabaseError as error:
        raise ConfigError("workflows.database", str(error), error.hint) from None


@contextlib.asynccontextmanager
async def _engine(
    options: DurableOptions,
    database: WorkflowDatabase,
    definitions: Sequence[Workflow],
    schedules: Sequence[Schedule],
) -> AsyncIterator[Workflows]:
    chosen = options.config.workflows
    try:
        async with open_workflows(
            database,
            definitions,
            options=WorkflowOptions(
                start_timeout_seconds=chosen.start_timeout_seconds,
                lease_seconds=chosen.lease_seconds,
                retention_seconds=chosen.retention_seconds,
            ),
            schedules=schedules,
        ) as workflows:
            yield workflows
    except WorkflowDatabaseError as error:
        raise ConfigError("workflows.database", str(error), error.hint) from None


async def _log(stack: contextlib.AsyncExitStack, options: DurableOptions) -> Log:
    """Return the log of the bus that is configured."""
    chosen = options.config.events
    if chosen.bus == "nats":
        if not chosen.nats_url:
            raise ConfigError("events.nats_url", "the bus is nats and has no address", "add it")
        # Imported where it is used: its client is an extra of the installation.
        from portico.events.nats_log import open_nats  # noqa: PLC0415

        url = options.resolve(chosen.nats_url, "events.nats_url")
        try:
            return await stack.enter_async_context(open_nats(url))
        except BusUnavailableError as error:
            raise ConfigError("events.nats_url", str(error), "start NATS with -js") from None
    if chosen.bus == "redis" and options.redis is not None:
        return RedisLog(options.redis)
    return MemoryLog()


def _guard(config: Config) -> Guard:
    networks = []
    for text in config.webhooks.allowed_networks:
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            hint = "write a network such as 10.1.0.0/16"
            raise ConfigError("webhooks.allowed_networks", str(error), hint) from None
    return Guard(networks)


def _subscribers(options: DurableOptions, contracts: EventContracts) -> list[Subscriber]:
    return [
        _subscriber(options, contracts, name, chosen)
        for name, chosen in options.config.webhooks.subscribers.items()
    ]


def _subscriber(
    options: DurableOptions, contracts: EventContracts, name: str, chosen: SubscriberSettings
) -> Subscriber:
    where = f"webhooks.subscribers.{name}"
    _check_name(where, name)
    unknown = sorted(set(chosen.types) - set(contracts.types))
    if unknown:
        known = ", ".join(sorted(contracts.types)) or "none yet"
        cause = f"no contract describes events of type {', '.join(unknown)}"
        raise ConfigError(f"{where}.types", cause, f"the types are {known}")
    return Subscriber(
        name=name,
        url=options.resolve(chosen.url, f"{where}.url"),
        types=tuple(chosen.types),
        secrets=options.decode(chosen.secrets, f"{where}.secrets", decode_signing_secret),
        ordered=chosen.ordered,
    )


def _doors(options: DurableOptions, workflows: Workflows) -> dict[str, Door]:
    doors = {}
    for name, chosen in options.config.webhooks.doors.items():
        where = f"webhooks.doors.{name}"
        _check_name(where, name)
        if chosen.workflow not in workflows.names:
            known = ", ".join(workflows.names)
            cause = f"there is no workflow {chosen.workflow}"
            raise ConfigError(f"{where}.workflow", cause, f"the workflows are {known}")
        vendor = VENDORS[chosen.vendor]
        if chosen.origins and not vendor.has_handshake:
            cause = f"{chosen.vendor} does not ask whether it may send"
            raise ConfigError(f"{where}.origins", cause, "remove them")
        doors[name] = Door(
            name=name,
            vendor=vendor,
            secrets=options.decode(chosen.secrets, f"{where}.secrets", vendor.decode_secret),
            workflow=chosen.workflow,
            workflows=workflows,
            origins=tuple(chosen.origins),
        )
    return doors


def _check_name(where: str, name: str) -> None:
    if not _NAME.match(name):
        hint = "use lower-case words, such as shop-one; it is part of addresses"
        raise ConfigError(where, f"{name} is no name", hint)


def _channels(options: DurableOptions, egress: Egress, outbox: Outbox) -> list[Channel]:
    """Return how people are told; the log always is one."""
    chosen = options.config.alerts
    channels: list[Channel] = [LogChannel(), EventChannel(outbox=outbox)]
    if chosen.webhook_url:
        secrets = options.decode(
            [chosen.webhook_secret], "alerts.webhook_secret", decode_signing_secret
        )
        url = options.resolve(chosen.webhook_url, "alerts.webhook_url")
        channels.append(WebhookChannel(url=url, secrets=secrets, egress=egress))
    if chosen.slack_url:
        url = options.secrets.resolve(chosen.slack_url, "alerts.slack_url")
        channels.append(SlackChannel(url=url, egress=egress))
    if chosen.mail.host:
        channels.append(_mail(options))
    return channels


def _mail(options: DurableOptions) -> MailChannel:
    chosen = options.config.alerts.mail
    where = "alerts.mail"
    if not chosen.recipients:
        raise ConfigError(f"{where}.recipients", "nobody gets the e-mails", "add an address")
    return MailChannel(
        host=chosen.host,
        port=chosen.port,
        sender=chosen.sender,
        recipients=tuple(chosen.recipients),
        user=chosen.user,
        password=options.secrets.resolve(chosen.secret, f"{where}.secret") if chosen.secret else "",
    )
