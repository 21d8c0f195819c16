"""Everything that decides whom to believe, opened from the configuration and closed with it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from typing import TYPE_CHECKING

from gateway.config import Config, ConfigError
from gateway.identity.api_keys import ApiKeys
from gateway.identity.authenticator import Authenticator
from gateway.identity.certificate import ClientCertificates
from gateway.identity.dpop import Nonces, ProofChecker
from gateway.identity.failure_limit import FailureLimit, network_of
from gateway.identity.guard import Guard, build_guard
from gateway.identity.issuers.fetching import Fetcher
from gateway.identity.issuers.introspection import Introspector
from gateway.identity.issuers.remote_keys import RemoteKeys
from gateway.identity.issuers.trusted import RingKeys, TrustedIssuer
from gateway.identity.revocation import Revocations
from gateway.identity.token_policy import TokenPolicy, built_in_policy, claim_path
from gateway.identity.verifier import FAILURES_PER_ADDRESS, TokenVerifier
from gateway.upstream.origin import TrustedProxies
from portico.client.layers import callers_of
from portico.contract import Contract, ContractError, Finding
from portico.contract.security import declared_schemes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Mapping

    from gateway.config.model import TrustedIssuer as IssuerSettings
    from gateway.config.secrets import SecretStore
    from gateway.endpoints import Endpoint
    from gateway.identity.keys import KeyRing
    from gateway.identity.resource_metadata import Resources
    from gateway.identity.tokens import TokenIssuer
    from portico.redis.client import RedisClient


class Trust:
    """The verifier of tokens and what it needs beside tokens."""

    def __init__(
        self,
        config: Config,
        *,
        verifier: TokenVerifier,
        audience: str,
        redis: RedisClient | None = None,
        nonces: Nonces | None = None,
    ) -> None:
        self._config = config.identity
        self._audience = audience
        self.verifier = verifier
        self.proofs = ProofChecker(redis, nonces=nonces)
        self.certificates = ClientCertificates(
            config.identity.certificate_header, TrustedProxies(config.trusted_proxies)
        )
        self.api_keys = None if redis is None else ApiKeys(redis)

    def authenticator(
        self,
        endpoints: Iterable[Endpoint],
        *,
        contracts: Mapping[str, Contract],
        closed: Collection[str],
        resources: Resources,
    ) -> Authenticator:
        """Return what authenticates the requests for some endpoints.

        `contracts` are those of all tiers, and `closed` the APIs that take calls of tiers only.
        Raises ContractError for a scheme that cannot be enforced as things are configured.
        """
        found = list(endpoints)
        self._check_schemes({one.api: one.backend.contract for one in found}.values())
        return Authenticator(
            self.verifier,
            {one: self._guard(one, contracts, closed, resources) for one in found},
            public_url=resources.public_url,
            proofs=self.proofs,
            certificates=self.certificates,
            api_keys=self.api_keys,
            key_failures=FailureLimit(
                FAILURES_PER_ADDRESS, scope="api-key", key_function=network_of
            ),
            dpop_required=self._config.dpop.required,
        )

    def _guard(
        self,
        endpoint: Endpoint,
        contracts: Mapping[str, Contract],
        closed: Collection[str],
        resources: Resources,
    ) -> Guard:
        contract = endpoint.backend.contract
        name = contract.name
        today = dt.datetime.now(dt.UTC).date()
        return build_guard(
            contract,
            endpoint.operation,
            audiences=frozenset(
                {
                    self._audience,
                    name,
                    resources.public_url,
                    resources.identifier(contract.base_path),
                }
            ),
            metadata_url=resources.metadata_url(contract.base_path),
            callers=callers_of(name, contracts, today) if name in contracts else None,
            outside=name not in closed,
            dpop_required=self._config.dpop.required,
        )

    def _check_schemes(self, contracts: Iterable[Contract]) -> None:
        """Raise for API keys without a Redis and certificates that nobody would send."""
        missing = {
            "apiKey": self.api_keys is None and "keys are kept in Redis, and there is none",
            "mutualTLS": not self.certificates.header
            and "identity.certificate_header does not say where certificates come from",
        }
        findings = [
            Finding(
                position=contract.position("components", "securitySchemes", name),
                rule="unenforceable-security-scheme",
                message=f"the scheme {name!r} cannot be enforced: {missing[scheme['type']]}",
                hint="configure it, or use another scheme",
            )
            for contract in contracts
            for name, scheme in declared_schemes(contract.document).items()
            if missing.get(scheme["type"]) and _is_used(contract, scheme)
        ]
        if findings:
            raise ContractError(findings)


def _is_used(contract: Contract, scheme: Mapping[str, str]) -> bool:
    alternatives = [
        one for operation in contract.operations.values() for one in operation.security.alternatives
    ]
    if scheme["type"] == "mutualTLS":
        return any(one.certificate for one in alternatives)
    place = (scheme["in"], scheme["name"])
    return any((need.where, need.name) == place for one in alternatives for need in one.keys)


def built_in(ring: KeyRing, issuer: str) -> tuple[TrustedIssuer, RingKeys]:
    """Return the built-in issuer as one that is trusted, and its keys."""
    keys = RingKeys(ring)
    return TrustedIssuer(policy=built_in_policy(issuer), keys=keys), keys


@contextlib.asynccontextmanager
async def open_trust(
    config: Config,
    secrets: SecretStore,
    *,
    ring: KeyRing,
    issuer: TokenIssuer,
    redis: RedisClient | None,
) -> AsyncIterator[Trust]:
    """Open the issuers of the configuration and listen to what is revoked.

    An issuer that is away does not keep the gateway from starting: its tokens are answered with
    503 until its keys are there. Raises ConfigError.
    """
    own, ring_keys = built_in(ring, issuer.issuer)
    async with contextlib.AsyncExitStack() as stack:
        others = [
            await _open_issuer(stack, name, settings, secrets, issuer)
            for name, settings in config.identity.issuers.items()
        ]
        verifier = TokenVerifier(own, ring_keys, [trusted for trusted, _ in others])
        for _, keys in others:
            keys.changed = verifier.forget
            _run(stack, keys.run())
        if redis is not None:
            revocations = Revocations(redis, forget=verifier.forget)
            verifier.watch(revocations)
            _run(stack, revocations.listen())
        nonces = None
        if config.identity.dpop.nonce:
            secret = secrets.resolve(config.identity.dpop.secret, "identity.dpop.secret")
            nonces = Nonces(secret.encode())
        yield Trust(config, verifier=verifier, audience=issuer.audience, redis=redis, nonces=nonces)


async def _open_issuer(
    stack: contextlib.AsyncExitStack,
    name: str,
    settings: IssuerSettings,
    secrets: SecretStore,
    issuer: TokenIssuer,
) -> tuple[TrustedIssuer, RemoteKeys]:
    where = f"identity.issuers.{name}"
    if settings.issuer == issuer.issuer:
        hint = "remove it: tokens of the built-in issuer are accepted anyway"
        raise ConfigError(f"{where}.issuer", "is the built-in issuer", hint)
    try:
        fetcher = Fetcher(ca_file=settings.ca_file)
    except OSError as error:  # an SSLError is one
        hint = "name a file of PEM certificates"
        raise ConfigError(f"{where}.ca_file", f"cannot be read: {error}", hint) from None
    stack.push_async_callback(fetcher.aclose)
    keys = RemoteKeys(settings.issuer, fetcher)
    stack.push_async_callback(keys.aclose)
    policy = _policy(name, settings, issuer.audience)
    introspector = None
    if settings.introspection.client_id:
        introspector = _introspector(where, settings, policy, fetcher, keys, secrets)
        stack.push_async_callback(introspector.aclose)
    return TrustedIssuer(policy=policy, keys=keys, introspector=introspector), keys


def _policy(name: str, settings: IssuerSettings, audience: str) -> TokenPolicy:
    return TokenPolicy(
        issuer=settings.issuer,
        algorithms=frozenset(settings.algorithms),
        audience=settings.audience,
        stands_for=audience,
        leeway_seconds=settings.clock_skew_seconds,
        profile=not settings.legacy_typ,
        scope_claims=tuple(claim_path(text) for text in settings.scope_claims),
        scope_names={name: tuple(scopes) for name, scopes in settings.scope_names.items()},
        prefix=f"{name}:" if settings.prefix is None else settings.prefix,
    )


def _introspector(
    where: str,
    settings: IssuerSettings,
    policy: TokenPolicy,
    fetcher: Fetcher,
    keys: RemoteKeys,
    secrets: SecretStore,
) -> Introspector:
    asked = settings.introspection
    secret = secrets.resolve(asked.client_secret, f"{where}.introspection.client_secret")
    return Introspector(policy, fetcher, keys, url=asked.url, client=(asked.client_id, secret))


def _run(stack: contextlib.AsyncExitStack, work: Coroutine[object, object, None]) -> None:
    """Do some work until the stack is closed."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)
