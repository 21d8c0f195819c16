"""The authorization server, put together from its parts: what answers at which address."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.identity import issuer as at
from gateway.identity.brute_force import BruteForceGuard
from gateway.identity.certificate import ClientCertificates
from gateway.identity.dpop import ProofChecker
from gateway.identity.server.assertions import AssertionVerifier
from gateway.identity.server.authorization import BEGUN_PER_ADDRESS, AuthorizationRequests
from gateway.identity.server.client_authentication import ClientAuthenticator
from gateway.identity.server.client_metadata import RegistrationPolicy
from gateway.identity.server.confirmation import Binder
from gateway.identity.server.endpoint import ANY_ORIGIN, ClientEndpoint
from gateway.identity.server.forms import BODY_TIMEOUT_SECONDS
from gateway.identity.server.issuance import Issuance
from gateway.identity.server.metadata import Offer, metadata
from gateway.identity.server.own_tokens import OwnTokens
from gateway.identity.server.pages import Pages
from gateway.identity.server.registration import RegistrationEndpoint
from gateway.identity.server.sign_in import SignIn, SignInOptions
from gateway.identity.server.sign_in_limits import SignInLimits
from gateway.identity.server.token_service import TokenService
from gateway.identity.server.token_status import TokenStatus
from gateway.identity.server.upstream import UpstreamProvider
from gateway.identity.server.upstream_sign_in import UpstreamSignIn
from gateway.identity.server.users import Users
from gateway.identity.tokens import SERVICE_LIFETIME_SECONDS, TokenIssuer
from gateway.upstream.origin import TrustedProxies
from portico.limits.engine import LimitEngine

if TYPE_CHECKING:
    from gateway.identity.clients import ClientRegistry
    from gateway.identity.keys import KeyRing
    from gateway.identity.server.state import ServerState

# Verifiers may keep the keys this long, so a new key is published longer before it signs.
_DOCUMENT_HEADERS = {"cache-control": "public, max-age=300"}
# OPTIONS is for the middleware: some clients send headers that need a preflight.
_DOCUMENT_METHODS = ["GET", "OPTIONS"]
_MONTH_SECONDS = 30 * 86_400
_EIGHT_HOURS_SECONDS = 8 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerParts:
    """What a deployment consists of. Without `state` there are no people and no registration.

    `resources` are the addresses that tokens may be asked for, `names` the APIs of the tiers.
    """

    issuer: TokenIssuer
    keys: KeyRing
    clients: ClientRegistry
    scopes: Collection[str]
    state: ServerState | None = None
    limits: LimitEngine = field(default_factory=lambda: LimitEngine(None))
    users: Users | None = None
    provider: UpstreamProvider | None = None
    registration: RegistrationPolicy | None = None
    certificates: ClientCertificates | None = None
    proofs: ProofChecker | None = None
    guard: BruteForceGuard = field(default_factory=BruteForceGuard)
    begun_per_address: str = BEGUN_PER_ADDRESS
    sign_in_limits: Mapping[str, str] = field(default_factory=dict)
    scope_texts: Mapping[str, str] = field(default_factory=dict)
    resources: Collection[str] = ()
    names: Collection[str] = ()
    access_token_seconds: int = SERVICE_LIFETIME_SECONDS
    session_seconds: int = _EIGHT_HOURS_SECONDS
    grant_seconds: int = _MONTH_SECONDS
    body_timeout_seconds: float = BODY_TIMEOUT_SECONDS
    clock: Callable[[], float] = time.time


def routes(parts: ServerParts) -> list[Route]:
    """Return the routes of the server."""
    issuance = Issuance(
        parts.issuer,
        resources=parts.resources,
        names=parts.names,
        lifetime_seconds=parts.access_token_seconds,
    )
    found = [*_documents(parts), *_for_clients(parts, issuance)]
    if parts.state is not None:
        found += _for_people(parts, parts.state, issuance)
    if parts.state is not None and parts.registration is not None:
        found += _registration(parts, parts.state, parts.registration)
    return found


def _documents(parts: ServerParts) -> list[Route]:
    keys, issuer = parts.keys, parts.issuer.issuer
    offer = Offer(
        has_store=parts.state is not None,
        certificates=parts.certificates is not None,
        registration=parts.state is not None and parts.registration is not None,
    )
    document = metadata(issuer, parts.scopes, offer)

    async def jwks(_: Request) -> Response:
        return JSONResponse(
            dict(keys.public_document()),
            headers=_DOCUMENT_HEADERS,
            media_type="application/jwk-set+json",
        )

    async def describe(_: Request) -> Response:
        return JSONResponse(document, headers=_DOCUMENT_HEADERS)

    described = at.metadata_path(issuer)
    return [
        Route(at.JWKS_PATH, jwks, methods=_DOCUMENT_METHODS, middleware=[ANY_ORIGIN]),
        Route(described, describe, methods=_DOCUMENT_METHODS, middleware=[ANY_ORIGIN]),
    ]


def _for_clients(parts: ServerParts, issuance: Issuance) -> list[Route]:
    state, issuer, clock = parts.state, parts.issuer.issuer, parts.clock
    assertions = AssertionVerifier(issuer, None if state is None else state.records, clock)
    certificates = parts.certificates or ClientCertificates("", TrustedProxies())
    authenticator = ClientAuthenticator(parts.clients, assertions, certificates, parts.guard, clock)
    revocations = None if state is None else state.revocations
    own_tokens = OwnTokens(parts.keys, issuer, revocations, clock)
    proofs = parts.proofs or ProofChecker(None if state is None else state.redis, clock=clock)
    binder = Binder(proofs, issuer + at.TOKEN_PATH)
    users = parts.users or Users([])
    tokens = TokenService(
        issuance,
        sorted(parts.scopes),
        own_tokens,
        binder,
        state,
        users.knows,
    )
    status = TokenStatus(own_tokens, state, issuer)
    services = {at.TOKEN_PATH: tokens.respond, at.INTROSPECT_PATH: status.introspect}
    if state is not None:
        requests = _requests(parts, state, issuance)
        services |= {at.REVOKE_PATH: status.revoke, at.PUSHED_REQUEST_PATH: requests.push}
    return [
        Route(
            path,
            ClientEndpoint(authenticator, respond, body_timeout_seconds=parts.body_timeout_seconds),
            middleware=[ANY_ORIGIN],
        )
        for path, respond in services.items()
    ]


def _requests(parts: ServerParts, state: ServerState, issuance: Issuance) -> AuthorizationRequests:
    return AuthorizationRequests(
        issuance, sorted(parts.scopes), state, begun_per_address=parts.begun_per_address
    )


def _for_people(parts: ServerParts, state: ServerState, issuance: Issuance) -> list[Route]:
    """Return the pages. No other origin may read them: they have no CORS (RFC 8414, 9700)."""
    issuer, users = parts.issuer.issuer, parts.users or Users([])
    pages = Pages(
        root=urlsplit(issuer).path,
        scope_texts=parts.scope_texts,
        with_password=len(users) > 0,
        upstream="" if parts.provider is None else parts.provider.name,
    )
    sign_in = SignIn(
        _requests(parts, state, issuance),
        parts.clients,
        state,
        users,
        SignInLimits(parts.limits, **parts.sign_in_limits),
        pages,
        SignInOptions(
            issuer=issuer,
            session_seconds=parts.session_seconds,
            grant_seconds=parts.grant_seconds,
        ),
        parts.clock,
    )
    found = [
        Route(at.AUTHORIZE_PATH, sign_in.authorize, methods=["GET"]),
        Route(at.SIGN_IN_PATH, sign_in.sign_in, methods=["POST"]),
        Route(at.CONSENT_PATH, sign_in.consent, methods=["GET", "POST"]),
        Route(at.SIGN_OUT_PATH, sign_in.sign_out, methods=["GET", "POST"]),
        Route(at.STYLE_PATH, sign_in.style, methods=["GET"]),
    ]
    if parts.provider is not None:
        upstream = UpstreamSignIn(parts.provider, sign_in, state.records, parts.clock)
        found += [
            Route(at.UPSTREAM_PATH, upstream.leave, methods=["GET"]),
            Route(at.CALLBACK_PATH, upstream.come_back, methods=["GET"]),
        ]
    return found


def _registration(
    parts: ServerParts, state: ServerState, policy: RegistrationPolicy
) -> list[Route]:
    endpoint = RegistrationEndpoint(
        policy, state.registered, parts.guard, parts.issuer.issuer, parts.clock
    )
    own = at.REGISTER_PATH + "/{client_id}"
    managing = ["GET", "PUT", "DELETE", "OPTIONS"]
    return [
        Route(
            at.REGISTER_PATH,
            endpoint.register,
            methods=["POST", "OPTIONS"],
            middleware=[ANY_ORIGIN],
        ),
        Route(own, endpoint.manage, methods=managing, middleware=[ANY_ORIGIN]),
    ]
