"""The settings: names, types, defaults and bounds. Durations are seconds, sizes are bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

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
Algorithm = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
]
Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]
Grant = Literal["client_credentials", "authorization_code", "refresh_token", "token_exchange"]
BasePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$")]


def _grants(*names: Grant) -> Callable[[], list[Grant]]:
    return lambda: list(names)


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


class Introspection(Strict):
    """How opaque tokens of an issuer are read: it is asked what they say (RFC 7662)."""

    url: str = ""
    """The endpoint; the one of the issuer's metadata when empty."""

    client_id: str = ""
    """The client as which this gateway asks. Opaque tokens are not accepted without one."""

    client_secret: str = ""
    """A reference to its secret: `env:NAME` or `file:PATH`."""


class TrustedIssuer(Strict):
    """An issuer whose tokens are accepted besides those of the built-in one, by a name of your
    choice. Its keys are found by discovery."""

    issuer: str
    """The `iss` of its tokens: https, or http on loopback."""

    audience: str
    """What its tokens have to be for, such as `api://portico`: its name for this gateway."""

    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = Field(
        default_factory=lambda: list[Algorithm](("RS256", "PS256", "ES256", "EdDSA"))
    )
    """How its tokens may be signed."""

    scope_claims: Annotated[list[str], Field(min_length=1)] = Field(
        default_factory=lambda: ["scope"]
    )
    """The claims that have scopes: `scope`, `scp`, or a JSON Pointer into one, such as
    `/realm_access/roles`."""

    scope_names: dict[str, list[Scope]] = Field(default_factory=dict)
    """The scopes of the contracts that its own names stand for: `{Orders.Read: [orders:read]}`.
    A name that is not here is taken as it is."""

    legacy_typ: bool = False
    """Accept tokens that do not say in their header that they are access tokens, as those of
    Entra, Okta and Keycloak do not. ID tokens are refused all the same."""

    clock_skew_seconds: Annotated[float, Field(ge=0, le=60)] = 5.0
    """How much its clock may differ."""

    prefix: str | None = None
    """What goes before subjects and client ids of its tokens, so that no two issuers name the same
    caller. Its name and a colon when absent."""

    ca_file: str = ""
    """Certificates to trust instead of the usual ones, for an issuer with a CA of its own."""

    introspection: Introspection = Introspection()
    """How opaque tokens are read; they are not accepted without a client for it."""


class DPoP(Strict):
    """Proofs that a token is sent by whom it was issued to (RFC 9449)."""

    required: bool = False
    """Accept no tokens but those bound to a key. API keys and calls between tiers go on."""

    nonce: bool = False
    """Ask for a nonce of this gateway in every proof, so that none can be made in advance."""

    secret: str = "generated:dpop"  # noqa: S105  # a reference
    """A reference to the secret that nonces are made with; processes of one deployment share it."""


class User(Strict):
    """A person who signs in with a password."""

    password_hash: str
    """What `portico user hash` prints (argon2id), or a reference to it: `env:NAME`, `file:PATH`."""

    name: str = ""
    """What the person is called on pages; the user name when empty."""

    subject: str = ""
    """The `sub` of tokens for this person; the user name when empty."""

    scopes: list[Scope] | None = None
    """The scopes that applications may get for this person; whatever they may have when absent."""


class IdentityProvider(Strict):
    """An OpenID Connect provider where people sign in."""

    issuer: str
    """Its `issuer`, as its discovery document says it: https, or http on loopback."""

    client_id: str
    """What the provider knows this gateway by. Its redirect URI there is
    `<issuer of this gateway>/oauth2/sign-in/callback`."""

    client_secret: str
    """A reference to the secret of that client."""

    name: str = "single sign-on"
    """What the button says: Continue with …"""

    scopes: list[Scope] = Field(default_factory=lambda: ["openid", "profile"])
    """What is asked of the provider; `openid` is among it."""


class Registration(Strict):
    """How applications register themselves (RFC 7591). Off without an initial token."""

    initial_token: str = ""
    """A reference to the token that whoever registers has to present."""

    scopes: list[Scope] = Field(default_factory=list)
    """The scopes that registered clients may have."""

    grants: list[Grant] = Field(default_factory=_grants("authorization_code", "refresh_token"))
    """The grants that registered clients may use."""

    plan: str = ""
    """The plan of registered clients."""


class Identity(Strict):
    """The built-in authorization server, and the issuers that are trusted beside it.
    docs/identity.md shows it in use."""

    issuer: str = ""
    """The `iss` of tokens: https, or http on loopback. The public URL when empty."""

    key_file: str = ""
    """Where the signing keys are kept, made on first use. In the data folder when empty.
    Processes that call one another share it."""

    algorithm: Literal["ES256", "RS256", "EdDSA"] = "ES256"
    """What new signing keys are for. A change takes effect by rotation."""

    key_rotation_days: Annotated[int, Field(ge=0, le=3650)] = 90
    """How long a key signs; 0 is for ever. Its successor is published two hours earlier."""

    secret: str = "generated:identity"  # noqa: S105  # a reference
    """A reference to the secret that codes and refresh tokens are made with; processes that share
    a Redis share it. Another one ends what people have allowed."""

    access_token_seconds: Annotated[int, Field(ge=30, le=600)] = 600
    """How long an access token lives."""

    grant_seconds: Annotated[int, Field(ge=600, le=31_536_000)] = 2_592_000
    """How long what a person allowed lasts, refreshed or not."""

    session_seconds: Annotated[int, Field(ge=60, le=604_800)] = 28_800
    """How long a person stays signed in at this gateway."""

    users: dict[str, User] = Field(default_factory=dict)
    """People who sign in with a password, by user name."""

    provider: IdentityProvider | None = None
    """Where people sign in instead, or as well."""

    registration: Registration = Registration()
    """How applications register themselves."""

    issuers: dict[str, TrustedIssuer] = Field(default_factory=dict)
    """Other issuers, by name; see docs/identity-providers.md."""

    dpop: DPoP = DPoP()
    """Proofs that a token is sent by whom it was issued to."""

    certificate_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]*$")] = ""
    """The header field in which the trusted proxies send the certificate of a client, such as
    `Client-Cert` (RFC 9440). From anyone else it is dropped."""


