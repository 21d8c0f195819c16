"""The settings: names, types, defaults and bounds. Durations are seconds, sizes are bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from gateway.config import records
from gateway.config.durable import Alerts, Events, Webhooks, Workflows
from gateway.config.strict import Strict
from gateway.protocol.limits import ProtocolLimits
from portico.server.validation import Validation


def _validation(value: object) -> object:
    """Accept `sample: 1/N` as text and, as YAML reads it unquoted, as a mapping."""
    if isinstance(value, dict) and list(value) == ["sample"]:
        value = f"sample: {value['sample']}"
    return Validation.parse(value) if isinstance(value, str) else value


def _unsecured(value: object) -> object:
    if value is None or value == "anonymous" or isinstance(value, dict | Scopes):
        return value
    raise ValueError("expected anonymous, or a mapping such as {scopes: [partner:read]}")


ValidationMode = Annotated[
    Validation,
    BeforeValidator(_validation),
    PlainSerializer(lambda value: value.mode, return_type=str),
]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]
BasePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$")]


class Listen(Strict):
    """Where the gateway listens."""

    host: str = "127.0.0.1"
    """The address. `0.0.0.0` offers the gateway to every network of the machine."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The port; 0 takes a free one. The variable `PORT` sets it too."""


class Limits(Strict):
    """What one process allows its clients."""

    body_bytes: Annotated[int, Field(gt=0)] = 1024 * 1024
    """The largest request body. A thousand order lines are about 200 KiB."""

    checked_response_bytes: Annotated[int, Field(gt=0)] = 4 * 1024 * 1024
    """The largest upstream answer that is looked into; a larger one streams by unchecked."""

    request_seconds: Seconds = 30.0
    """The time an operation has, all its inner calls included."""

    connection: dict[str, Any] = Field(default_factory=dict)
    """Numbers of the connection layer, by name; see below."""

    def protocol(self) -> ProtocolLimits:
        """Return the numbers of the connection layer; raises ValueError for a wrong one."""
        return ProtocolLimits(**records.read(ProtocolLimits, self.connection, ("uncounted_peers",)))


class Identity(Strict):
    """The built-in token issuer."""

    issuer: str = ""
    """The `iss` of tokens: https, or http on loopback. The public URL when empty."""

    key_file: str = ""
    """Where the signing keys are kept, made on first use. In the data folder when empty.
    Processes that call one another share it."""


class Client(Strict):
    """An application that gets tokens by client credentials."""

    secret: str
    """A reference to its secret: `env:NAME`, `file:PATH` or `generated:NAME`."""

    previous_secret: str = ""
    """A second secret that is still accepted, while the first is rolled out."""

    scopes: list[Scope]
    """The scopes it may ask for. A scope that no contract declares does not start."""

    subject: str = ""
    """Whom its tokens are for; the client itself when empty."""


class CORS(Strict):
    """Which web pages may call the APIs."""

    origins: list[str] = Field(default_factory=list)
    """Origins such as `https://shop.example.com`; `*` is any. No origin may by default."""

    max_age_seconds: Annotated[int, Field(ge=0, le=86_400)] = 600
    """How long browsers may remember the answer to a preflight."""


class API(Strict):
    """One API of the tiers, by its name, such as `process/orders.v1`."""

    url: str = ""
    """Where it runs, if not in this process: `http://orders.internal:8080`."""

    exposed: bool | None = None
    """Whether the gateway offers it. System APIs are not offered unless told."""

    validation: ValidationMode = Validation()
    """How its answers are checked: `enforce` (a wrong one becomes a 500), `report` (logged),
    `sample: 1/N` (one of N is looked at and logged), `strict` (openapi-core checks requests and
    answers as well, in milliseconds), `off`."""

    timeout_seconds: Seconds | None = None
    """The time its operations have, instead of `limits.request_seconds`."""

    settings: dict[str, Any] = Field(default_factory=dict)
    """What its own `Settings` asks for; values may be references to secrets."""


class Scopes(Strict):
    """Scopes a caller needs."""

    scopes: Annotated[list[Scope], Field(min_length=1)]
    """All of them."""


