"""The gateway as an ASGI application, and its life from configuration to clean-up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.access_log import AccessLog
from gateway.composition import Tiers, choose, load_contracts, open_tiers
from gateway.config import Client, Config, ConfigError, External, records
from gateway.config.load import NOT_OPTIONS
from gateway.config.secrets import SecretStore
from gateway.control import RESERVED, control_app, is_reserved
from gateway.cors import CORSPolicy
from gateway.doors import routes as door_routes
from gateway.durable import NOTHING, DurableOptions, Opened, open_durable
from gateway.endpoints import Backend, Endpoint, UpstreamBackend
from gateway.exchange import Receive, Scope, Send
from gateway.idempotency import IdempotentWrites
from gateway.identity.clients import ClientRecord, ClientRegistry, hash_secret
from gateway.identity.endpoint import TokenEndpoint
from gateway.identity.endpoint import routes as identity_routes
from gateway.identity.grant import ClientCredentialsServer
from gateway.identity.keys import KeyRing
from gateway.identity.tokens import TokenIssuer
from gateway.identity.verifier import TokenVerifier
from gateway.packages import is_durable
from gateway.pipeline import Pipeline
from gateway.portal.catalogue import describe
from gateway.portal.site import routes as portal_routes
from gateway.specs import contracts_root
from gateway.stores import Stores, open_stores
from gateway.upstream import Upstream, UpstreamOptions
from gateway.upstream.origin import TrustedProxies
from portico.contract import (
    ANYONE,
    Contract,
    ContractError,
    Finding,
    Requirement,
    load_foreign,
)
from portico.contract.route import Router
from portico.contract.security import declared_schemes, declared_scopes
from portico.contract.strict import StrictValidator
from portico.durable import Durable
from portico.server.service import ResponseCheck

AUDIENCE = "portico"  # what tokens for the gateway as a whole are for


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
        config = self.config
        keys = KeyRing(key_file(config))
        issuer = TokenIssuer(keys, issuer=config.identity.issuer or public_url, audience=AUDIENCE)
        type_base = f"{public_url}/portal/problems/"
        durable = Durable()
        async with contextlib.AsyncExitStack() as stack:
            stores = await stack.enter_async_context(open_stores(config, self.secrets, type_base))
            tiers = await stack.enter_async_context(
                open_tiers(
                    config,
                    self.contracts,
                    self.names,
                    issuer=issuer,
                    secrets=self.secrets,
                    durable=durable,
                    injected=injected,
                )
            )
            opened = NOTHING
            if self._is_durable(tiers):
                options = self._durable_options(stores, public_url)
                opened = await stack.enter_async_context(
                    open_durable(options, durable, tiers.workflows)
                )
            shown = [name for name in self.names if self._is_exposed(name)]
            backends: list[Backend] = [tiers.backends[name] for name in shown]
            for name, contract in self.external.items():
                backends.append(await self._upstream(stack, name, contract))
            log = self._access_log(stack)
            watching = asyncio.create_task(keys.watch())
            stack.callback(watching.cancel)
            self._pipeline = self._build(backends, stores, opened, keys, issuer, public_url, log)
            try:
                yield
            finally:
                self._pipeline = None

    def _is_exposed(self, name: str) -> bool:
        """Tell whether an API is offered at the edge: systems are not, unless told or alone."""
        api = self.config.apis.get(name)
        if api is not None and api.exposed is not None:
            return api.exposed
        return self._only or not name.startswith("system/")

    def _is_durable(self, tiers: Tiers) -> bool:
        """Tell whether anything here outlasts a request: then the workflow database is opened."""
        webhooks = self.config.webhooks
        wanted = bool(tiers.workflows or webhooks.doors or webhooks.subscribers)
        return wanted or any(is_durable(self.contracts[name]) for name in self.names)

    def _durable_options(self, stores: Stores, public_url: str) -> DurableOptions:
        return DurableOptions(
            config=self.config,
            secrets=self.secrets,
            redis=stores.redis,
            contracts_root=self.config.contracts or contracts_root(),
            public_url=public_url,
        )

    def _build(
        self,
        backends: Sequence[Backend],
        stores: Stores,
        durable: Opened,
        keys: KeyRing,
        issuer: TokenIssuer,
        public_url: str,
        log: AccessLog | None,
    ) -> Pipeline:
        contracts = [backend.contract for backend in backends]
        type_base = f"{public_url}/portal/problems/"
        scopes = _scopes(contracts)
        # Published as written: a 3.0 document stays one.
        entries = [describe(c.name, c.bundle.document, base_path=c.base_path) for c in contracts]
        server = ClientCredentialsServer(issuer, scopes_supported=scopes)
        endpoint = TokenEndpoint(server, ClientRegistry(self._clients(scopes)))
        control = control_app(
            [
                *identity_routes(endpoint, issuer=issuer, keys=keys, scopes_supported=scopes),
                *portal_routes(entries, public_url=public_url, request_id=_request_id),
                *door_routes(durable.doors),
            ],
            ready=lambda: "draining" if self.draining else stores.missing or durable.missing,
            type_base=type_base,
        )
        cors = self.config.cors
        router = build_router(backends)
        return Pipeline(
            router,
            control,
            verifier=TokenVerifier(keys, issuer=issuer.issuer, audience=AUDIENCE),
            cors=CORSPolicy(cors.origins, cors.max_age_seconds) if cors.origins else None,
            access_log=log,
            type_base=type_base,
            idempotency=self._idempotency(stores, router),
            trusted_proxies=TrustedProxies(self.config.trusted_proxies),
        )

    def _idempotency(self, stores: Stores, router: Router[Endpoint]) -> IdempotentWrites | None:
        if stores.records is None:
            return None
        endpoints = [endpoint for leaf in router.leaves() for endpoint, _ in leaf.methods.values()]
        retention = self.config.idempotency.retention_seconds
        return IdempotentWrites(stores.records, endpoints, retention)

    def _clients(self, known: Sequence[str]) -> list[ClientRecord]:
        return [
            self._client(client_id, client, known)
            for client_id, client in self.config.clients.items()
        ]

    def _client(self, client_id: str, client: Client, known: Sequence[str]) -> ClientRecord:
        where = f"clients.{client_id}"
        unknown = sorted(set(client.scopes) - set(known))
        if unknown and not self._only:
            raise ConfigError(
                f"{where}.scopes",
                f"no contract declares the scope {', '.join(unknown)}",
                f"the scopes are {', '.join(known)}",
            )
        references = [client.secret, client.previous_secret]
        found = [self.secrets.resolve(ref, f"{where}.secret") for ref in references if ref]
        return ClientRecord(
            client_id=client_id,
            secret_hashes=tuple(hash_secret(secret) for secret in found),
            scopes=frozenset(client.scopes),
            subject=client.subject,
        )

    async def _upstream(
        self, stack: contextlib.AsyncExitStack, name: str, contract: Contract
    ) -> UpstreamBackend:
        settings = self.config.external[name]
        upstream = Upstream(_upstream_options(name, settings, self.config, self.secrets))
        stack.push_async_callback(upstream.aclose)
        limits = self.config.limits
        strict = settings.validation.mode == "strict"
        return UpstreamBackend(
            contract,
            upstream,
            ResponseCheck(contract.name, settings.validation),
            timeout_seconds=settings.timeout_seconds or limits.request_seconds,
            body_bytes=settings.body_bytes or limits.body_bytes,
            checked_bytes=limits.checked_response_bytes,
            strict=StrictValidator(contract.document) if strict else None,
        )

    def _access_log(self, stack: contextlib.AsyncExitStack) -> AccessLog | None:
        if self.config.access_log == "off":
            return None
        log = AccessLog()
        log.start()
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
    return Requirement((frozenset(settings.unsecured.scopes),))


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


def _scopes(contracts: Sequence[Contract]) -> list[str]:
    """Return every scope that a contract declares or needs."""
    found: set[str] = set()
    for contract in contracts:
        for scheme in declared_schemes(contract.document).values():
            found |= declared_scopes(scheme) or frozenset()
        for operation in contract.operations.values():
            found = found.union(*operation.security.alternatives)
    return sorted(found)


def key_file(config: Config) -> Path:
    """Return where the issuer's keys are kept; its folder is made on first use."""
    path = Path(config.identity.key_file) if config.identity.key_file else None
    chosen = path or config.data / "identity" / "keys.json"
    chosen.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return chosen


def _request_id(scope: Any) -> str:
    return str(scope.get("portico.request_id", ""))
