"""The gateway as an ASGI application, and its life from configuration to clean-up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from gateway.access_log import AccessLog
from gateway.authorization_server import Offered, open_authorization_server
from gateway.choice import choose, switched_off
from gateway.composition import TierParts, Tiers, load_contracts, open_tiers
from gateway.config import Config, ConfigError, External, records
from gateway.config.load import NOT_OPTIONS
from gateway.config.secrets import SecretStore
from gateway.control import RESERVED, control_app, is_reserved
from gateway.cors import CORSPolicy
from gateway.doors import routes as door_routes
from gateway.durable import NOTHING, DurableOptions, Opened, open_durable
from gateway.endpoints import Backend, Endpoint, UpstreamBackend
from gateway.exchange import Receive, Scope, Send
from gateway.identity.authenticator import Authenticator
from gateway.identity.resource_metadata import Resources
from gateway.identity.tokens import TokenIssuer
from gateway.identity.trust import Trust, open_trust
from gateway.issuing import AUDIENCE, key_ring
from gateway.metrics import RequestMetrics, metrics_route
from gateway.packages import is_durable
from gateway.pipeline import Pipeline
from gateway.portal.catalogue import describe
from gateway.portal.site import routes as portal_routes
from gateway.specs import contracts_root
from gateway.stores import Stores, open_stores
from gateway.traffic import open_traffic
from gateway.upstream.options import UpstreamOptions
from gateway.upstream.origin import TrustedProxies
from gateway.upstream.upstream import Upstream
from portico.contract import (
    ANYONE,
    Contract,
    ContractError,
    Finding,
    Requirement,
    load_foreign,
)
from portico.contract.route import Router
from portico.contract.security import declared_schemes, declared_scopes, needing
from portico.durable import Durable
from portico.server.service import ResponseCheck


class Gateway:
    """The application. It answers once `run` has been entered."""

    def __init__(self, config: Config, *, only: Sequence[str] = ()) -> None:
        self.config = config
        self.contracts = load_contracts(config)
        self.names = choose(self.contracts, config, only)
        self.secrets = SecretStore(config.data)
        self.external = load_external(config) if not only else {}
        self.draining = False
        self._only = bool(only)
        self._pipeline: Pipeline | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._pipeline is None:
            raise RuntimeError("the gateway was called outside `run`")
        await self._pipeline(scope, receive, send)

    @contextlib.asynccontextmanager
    async def run(
        self, public_url: str, injected: Mapping[str, Mapping[str, Any]] | None = None
    ) -> AsyncIterator[None]:
        """Open everything the APIs need, answer requests, and close it all again."""
        public_url = public_url.rstrip("/")
        async with contextlib.AsyncExitStack() as stack:
            self._pipeline = await self._open(stack, public_url, injected)
            try:
                yield
            finally:
                self._pipeline = None

    async def _open(
        self,
        stack: contextlib.AsyncExitStack,
        public_url: str,
        injected: Mapping[str, Mapping[str, Any]] | None,
    ) -> Pipeline:
        config, secrets = self.config, self.secrets
        keys = key_ring(config)
        issuer = TokenIssuer(keys, issuer=config.identity.issuer or public_url, audience=AUDIENCE)
        type_base = f"{public_url}/portal/problems/"
        durable = Durable()
        stores = await stack.enter_async_context(open_stores(config, secrets, type_base))
        trust = await stack.enter_async_context(
            open_trust(config, secrets, ring=keys, issuer=issuer, redis=stores.redis)
        )
        parts = TierParts(
            issuer=issuer, secrets=secrets, stores=stores, durable=durable, injected=injected or {}
        )
        tiers = await stack.enter_async_context(
            open_tiers(config, self.contracts, self.names, parts)
        )
        opened = await self._open_durable(stack, stores, tiers, durable, public_url)
        backends = await self._backends(stack, tiers)
        watching = asyncio.create_task(keys.watch())
        stack.callback(watching.cancel)
        contracts = [backend.contract for backend in backends]
        offered = self._offered(contracts, public_url)
        identity = await stack.enter_async_context(
            open_authorization_server(config, secrets, stores.redis, keys, issuer, trust, offered)
        )
        router = build_router(backends)
        endpoints = list(router.targets())
        metrics = RequestMetrics(tiers.connections)
        resources = self._resources(issuer, public_url)
        routes = [*identity, *resources.routes(contracts)]
        return Pipeline(
            router,
            self._control(contracts, stores, opened, routes, public_url, metrics),
            authenticator=self._authenticator(trust, endpoints, resources),
            cors=self._cors(),
            access_log=self._access_log(stack),
            type_base=type_base,
            metrics=metrics,
            traffic=await stack.enter_async_context(open_traffic(config, stores, endpoints)),
            trusted_proxies=TrustedProxies(config.trusted_proxies),
        )

    async def _backends(self, stack: contextlib.AsyncExitStack, tiers: Tiers) -> list[Backend]:
        """Return what answers at the edge: APIs of the tiers, and those behind the gateway."""
        shown = [name for name in self.names if self._is_exposed(name)]
        backends: list[Backend] = [tiers.backends[name] for name in shown]
        for name, contract in self.external.items():
            backends.append(await self._upstream(stack, name, contract))
        return backends

    def _authenticator(
        self, trust: Trust, endpoints: Sequence[Endpoint], resources: Resources
    ) -> Authenticator:
        return trust.authenticator(
            endpoints,
            contracts=self.contracts,
            closed=[name for name in self.names if not self._is_open(name)],
            resources=resources,
        )

    def _is_exposed(self, name: str) -> bool:
        """Tell whether an API is offered at the edge: systems are not, unless told or alone."""
        return self._is_open(name) or (self._only and self._exposed(name) is None)

    def _is_durable(self, tiers: Tiers) -> bool:
        """Tell whether anything here outlasts a request: then the workflow database is opened."""
        webhooks = self.config.webhooks
        wanted = bool(tiers.workflows or webhooks.doors or webhooks.subscribers)
        return wanted or any(is_durable(self.contracts[name]) for name in self.names)

    async def _open_durable(
        self,
        stack: contextlib.AsyncExitStack,
        stores: Stores,
        tiers: Tiers,
        durable: Durable,
        public_url: str,
    ) -> Opened:
        if not self._is_durable(tiers):
            return NOTHING
        options = DurableOptions(
            config=self.config,
            secrets=self.secrets,
            redis=stores.redis,
            contracts_root=self.config.contracts or contracts_root(),
            public_url=public_url,
        )
        return await stack.enter_async_context(
            open_durable(options, durable, tiers.workflows, tiers.schedules, tiers.subscriptions)
        )

    def _is_open(self, name: str) -> bool:
        """Tell whether clients may call an API: systems take calls of tiers only, unless told."""
        exposed = self._exposed(name)
        return not name.startswith("system/") if exposed is None else exposed

    def _exposed(self, name: str) -> bool | None:
        api = self.config.apis.get(name)
        return api.exposed if api is not None else None

    def _control(
        self,
        contracts: Sequence[Contract],
        stores: Stores,
        durable: Opened,
        identity: Sequence[BaseRoute],
        public_url: str,
        metrics: RequestMetrics,
    ) -> Starlette:
        """Return what answers everything that is no operation of a contract."""
        # Published as written: a 3.0 document stays one.
        entries = [describe(c.name, c.bundle.document, base_path=c.base_path) for c in contracts]
        return control_app(
            [
                *identity,
                metrics_route(metrics, stores, self.config.metrics.networks),
                *portal_routes(entries, public_url=public_url, request_id=_request_id),
                *door_routes(durable.doors),
            ],
            ready=lambda: "draining" if self.draining else stores.missing or durable.missing,
            type_base=f"{public_url}/portal/problems/",
        )

    def _resources(self, issuer: TokenIssuer, public_url: str) -> Resources:
        identity = self.config.identity
        return Resources(
            public_url=public_url,
            issuers=[issuer.issuer, *(one.issuer for one in identity.issuers.values())],
            dpop_required=identity.dpop.required,
            certificates=bool(identity.certificate_header),
        )

    def _offered(self, contracts: Sequence[Contract], public_url: str) -> Offered:
        return Offered(
            scopes=scopes_of(contracts),
            withheld_scopes=scopes_of(
                [self.contracts[name] for name in switched_off(self.contracts, self.config)]
            ),
            scope_texts=_scope_texts(contracts),
            resources=[public_url, *(public_url + contract.base_path for contract in contracts)],
            names=list(self.contracts),
            is_all=not self._only,
        )

    def _cors(self) -> CORSPolicy | None:
        cors = self.config.cors
        return CORSPolicy(cors.origins, cors.max_age_seconds) if cors.origins else None

    async def _upstream(
        self, stack: contextlib.AsyncExitStack, name: str, contract: Contract
    ) -> UpstreamBackend:
        settings = self.config.external[name]
        upstream = Upstream(_upstream_options(name, settings, self.config, self.secrets))
        stack.push_async_callback(upstream.aclose)
        limits = self.config.limits
        return UpstreamBackend(
            contract,
            upstream,
            ResponseCheck(contract.name, settings.validation),
            timeout_seconds=settings.timeout_seconds or limits.request_seconds,
            body_bytes=settings.body_bytes or limits.body_bytes,
            checked_bytes=limits.checked_response_bytes,
            strict=settings.validation.strict(contract.document),
        )

    def _access_log(self, stack: contextlib.AsyncExitStack) -> AccessLog | None:
        if self.config.access_log == "off":
            return None
        log = AccessLog()
        stack.callback(log.stop)
        return log


def build_router(backends: Sequence[Backend]) -> Router[Endpoint]:
    """Return the addresses of all operations; raises ConfigError where two APIs collide."""
    router: Router[Endpoint] = Router()
    for backend in backends:
        contract = backend.contract
        for operation in contract.operations.values():
            endpoint = Endpoint(backend, operation)
            try:
                router.add(operation.method, endpoint.template, endpoint)
            except ValueError as error:
                raise ConfigError(
                    f"external.{contract.name.partition('/')[2]}.base_path",
                    str(error),
                    "give every API a base path of its own",
                ) from None
    return router


def load_external(config: Config) -> dict[str, Contract]:
    """Return the bring-your-own contracts by name; raises ContractError with all findings."""
    found: dict[str, Contract] = {}
    findings: list[Finding] = []
    for name, settings in config.external.items():
        if is_reserved(settings.base_path):
            raise ConfigError(
                f"external.{name}.base_path",
                f"{settings.base_path} belongs to the gateway itself",
                f"choose a path that is not below {', '.join(RESERVED)}",
            )
        try:
            found[name] = load_foreign(
                settings.contract,
                name=name,
                base_path=settings.base_path,
                unsecured=_unsecured(settings),
            )
        except ContractError as error:
            findings.extend(error.findings)
    if findings:
        raise ContractError(findings)
    return found


def _unsecured(settings: External) -> Requirement | None:
    if settings.unsecured is None:
        return None
    if settings.unsecured == "anonymous":
        return ANYONE
    return needing(settings.unsecured.scopes)


def _upstream_options(
    name: str, settings: External, config: Config, secrets: SecretStore
) -> UpstreamOptions:
    """Return the options of an upstream; header values may be references to secrets."""
    where = f"external.{name}.upstream"
    # A body in a content coding could not be checked against the contract.
    coding = "pass" if settings.validation.mode == "off" else "identity"
    try:
        chosen = records.read(UpstreamOptions, settings.upstream, NOT_OPTIONS)
        references = chosen.pop("set_headers", ())
        if config.identity.certificate_header:
            known = chosen.get("identity_headers", ())
            chosen["identity_headers"] = (*known, config.identity.certificate_header)
        return UpstreamOptions(
            name=name,
            urls=tuple(settings.urls),
            set_headers=tuple(
                (field, secrets.resolve(reference, f"{where}.set_headers.{field}"))
                for field, reference in references
            ),
            trusted_proxies=tuple(config.trusted_proxies),
            **{"accept_encoding": coding, **chosen},
        )
    except ValueError as error:
        raise ConfigError(where, str(error), "correct the value") from None


def scopes_of(contracts: Sequence[Contract]) -> list[str]:
    """Return every scope that a contract declares or needs."""
    found: set[str] = set()
    for contract in contracts:
        for scheme in declared_schemes(contract.document).values():
            found |= declared_scopes(scheme) or frozenset()
        for operation in contract.operations.values():
            found |= operation.security.every_scope()
    return sorted(found)


def _scope_texts(contracts: Sequence[Contract]) -> dict[str, str]:
    """Return what people are told about scopes: the texts of the contracts."""
    found: dict[str, str] = {}
    for contract in contracts:
        for scheme in declared_schemes(contract.document).values():
            for flow in (scheme.get("flows") or {}).values():
                found |= {name: str(text) for name, text in (flow.get("scopes") or {}).items()}
    return found


def _request_id(scope: Any) -> str:
    return str(scope.get("portico.request_id", ""))
