"""What the server says about itself (RFC 8414): only what there is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.identity.clients import (
    AUTH_METHODS,
    CLIENT_CREDENTIALS,
    GRANT_TYPES,
    PRIVATE_KEY_JWT,
    PUBLIC,
    SELF_SIGNED_TLS,
    TLS_CLIENT_AUTH,
)
from gateway.identity.dpop import ALGORITHMS as DPOP_ALGORITHMS
from gateway.identity.issuer import (
    AUTHORIZE_PATH,
    INTROSPECT_PATH,
    JWKS_PATH,
    PUSHED_REQUEST_PATH,
    REGISTER_PATH,
    REVOKE_PATH,
    TOKEN_PATH,
)
from gateway.identity.server.assertions import ALGORITHMS as ASSERTION_ALGORITHMS

_TLS_METHODS = frozenset({TLS_CLIENT_AUTH, SELF_SIGNED_TLS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What this deployment offers beyond tokens by client credentials."""

    has_store: bool
    certificates: bool
    registration: bool


def metadata(issuer: str, scopes: Collection[str], offer: Offer) -> dict[str, object]:
    """Return the document."""
    methods = _methods(offer)
    document: dict[str, object] = {
        "issuer": issuer,
        "token_endpoint": issuer + TOKEN_PATH,
        "jwks_uri": issuer + JWKS_PATH,
        # Required even where it is empty.
        "response_types_supported": ["code"] if offer.has_store else [],
        "grant_types_supported": list(GRANT_TYPES) if offer.has_store else [CLIENT_CREDENTIALS],
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint": issuer + INTROSPECT_PATH,
        "introspection_endpoint_auth_methods_supported": [
            method for method in methods if method != PUBLIC
        ],
    }
    if offer.has_store:
        document |= _with_store(issuer, methods)
    if offer.certificates:
        document["tls_client_certificate_bound_access_tokens"] = True
    if offer.registration:
        document["registration_endpoint"] = issuer + REGISTER_PATH
    if scopes:
        document["scopes_supported"] = sorted(scopes)
    return document


def _methods(offer: Offer) -> list[str]:
    """Return how clients may prove themselves; one-time assertions need the store."""
    left_out = frozenset() if offer.certificates else _TLS_METHODS
    if not offer.has_store:
        left_out |= {PRIVATE_KEY_JWT, PUBLIC}
    return [method for method in AUTH_METHODS if method not in left_out]


def _with_store(issuer: str, methods: list[str]) -> dict[str, object]:
    algorithms = list(ASSERTION_ALGORITHMS)
    return {
        "authorization_endpoint": issuer + AUTHORIZE_PATH,
        "pushed_authorization_request_endpoint": issuer + PUSHED_REQUEST_PATH,
        "require_pushed_authorization_requests": False,
        "authorization_response_iss_parameter_supported": True,
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "revocation_endpoint": issuer + REVOKE_PATH,
        "revocation_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),
    }
