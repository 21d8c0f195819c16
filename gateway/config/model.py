"""The settings: names, types, defaults and bounds. Durations are seconds, sizes are bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from gateway.config import records
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


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
    )


class Listen(_Strict):
    """Where the gateway listens."""

    host: str = "127.0.0.1"
    """The address. `0.0.0.0` offers the gateway to every network of the machine."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The port; 0 takes a free one. The variable `PORT` sets it too."""


class Limits(_Strict):
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


class Identity(_Strict):
    """The built-in token issuer."""

    issuer: str = ""
    """The `iss` of tokens: https, or http on loopback. The public URL when empty."""

    key_file: str = ""
    """Where the signing keys are kept, made on first use. In the data folder when empty.
    Processes that call one another share it."""


class Client(_Strict):
    """An application that gets tokens by client credentials."""

    secret: str
    """A reference to its secret: `env:NAME`, `file:PATH` or `generated:NAME`."""

    previous_secret: str = ""
    """A second secret that is still accepted, while the first is rolled out."""

    scopes: list[Scope]
    """The scopes it may ask for. A scope that no contract declares does not start."""

    subject: str = ""
    """Whom its tokens are for; the client itself when empty."""

    plan: str = ""
    """Its plan of `rate_limits.plans`; `rate_limits.default_plan` when empty. An operator may give
    it another while the gateway runs (`portico plan`)."""


class CORS(_Strict):
    """Which web pages may call the APIs."""

    origins: list[str] = Field(default_factory=list)
    """Origins such as `https://shop.example.com`; `*` is any. No origin may by default."""

    max_age_seconds: Annotated[int, Field(ge=0, le=86_400)] = 600
    """How long browsers may remember the answer to a preflight."""


class API(_Strict):
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


class Scopes(_Strict):
    """Scopes a caller needs."""

    scopes: Annotated[list[Scope], Field(min_length=1)]
    """All of them."""


class External(_Strict):
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


class Redis(_Strict):
    """Where idempotency records and rate limits are kept."""

    url: str = ""
    """`redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`, or a reference
    to it (`env:REDIS_URL`). Empty: the embedded server, unless that is switched off; then nothing
    is recorded."""

    durability: Literal["default", "strict"] = "default"
    """`strict` does not start on a server that forgets records when it is restarted."""

    replicas: Annotated[int, Field(ge=0, le=5)] = 0
    """How many replicas must confirm a record before it counts (`WAIT`); a failover may lose what
    none has confirmed. Too few in time: the request is refused with 503 and nothing runs."""


class References(_Strict):
    """Where it is kept which record of which system is which."""

    url: str = ""
    """`postgresql://` or `sqlite:///PATH`, or a reference to it (`env:REFERENCES_URL`). Empty:
    `references.sqlite` in the data folder. Processes that write to the same systems share it."""


class Idempotency(_Strict):
    """How keys of repeated writes are kept."""

    secret: str = "generated:idempotency"  # noqa: S105  # a reference
    """A reference to the secret that names of records are made with; processes that share a Redis
    share it."""

    retention_seconds: Annotated[float, Field(ge=60, le=2_592_000)] = 86_400.0
    """How long a key is remembered after its request."""

    max_keys_per_client: Annotated[int, Field(ge=0)] = 100_000
    """How many new keys a client may use within that time, with 429 beyond; 0 sets no limit. Redis
    keeps every record in memory."""

    strict_keys: bool = False
    """Whether only keys in double quotes are read, as the draft has it; most clients send them
    bare."""


