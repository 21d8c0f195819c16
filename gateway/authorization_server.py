"""The authorization server of a configuration: its clients, people, state and addresses."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.routing import Route

from gateway.config import Client, Config, ConfigError
from gateway.config.secrets import SecretStore
from gateway.identity.clients import (
    PUBLIC,
    SECRET_METHODS,
    TOKEN_EXCHANGE,
    ClientRecord,
    ClientRegistry,
    hash_secret,
)
from gateway.identity.issuer import CALLBACK_PATH, checked_issuer
from gateway.identity.issuers.fetching import Fetcher
from gateway.identity.keys import KeyRing
from gateway.identity.server.client_metadata import RegistrationPolicy
from gateway.identity.server.routes import ServerParts, routes
from gateway.identity.server.state import ServerState
from gateway.identity.server.upstream import ProviderOptions, UpstreamProvider
from gateway.identity.server.users import UserRecord, Users
from gateway.identity.tokens import TokenIssuer
from gateway.identity.trust import Trust
from portico.limits.engine import LimitEngine
from portico.redis.client import RedisClient

# An initial token has to be as hard to guess as a client's secret.
_MIN_TOKEN_CHARACTERS = 16
_MAX_JWKS_BYTES = 64 * 1024
_GRANTS = {"token_exchange": TOKEN_EXCHANGE}
_METHODS = {"client_secret": SECRET_METHODS, "none": frozenset({PUBLIC})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What the contracts of this process offer.

    `is_all` is false where some contracts are elsewhere, so that no scope can be called unknown.
    `withheld_scopes` are those of APIs that are switched off: clients may have them, for later.
    """

    scopes: Sequence[str]
    withheld_scopes: Sequence[str] = ()
    scope_texts: Mapping[str, str]
    resources: Collection[str]
    names: Collection[str]
    is_all: bool


def server_state(config: Config, secrets: SecretStore, redis: RedisClient) -> ServerState:
    """Return what the server keeps in Redis."""
    secret = secrets.resolve(config.identity.secret, "identity.secret").encode()
    try:
        return ServerState.over(redis, secret, time.time)
    except ValueError as error:
        hint = "use 16 random characters or more, such as from: openssl rand -hex 32"
        raise ConfigError("identity.secret", str(error), hint) from None


@contextlib.asynccontextmanager
async def open_authorization_server(
    config: Config,
    secrets: SecretStore,
    redis: RedisClient | None,
    keys: KeyRing,
    issuer: TokenIssuer,
    trust: Trust,
    offered: Offered,
) -> AsyncIterator[list[Route]]:
    """Yield the routes of the server. Raises ConfigError, IdentityError."""
    async with contextlib.AsyncExitStack() as stack:
        state = None if redis is None else server_state(config, secrets, redis)
        limits = LimitEngine(redis)
        stack.push_async_callback(limits.close)
        identity = config.identity
        yield routes(
            ServerParts(
                issuer=issuer,
                keys=keys,
                clients=_clients(config, secrets, state, offered),
                scopes=offered.scopes,
                state=state,
                limits=limits,
                users=Users(user_records(config, secrets)),
                provider=await _provider(stack, config, secrets, issuer.issuer),
                registration=_registration(config, secrets, offered),
                certificates=trust.certificates if identity.certificate_header else None,
                proofs=trust.proofs,
                scope_texts=offered.scope_texts,
                resources=offered.resources,
                names=offered.names,
                access_token_seconds=identity.access_token_seconds,
                session_seconds=identity.session_seconds,
                grant_seconds=identity.grant_seconds,
            )
        )


def _clients(
    config: Config, secrets: SecretStore, state: ServerState | None, offered: Offered
) -> ClientRegistry:
    records = [
        client_record(client_id, client, secrets, offered)
        for client_id, client in config.clients.items()
    ]
    return ClientRegistry(records, None if state is None else state.registered)


