"""The one place that knows every tier: contracts, handlers and policy become one application."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx
from pydantic import BaseModel

from gateway.config import API, Config, ConfigError
from gateway.config.secrets import SecretStore
from gateway.endpoints import ServiceBackend
from gateway.idempotency import Rule, created_status, read_rule
from gateway.identity.tokens import TIER_LIFETIME_SECONDS, TokenIssuer
from gateway.packages import (
    bind_handlers,
    decode_settings,
    open_resources,
    own_limiters,
    schedules_of,
    subscriptions_of,
    workflows_of,
)
from gateway.specs import contracts_root
from gateway.stores import Stores
from portico.client import layers
from portico.client.http import HTTPTransport
from portico.client.local import LocalTransport
from portico.client.tiers import TierClient, Transport, idempotency_parameter, targets
from portico.connectors.connection import Connection
from portico.contract import (
    Contract,
    ContractError,
    FileCache,
    Finding,
    Operation,
    contract_paths,
    load,
)
from portico.crossref.engine import parse_url
from portico.durable import Durable
from portico.events.bus import Subscription
from portico.idempotency.claim import Claim
from portico.idempotency.key import applies
from portico.idempotency.replay import Answer
from portico.idempotency.tiers import KeyedOperation, to_answer
from portico.problems import Problem
from portico.server.call import Call, Caller
from portico.server.service import Service
from portico.transport.pool import PooledTransport
from portico.workflow.definition import Schedule, Workflow
from portico.workflow.steps import Steps

_SETTINGS_HINT = (
    "add them; an API that is not needed is switched off: write `off` instead of its section"
)


def load_contracts(config: Config) -> dict[str, Contract]:
    """Return every contract of the tiers by name; raises ContractError with all findings."""
    root = config.contracts or contracts_root()
    if not root.is_dir():
        raise ConfigError("contracts", f"there is no folder {root}", "correct the path")
    findings: list[Finding] = []
    contracts: dict[str, Contract] = {}
    cache = FileCache()  # the tiers share most files
    for path in contract_paths(root):
        try:
            contract = load(path, root, cache)
        except ContractError as error:
            findings.extend(error.findings)
        else:
            contracts[contract.name] = contract
    if not findings:
        findings = layers.check(contracts, dt.datetime.now(dt.UTC).date())
    if findings:
        raise ContractError(findings)
    return contracts


@dataclass(slots=True)
class Tiers:
    """The APIs of this process, ready to be called."""

    contracts: Mapping[str, Contract]
    backends: Mapping[str, ServiceBackend]
    transports: Mapping[str, Transport]
    connections: Mapping[str, Connection]
    workflows: list[Workflow] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _TierTokens:
    """Proves an API to another one, as the issuer that both trust."""

    issuer: TokenIssuer

    def mint(self, caller: Caller, audience: str) -> tuple[str, float]:
        token = self.issuer.mint(
            caller.subject or caller.client_id,
            caller.client_id,
            audience,
            caller.scopes,
            TIER_LIFETIME_SECONDS,
            actor=_actor((caller.client_id, *caller.actors)) if caller.subject else None,
        )
        return token, float(TIER_LIFETIME_SECONDS)


def _actor(names: tuple[str, ...]) -> dict[str, object]:
    """Return the `act` claim: whoever acts now is outermost (RFC 8693 section 4.1)."""
    actor: dict[str, object] = {}
    for name in reversed(names):
        actor = {"sub": name, "act": actor} if actor else {"sub": name}
    return actor


@dataclass(frozen=True, slots=True, kw_only=True)
class TierParts:
    """What the APIs of the tiers share.

    `injected` are settings of embedded parts, by API; the configuration's come over them.
    `durable` is opened afterwards: workflows that are resumed call these APIs.
    """

    issuer: TokenIssuer
    secrets: SecretStore
    stores: Stores
    durable: Durable
    injected: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def open_tiers(
    config: Config, contracts: Mapping[str, Contract], names: Sequence[str], parts: TierParts
) -> AsyncIterator[Tiers]:
    """Open the resources of the named APIs and connect them to what their contracts call."""
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(_tier_http())
        clients = {name: _Client(name) for name in names}
        settings = settings_of(
            config, contracts, names, secrets=parts.secrets, injected=parts.injected
        )
        services = {
            name: await _service(stack, config, contracts[name], settings[name], parts)
            for name in names
        }
        transports: dict[str, Transport] = {}
        today = dt.datetime.now(dt.UTC).date()
        for name, service in services.items():
            callers = layers.callers_of(name, contracts, today)
            keyed = _keyed(config, parts.stores, service)
            transports[name] = LocalTransport(service, clients[name], keyed, callers)
        for name in names:
            remote = _remote(config, contracts, contracts[name], set(names), http, parts.issuer)
            clients[name].connect(targets(contracts[name], contracts, {**transports, **remote}))
        tiers = Tiers(
            contracts, _backends(config, services, clients), transports, _connections(services)
        )
        for name, service in services.items():
            steps = Steps(contracts[name], contracts, clients[name])
            tiers.workflows += workflows_of(
                service.contract, steps, settings[name], parts.durable, service.resources
            )
            tiers.schedules += schedules_of(service.contract, settings[name])
            tiers.subscriptions += subscriptions_of(service.contract, parts.durable)
        yield tiers


async def _service(
    stack: contextlib.AsyncExitStack,
    config: Config,
    contract: Contract,
    settings: BaseModel | None,
    parts: TierParts,
) -> Service:
    """Return an API with its handlers and what they work with."""
    handlers = bind_handlers(contract)
    for limiter in own_limiters(contract):
        limiter.connect(parts.stores.engine)
    resources = await open_resources(stack, contract, settings, parts.durable)
    validation = config.apis.get(contract.name, API()).validation
    strict = validation.strict(contract.document)
    return Service(contract, handlers, resources, validation, strict)


def _connections(services: Mapping[str, Service]) -> dict[str, Connection]:
    """Return the connections to systems, of the APIs whose resources have one."""
    found = {
        name: getattr(service.resources, "connection", None) for name, service in services.items()
    }
    return {name: value for name, value in found.items() if isinstance(value, Connection)}


def settings_of(
    config: Config,
    contracts: Mapping[str, Contract],
    names: Sequence[str],
    *,
    secrets: SecretStore,
    injected: Mapping[str, Mapping[str, Any]],
) -> dict[str, BaseModel | None]:
    """Return the settings of APIs by name; raises ConfigError with all that is wrong with them."""
    provided = provided_settings(config, secrets)
    found: dict[str, BaseModel | None] = {}
    wrong: list[ConfigError] = []
    for name in names:
        written = {**injected.get(name, {}), **config.apis.get(name, API()).settings}
        try:
            found[name] = decode_settings(contracts[name], written, secrets, provided)
        except ConfigError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        told = "; ".join(f"{error.where}: {error.cause}" for error in wrong)
        raise ConfigError("the settings of several APIs", told, _SETTINGS_HINT)
    return found


def provided_settings(config: Config, secrets: SecretStore) -> dict[str, Any]:
    """Return the settings that APIs share: where references are, and tokens that change."""
    url = config.references.url
    if url.startswith(("env:", "file:")):
        url = secrets.resolve(url, "references.url")
    url = url or f"sqlite:///{config.data / 'references.sqlite'}"
    try:
        parse_url(url)
    except ValueError as error:
        # The URL may hold a password and is not repeated.
        hint = "write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE, or env:NAME"
        raise ConfigError("references.url", str(error), hint) from None
    return {
        "references_url": url,
        "tokens": config.data / "tokens",
    }


def _keyed(config: Config, stores: Stores, service: Service) -> dict[str, KeyedOperation]:
    """Return the writes of an API that run under the key of the tier that calls them."""
    if stores.records is None:
        return {}
    contract = service.contract
    found = {}
    for operation in contract.operations.values():
        if not operation.idempotency or not applies(operation.method):
            continue
        rule = read_rule(contract, operation, config.idempotency.retention_seconds)
        found[operation.operation_id] = KeyedOperation(
            stores.records,
            rule.policy,
            f"{contract.name}/{operation.operation_id}",
            idempotency_parameter(operation),
            reconcile=None if rule.status is None else partial(_ask, service, operation, rule),
        )
    return found


async def _ask(
    service: Service, operation: Operation, rule: Rule, call: Call[Any], claim: Claim
) -> Answer | None:
    """Ask the status operation of an API what a key has led to."""
    if rule.status is None:
        return None
    document = rule.status.check_document(rule.status_document(claim.upstream_key))
    asking = replace(call, operation_id=rule.status.operation_id, idempotency_key="")
    try:
        answer = to_answer(await service.invoke(rule.status, asking, document))
    except Problem as problem:
        if problem.status == 404:
            return None
        raise
    if answer.status == 404:
        return None
    return replace(answer, status=created_status(operation, answer.status))


class _Client(TierClient):
    """A tier client that is made before its targets: APIs of one process know each other."""

    def __init__(self, name: str) -> None:
        super().__init__(name, {})

    def connect(self, found: Mapping[tuple[str, str], Any]) -> None:
        self._targets = found


@contextlib.asynccontextmanager
async def _tier_http() -> AsyncIterator[httpx.AsyncClient]:
    """Open the way to tiers that run elsewhere; httpx's own pool is slow when it is full."""
    pool = PooledTransport(max_connections=100, max_waiting=1000, idle_seconds=4.0)
    async with httpx.AsyncClient(transport=pool, trust_env=False, follow_redirects=False) as http:
        yield http


