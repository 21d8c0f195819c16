"""The issuer identifier: the URI in `iss` and in the metadata, and the addresses below it."""

from __future__ import annotations

from urllib.parse import urlsplit

from authlib.common.security import is_secure_transport

from gateway.identity.errors import IssuerError

TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path, not a password
AUTHORIZE_PATH = "/oauth2/authorize"
INTROSPECT_PATH = "/oauth2/introspect"
REVOKE_PATH = "/oauth2/revoke"
PUSHED_REQUEST_PATH = "/oauth2/par"
REGISTER_PATH = "/oauth2/register"
SIGN_IN_PATH = "/oauth2/sign-in"
SIGN_OUT_PATH = "/oauth2/sign-out"
CONSENT_PATH = "/oauth2/consent"
UPSTREAM_PATH = "/oauth2/sign-in/upstream"
CALLBACK_PATH = "/oauth2/sign-in/callback"
STYLE_PATH = "/oauth2/style.css"
JWKS_PATH = "/.well-known/jwks.json"
_METADATA_PREFIX = "/.well-known/oauth-authorization-server"


def checked_issuer(issuer: str) -> str:
    """Return the issuer if RFC 8414 section 2 allows it, http only on loopback."""
    hint = "use the public https address of the gateway, such as https://api.example.com"
    if not is_secure_transport(issuer):
        raise IssuerError(f"the issuer {issuer!r} is neither https nor loopback http", hint=hint)
    parts = urlsplit(issuer)
    if "?" in issuer or "#" in issuer or "@" in parts.netloc or issuer.endswith("/"):
        raise IssuerError(
            f"the issuer {issuer!r} has a query, a fragment, a user or a slash at its end",
            hint=hint,
        )
    return issuer


def metadata_path(issuer: str) -> str:
    """Return where RFC 8414 section 3 puts the metadata: the issuer's path comes last."""
    return _METADATA_PREFIX + urlsplit(issuer).path