def client_record(
    client_id: str, client: Client, secrets: SecretStore, offered: Offered
) -> ClientRecord:
    """Return the record of a configured client. Raises ConfigError, ClientRecordError."""
    where = f"clients.{client_id}"
    if "/" in client_id:
        raise ConfigError(where, "is a name like that of an API", "leave out the slash")
    _check_scopes(f"{where}.scopes", client.scopes, offered)
    unknown = sorted(set(client.audiences) - set(offered.names))
    if unknown and offered.is_all:
        raise ConfigError(
            f"{where}.audiences",
            f"there is no API {', '.join(unknown)}",
            f"the APIs are {', '.join(sorted(offered.names))}",
        )
    references = [client.secret, client.previous_secret]
    found = [secrets.resolve(ref, f"{where}.secret") for ref in references if ref]
    return ClientRecord(
        client_id=client_id,
        secret_hashes=tuple(hash_secret(secret) for secret in found),
        scopes=frozenset(client.scopes),
        subject=client.subject,
        name=client.name,
        auth_methods=_METHODS.get(client.authentication, frozenset({client.authentication})),
        grant_types=frozenset(_GRANTS.get(grant, grant) for grant in client.grants),
        redirect_uris=tuple(client.redirect_uris),
        native=client.native,
        first_party=client.first_party,
        pushed_requests_only=client.pushed_requests_only,
        dpop_bound=client.dpop_bound,
        introspects=client.introspects,
        audiences=frozenset(client.audiences),
        plan=client.plan,
        jwks=None if client.jwks is None else _read_jwks(client.jwks, f"{where}.jwks"),
        tls_subject=client.tls_subject,
    )


def user_records(config: Config, secrets: SecretStore) -> list[UserRecord]:
    """Return the people of the configuration. Raises ConfigError, UserRecordError."""
    found = []
    for username, user in config.identity.users.items():
        where = f"identity.users.{username}.password_hash"
        password_hash = user.password_hash
        if not password_hash.startswith("$"):
            password_hash = secrets.resolve(password_hash, where)
        found.append(
            UserRecord(
                username=username,
                subject=user.subject or username,
                name=user.name or username,
                password_hash=password_hash,
                scopes=None if user.scopes is None else frozenset(user.scopes),
            )
        )
    return found


def _check_scopes(where: str, scopes: Collection[str], offered: Offered) -> None:
    unknown = sorted(set(scopes) - {*offered.scopes, *offered.withheld_scopes})
    if unknown and offered.is_all:
        raise ConfigError(
            where,
            f"no contract declares the scope {', '.join(unknown)}",
            f"the scopes are {', '.join(offered.scopes)}",
        )


def _registration(
    config: Config, secrets: SecretStore, offered: Offered
) -> RegistrationPolicy | None:
    registration = config.identity.registration
    if not registration.initial_token:
        return None
    where = "identity.registration"
    _check_scopes(f"{where}.scopes", registration.scopes, offered)
    if registration.plan and registration.plan not in config.rate_limits.plans:
        raise ConfigError(
            f"{where}.plan",
            f"there is no plan {registration.plan!r}",
            f"the plans are {', '.join(config.rate_limits.plans) or 'none yet'}",
        )
    token = secrets.resolve(registration.initial_token, f"{where}.initial_token")
    if len(token) < _MIN_TOKEN_CHARACTERS:
        raise ConfigError(
            f"{where}.initial_token",
            f"the token has fewer than {_MIN_TOKEN_CHARACTERS} characters",
            "make one with: openssl rand -hex 32",
        )
    return RegistrationPolicy(
        initial_hash=sha256(token.encode()).hexdigest(),
        scopes=frozenset(registration.scopes),
        grant_types=frozenset(_GRANTS.get(grant, grant) for grant in registration.grants),
        plan=registration.plan,
    )


async def _provider(
    stack: contextlib.AsyncExitStack, config: Config, secrets: SecretStore, issuer: str
) -> UpstreamProvider | None:
    provider = config.identity.provider
    if provider is None:
        return None
    where = "identity.provider"
    if "openid" not in provider.scopes:
        raise ConfigError(f"{where}.scopes", "openid is not among them", "add openid")
    # The slash that some have at the end is part of their name.
    checked_issuer(provider.issuer.rstrip("/"))
    options = ProviderOptions(
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=secrets.resolve(provider.client_secret, f"{where}.client_secret"),
        name=provider.name,
        scopes=tuple(provider.scopes),
        redirect_uri=issuer + CALLBACK_PATH,
    )
    fetcher = Fetcher()
    stack.push_async_callback(fetcher.aclose)
    return UpstreamProvider(options, fetcher, time.time)


def _read_jwks(path: Path, where: str) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_JWKS_BYTES + 1)
        document = json.loads(raw)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise ConfigError(where, f"{path} cannot be read: {reason}", "check the path") from None
    if not isinstance(document, dict) or len(raw) > _MAX_JWKS_BYTES:
        raise ConfigError(where, f"{path} is not a JWK Set", "write the public keys there")
    return document