def _remote(
    config: Config,
    contracts: Mapping[str, Contract],
    contract: Contract,
    here: set[str],
    http: httpx.AsyncClient,
    issuer: TokenIssuer,
) -> dict[str, Transport]:
    """Return the transports to the callees of a contract that run elsewhere."""
    found: dict[str, Transport] = {}
    for callee in contract.calls:
        if callee in here:
            continue
        url = config.apis.get(callee, API()).url
        if not url:
            raise ConfigError(
                f"apis.{callee}.url",
                f"{contract.name} calls {callee}, which neither runs here nor has an address",
                f"add its url under apis, or start it here with --only {callee}",
            )
        found[callee] = HTTPTransport(contracts[callee], url, http=http, tokens=_TierTokens(issuer))
    return found


def _backends(
    config: Config, services: Mapping[str, Service], clients: Mapping[str, TierClient]
) -> dict[str, ServiceBackend]:
    return {
        name: ServiceBackend(
            service,
            clients[name],
            timeout_seconds=config.apis.get(name, API()).timeout_seconds
            or config.limits.request_seconds,
            body_bytes=config.limits.body_bytes,
        )
        for name, service in services.items()
    }


__all__ = [
    "TierParts",
    "Tiers",
    "bind_handlers",
    "load_contracts",
    "open_tiers",
    "provided_settings",
]