class External(Strict):
    """A bring-your-own API, by a name of your choice: any OpenAPI document, any upstream."""

    contract: Path
    """The document; its references stay in its folder."""

    base_path: BasePath
    """Where the gateway offers it, instead of the document's `servers`."""

    urls: Annotated[list[str], Field(min_length=1)]
    """Base URLs of the upstream, used in turn; one that cannot be reached is left out a while."""

    unsecured: Annotated[Literal["anonymous"] | Scopes | None, BeforeValidator(_unsecured)] = None
    """What callers need where the document declares no security that is enforced here:
    `anonymous`, or `{scopes: [...]}`. Without it such a document does not start."""

    validation: ValidationMode = Validation()
    """As for the APIs of the tiers; a wrong answer becomes a 502."""

    timeout_seconds: Seconds | None = None
    """The time its operations have, instead of `limits.request_seconds`."""

    body_bytes: Annotated[int, Field(gt=0)] | None = None
    """The largest request body, instead of `limits.body_bytes`."""

    upstream: dict[str, Any] = Field(default_factory=dict)
    """Connection settings of the upstream, by name; see below."""


class Redis(Strict):
    """Where idempotency records are kept."""

    url: str = ""
    """`redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`, or a reference
    to it (`env:REDIS_URL`). Empty: the embedded server, unless that is switched off; then nothing
    is recorded."""


class References(Strict):
    """Where it is kept which record of which system is which."""

    url: str = ""
    """`postgresql://` or `sqlite:///PATH`, or a reference to it (`env:REFERENCES_URL`). Empty:
    `references.sqlite` in the data folder. Processes that write to the same systems share it."""


class Idempotency(Strict):
    """How keys of repeated writes are kept."""

    secret: str = "generated:idempotency"  # noqa: S105  # a reference
    """A reference to the secret that names of records are made with; processes that share a Redis
    share it."""

    retention_seconds: Annotated[float, Field(ge=60, le=2_592_000)] = 86_400.0
    """How long a key is remembered after its request."""


class Embedded(Strict):
    """The parts that `portico serve` starts itself."""

    redis: bool = True
    """A Valkey on a unix socket in the data folder, where `redis.url` is empty."""

    tryton: bool = True
    """A Tryton with sample data, unless `apis.system/tryton.v1` has settings or a URL."""

    sandboxes: bool = True
    """Sandboxes of the other systems with the same sample data, each unless its API has settings
    or a URL."""


class Config(Strict):
    """The whole file."""

    listen: Listen = Listen()
    """Where the gateway listens."""

    public_url: str = ""
    """How clients reach the gateway: it is in documents, tokens and problem types. The address
    it listens on when empty."""

    data: Path = Path("data")
    """The folder for what has to last: keys, generated secrets, embedded systems."""

    contracts: Path | None = None
    """The folder `specs/openapi`; the one that comes with Portico when absent."""

    trusted_proxies: list[str] = Field(default_factory=list)
    """Networks whose `Forwarded` and `X-Forwarded-*` are believed, such as `10.0.0.0/8`."""

    access_log: Literal["stdout", "off"] = "stdout"
    """One JSON line for each request."""

    limits: Limits = Limits()
    """What one process allows its clients."""

    identity: Identity = Identity()
    """The built-in token issuer."""

    clients: dict[str, Client] = Field(default_factory=dict)
    """Applications that get tokens, by client id."""

    cors: CORS = CORS()
    """Which web pages may call the APIs."""

    apis: dict[str, API] = Field(default_factory=dict)
    """Settings of the APIs of the tiers, by name."""

    external: dict[str, External] = Field(default_factory=dict)
    """Bring-your-own APIs, by name."""

    redis: Redis = Redis()
    """Where idempotency records are kept."""

    references: References = References()
    """Where it is kept which record of which system is which."""

    idempotency: Idempotency = Idempotency()
    """How keys of repeated writes are kept."""

    workflows: Workflows = Workflows()
    """Where workflows, the outbox and dead letters are kept."""

    events: Events = Events()
    """What carries events to their subscribers."""

    webhooks: Webhooks = Webhooks()
    """Webhooks in and out."""

    alerts: Alerts = Alerts()
    """How people are told of incidents, besides the log."""

    embedded: Embedded = Embedded()
    """The parts that `portico serve` starts itself."""
