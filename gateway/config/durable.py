"""Settings of what outlasts a request: workflows, events, webhooks and alerts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.strict import Strict

Names = Annotated[list[str], Field(min_length=1)]


class Workflows(Strict):
    """Where workflows, the outbox and dead letters are kept."""

    database: str = ""
    """`postgresql://…` or `sqlite:////…`, or a reference to it (`env:WORKFLOW_DATABASE`). Empty: a
    SQLite in the data folder, for the processes of one machine. Processes that share a database
    run the same workflows."""

    start_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long a start may wait for the database before it is answered 503."""

    lease_seconds: Annotated[float, Field(ge=1, le=600)] = 15.0
    """After what time without a sign of life others take a process's workflows over."""

    retention_seconds: Annotated[float, Field(ge=345_600)] = 2_592_000.0
    """How long a workflow that succeeded is remembered, and with it that a webhook came; no
    sender repeats one for four days."""


class Events(Strict):
    """What carries events to their subscribers."""

    bus: Literal["redis", "nats", "memory"] = "redis"
    """`redis`: streams on the Redis of this process. `nats`: JetStream. `memory`: this process
    alone, for development; also used where there is no Redis."""

    nats_url: str = ""
    """Where NATS is, such as `nats://127.0.0.1:4222`, or a reference to it."""


class Door(Strict):
    """A door for a vendor's webhooks, at `/webhooks/NAME`."""

    vendor: Literal["stripe", "intuit", "shopify", "slack", "github", "standard", "cloudevents"]
    """Who signs, and how."""

    secrets: Names
    """References to the secrets that are accepted: the current one, and another one while it is
    replaced."""

    workflow: str
    """The workflow that a delivery starts, such as `order-to-cash.v1`."""

    origins: list[str] = Field(default_factory=list)
    """Of CloudEvents: the senders that are told on request that they may send, such as
    `events.example.com`, or `*` for any. Its secrets are bearer tokens."""


class Subscriber(Strict):
    """A receiver of events by Standard Webhooks."""

    url: str
    """Its address: HTTPS, and public unless `webhooks.allowed_networks` says otherwise."""

    types: Names
    """The types of events it gets; each has a contract."""

    secrets: Names
    """References to the secrets its deliveries are signed with."""

    ordered: bool = False
    """Whether it gets an event only when the one before has arrived or was given up."""


class Webhooks(Strict):
    """Webhooks in and out."""

    doors: dict[str, Door] = Field(default_factory=dict)
    """Doors for vendors, by the name that ends their address."""

    subscribers: dict[str, Subscriber] = Field(default_factory=dict)
    """Receivers of events, by name."""

    allowed_networks: list[str] = Field(default_factory=list)
    """Networks that deliveries may go to although they are not public, such as `10.1.0.0/16`."""

    proxy: str = ""
    """An HTTP proxy for deliveries; it has to keep them from what is inside, then."""


class Mail(Strict):
    """Alerts by e-mail."""

    host: str = ""
    """The SMTP server; none is sent without."""

    port: Annotated[int, Field(gt=0, le=65_535)] = 587
    """Its port."""

    sender: str = "portico@localhost"
    """The address that alerts come from."""

    recipients: list[str] = Field(default_factory=list)
    """Who gets them."""

    user: str = ""
    """Who we are there, over TLS; without it no login is tried."""

    secret: str = ""
    """A reference to the password."""


class Alerts(Strict):
    """How people are told of incidents, besides the log."""

    runbook_url: str = ""
    """What alerts link to: your instructions. The operations API's reference when empty."""

    look_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    """How often new dead letters are looked for."""

    webhook_url: str = ""
    """Where a signed webhook goes."""

    webhook_secret: str = "generated:alerts"  # noqa: S105  # a reference
    """A reference to the secret it is signed with."""

    slack_url: str = ""
    """A reference to the URL of an incoming webhook of Slack."""

    mail: Mail = Mail()
    """Alerts by e-mail."""
