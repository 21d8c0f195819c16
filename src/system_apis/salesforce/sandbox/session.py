"""Getting in: the token endpoint of the org, and the tokens it gave.

Two grants that machines use: client credentials, and a JWT signed with RS256 (RFC 7523). Errors
have the form of RFC 6749, 5.2. There is no `expires_in` in an answer: how long a token lasts is a
policy of the org.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

CLIENT_CREDENTIALS = "client_credentials"
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
SESSION_SECONDS = 7200.0
# The documentation says three minutes; clients in use send five, and an org takes them.
MAX_ASSERTION_SECONDS = 300.0
LEEWAY_SECONDS = 60.0
MAX_TOKENS = 1000


class GrantError(Exception):
    """A grant that is refused, by its OAuth error code."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An external client app: its secret, and the key that it signs assertions for a user with."""

    client_id: str
    client_secret: str
    username: str
    public_key_pem: str = ""


class Sessions:
    """The tokens of an org."""

    def __init__(self, org_id: str, app: App, clock: Callable[[], float] = time) -> None:
        self._org_id = org_id
        self._app = app
        self._clock = clock
        self._expiries: dict[str, float] = {}

    def grant(self, form: Mapping[str, str], authorization: str) -> dict[str, str]:
        """Return what a token request is answered with; raises GrantError."""
        match form.get("grant_type"):
            case "client_credentials":
                self._check_secret(form, authorization)
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                self._check_assertion(form.get("assertion", ""))
            case _:
                raise GrantError("unsupported_grant_type", "grant type not supported")
        return self._opened()

    def accepts(self, token: str) -> bool:
        """Tell whether a token is one that lasts."""
        expiry = self._expiries.get(token)
        return expiry is not None and expiry > self._clock()

    def revoke_all(self) -> None:
        """End every session, as an administrator can."""
        self._expiries.clear()

    def _opened(self) -> dict[str, str]:
        token = f"{self._org_id[:15]}!{secrets.token_urlsafe(48)}"
        now = self._clock()
        self._expiries[token] = now + SESSION_SECONDS
        if len(self._expiries) > MAX_TOKENS:
            del self._expiries[next(iter(self._expiries))]
        identity = f"https://login.salesforce.com/id/{self._org_id}/005QyK000000001IAC"
        issued_at = str(int(now * 1000))
        digest = hmac.digest(
            self._app.client_secret.encode(), f"{identity}{issued_at}".encode(), hashlib.sha256
        )
        return {
            "access_token": token,
            "signature": base64.b64encode(digest).decode("ascii"),
            "scope": "api",
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued_at,
        }

    def _check_secret(self, form: Mapping[str, str], authorization: str) -> None:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        if authorization:
            client_id, secret = _basic(authorization)
        if not hmac.compare_digest(client_id.encode(), self._app.client_id.encode()):
            raise GrantError("invalid_client_id", "client identifier invalid")
        if not hmac.compare_digest(secret.encode(), self._app.client_secret.encode()):
            raise GrantError("invalid_client", "invalid client credentials")

    def _check_assertion(self, assertion: str) -> None:
        if not self._app.public_key_pem:
            raise GrantError("invalid_grant", "no certificate is registered")
        key = RSAKey.import_key(self._app.public_key_pem)
        try:
            claims = jwt.decode(assertion, key, algorithms=["RS256"]).claims
            expiry = float(claims["exp"])
        except (JoseError, ValueError, KeyError, TypeError):
            raise GrantError("invalid_grant", "invalid assertion") from None
        now = self._clock()
        if claims.get("iss") != self._app.client_id:
            raise GrantError("invalid_client_id", "client identifier invalid")
        if claims.get("aud") not in AUDIENCES:
            raise GrantError("invalid_grant", "audience is invalid")
        if claims.get("sub") != self._app.username:
            raise GrantError("invalid_grant", "user hasn't approved this consumer")
        if not now - LEEWAY_SECONDS < expiry <= now + MAX_ASSERTION_SECONDS + LEEWAY_SECONDS:
            raise GrantError("invalid_grant", "assertion has expired or lasts too long")


def _basic(authorization: str) -> tuple[str, str]:
    try:
        decoded = base64.b64decode(authorization.partition(" ")[2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise GrantError("invalid_client", "invalid client credentials") from None
    client_id, _, secret = decoded.partition(":")
    return client_id, secret