class Client(Strict):
    """An application that gets tokens."""

    secret: str = ""
    """A reference to its secret: `env:NAME`, `file:PATH` or `generated:NAME`."""

    previous_secret: str = ""
    """A second secret that is still accepted, while the first is rolled out."""

    scopes: list[Scope]
    """The scopes it may ask for. A scope that no contract declares does not start."""

    subject: str = ""
    """Whom its own tokens are for; the client itself when empty."""

    name: str = ""
    """What people are shown; the client id when empty."""

    authentication: Literal[
        "client_secret", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "none"
    ] = "client_secret"
    """How it proves itself; `none` is a public client: a browser or native application."""

    grants: list[Grant] = Field(default_factory=_grants("client_credentials"))
    """What it may use: `client_credentials`, `authorization_code`, `refresh_token`,
    `token_exchange`."""

    redirect_uris: list[str] = Field(default_factory=list)
    """Where people are sent back to, exactly as the application says it."""

    native: bool = False
    """Whether it is an application on a device: any port on `http://127.0.0.1/…`, and schemes such
    as `com.example.app:/…`."""

    first_party: bool = False
    """Whether people need not be asked for their consent."""

    pushed_requests_only: bool = False
    """Whether its authorization requests have to be pushed (RFC 9126)."""

    dpop_bound: bool = False
    """Whether its tokens have to be bound to a key (RFC 9449)."""

    introspects: bool = False
    """Whether it may introspect tokens of others, as a resource server does."""

    audiences: list[str] = Field(default_factory=list)
    """APIs by name, such as `process/orders.v1`, that it may exchange tokens for, besides the
    gateway as a whole and the addresses of its APIs."""

    jwks: Path | None = None
    """A file with its public keys (a JWK Set), for `private_key_jwt`; with `x5c` certificates for
    `self_signed_tls_client_auth`."""

    tls_subject: str = ""
    """The subject of its certificate, as RFC 4514 writes it, for `tls_client_auth`."""

    plan: str = ""
    """Its plan of `rate_limits.plans`; `rate_limits.default_plan` when empty. An operator may give
    it another while the gateway runs (`portico plan`)."""


class CORS(Strict):
    """Which web pages may call the APIs."""

    origins: list[str] = Field(default_factory=list)
    """Origins such as `https://shop.example.com`; `*` is any. No origin may by default."""

    max_age_seconds: Annotated[int, Field(ge=0, le=86_400)] = 600
    """How long browsers may remember the answer to a preflight."""


class API(Strict):
    """One API of the tiers, by its name, such as `process/orders.v1`. `off` instead of a section
    switches it off, `off-with-callers` also whatever calls it."""

    switch: Literal["on", "off", "off-with-callers"] = "on"
    """Whether there is the API at all. One that others call is switched off only with them."""

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

    @model_validator(mode="before")
    @classmethod
    def _switched(cls, value: object) -> object:
        return {"switch": value} if isinstance(value, str) else value


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
    """Where idempotency records, rate limits and what people allowed are kept."""

    url: str = ""
    """`redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`, or a reference
    to it (`env:REDIS_URL`). Empty: the embedded server, unless that is switched off; then nothing
    is recorded."""

    durability: Literal["default", "strict"] = "default"
    """`strict` does not start on a server that forgets records when it is restarted."""

    replicas: Annotated[int, Field(ge=0, le=5)] = 0
    """How many replicas must confirm a record before it counts (`WAIT`); a failover may lose what
    none has confirmed. Too few in time: the request is refused with 503 and nothing runs."""


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

    max_keys_per_client: Annotated[int, Field(ge=0)] = 100_000
    """How many new keys a client may use within that time, with 429 beyond; 0 sets no limit. Redis
    keeps every record in memory."""

    strict_keys: bool = False
    """Whether only keys in double quotes are read, as the draft has it; most clients send them
    bare."""


class LimitSettings(Strict):
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


class RateLimits(Strict):
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


class Metrics(Strict):
    """What `/metrics` tells, in the format of Prometheus."""

    networks: list[str] = Field(default_factory=lambda: ["127.0.0.0/8", "::1/128"])
    """Who may read it; to everybody else there is no such address."""


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
    """The built-in authorization server, and whose tokens are accepted."""

    clients: dict[str, Client] = Field(default_factory=dict)
    """Applications that get tokens, by client id."""

    cors: CORS = CORS()
    """Which web pages may call the APIs."""

    apis: dict[str, API] = Field(default_factory=dict)
    """Settings of the APIs of the tiers, by name."""

    external: dict[str, External] = Field(default_factory=dict)
    """Bring-your-own APIs, by name."""

    redis: Redis = Redis()
    """Where idempotency records, rate limits and what people allowed are kept."""

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
    rate_limits: RateLimits = RateLimits()
    """How many requests callers may make."""

    metrics: Metrics = Metrics()
    """What `/metrics` tells."""

    embedded: Embedded = Embedded()
    """The parts that `portico serve` starts itself."""