class LimitSettings(_Strict):
    """One limit of a plan, by a name that callers are told. It has either `limits`, `per_month` or
    `at_once`."""

    limits: str = ""
    """Rates such as `5/second;100000/day`; all of them hold."""

    strategy: Literal["gcra", "window"] = "gcra"
    """`gcra`: the burst at once, then a steady refill. `window`: never more than the amount in any
    span of the window."""

    burst: Annotated[int, Field(gt=0)] | None = None
    """What can be spent at once with `gcra`; the amount where it is absent."""

    per_month: Annotated[int, Field(gt=0)] | None = None
    """An amount for each calendar month, UTC."""

    at_once: Annotated[int, Field(gt=0)] | None = None
    """How many requests may run at once."""

    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """How soon the places of a process that was killed are free again."""

    per: Literal["client", "operation", "client+operation", "address"] = "client"
    """What shares the limit: `client`, `operation`, `client+operation` or `address`."""

    unit: Literal["requests", "content-bytes"] = "requests"
    """What is counted: `requests`, or `content-bytes` of requests and responses."""

    operations: list[str] = Field(default_factory=list)
    """Operations such as `process/orders.v1/createOrder`, or whole APIs such as
    `process/orders.v1`; all where there are none."""

    cost: Annotated[int, Field(gt=0)] | None = None
    """What a request costs; 1 where it is absent."""

    costs: dict[str, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    """What a request of an operation costs, by its name."""

    cost_field: str = ""
    """A response header that says what the request has cost in all, as a whole number. What it cost
    beyond what was charged before is charged afterwards."""

    outage: Literal["local", "closed"] = "local"
    """While Redis is away: `local` counts in each process an N-th of it, `closed` refuses (503)."""


Policies = dict[str, LimitSettings]


class RateLimits(_Strict):
    """How many requests callers may make. Without plans, and without `always`, none are counted."""

    plans: dict[str, Policies] = Field(default_factory=dict)
    """Limits by the names of plans. Every client has one plan."""

    default_plan: str = "standard"
    """The plan of clients that have no other."""

    anonymous_plan: str = ""
    """The plan of callers without a token, who count by address; `default_plan` when empty."""

    always: Policies = Field(default_factory=dict)
    """Limits that bind every caller beside those of the plan."""

    address: str = ""
    """What one address may send before anything is known of it, such as `500/second`. Counted in
    the memory of each process; empty sets no limit. Behind a proxy, name it in `trusted_proxies`
    first: else all clients have its address."""

    address_burst: Annotated[int, Field(gt=0)] | None = None
    """What an address may send at once; the amount of `address` when absent."""

    headers: Literal["draft-11", "draft-06", "x", "off"] = "draft-11"
    """How limits are told: `draft-11` (RateLimit-Policy and RateLimit), `draft-06`, `x`
    (X-RateLimit-*), `off`. Retry-After is always sent."""

    processes: Annotated[int, Field(gt=0, le=10_000)] = 1
    """How many processes share the limits: each grants its part alone while Redis is away."""

    replay_costs: bool = True
    """Whether an answer that is given again from its record counts like a request."""


class Metrics(_Strict):
    """What `/metrics` tells, in the format of Prometheus."""

    networks: list[str] = Field(default_factory=lambda: ["127.0.0.0/8", "::1/128"])
    """Who may read it; to everybody else there is no such address."""


class Embedded(_Strict):
    """The parts that `portico serve` starts itself."""

    redis: bool = True
    """A Valkey on a unix socket in the data folder, where `redis.url` is empty."""

    tryton: bool = True
    """A Tryton with sample data, unless `apis.system/tryton.v1` has settings or a URL."""

    sandboxes: bool = True
    """Sandboxes of the other systems with the same sample data, each unless its API has settings
    or a URL."""


class Config(_Strict):
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
    """Where idempotency records and rate limits are kept."""

    references: References = References()
    """Where it is kept which record of which system is which."""

    idempotency: Idempotency = Idempotency()
    """How keys of repeated writes are kept."""

    rate_limits: RateLimits = RateLimits()
    """How many requests callers may make."""

    metrics: Metrics = Metrics()
    """What `/metrics` tells."""

    embedded: Embedded = Embedded()
    """The parts that `portico serve` starts itself."""
