"""An OpenID Connect provider as small as can be: its answers are what tests change."""

from __future__ import annotations

import time
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "portico+gateway", "the secret: of 100%"


@dataclass
class Provider:
    """Signs in whoever comes; `claims` come over those of its ID tokens."""

    url: str = ""
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "p1"}))
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str] = field(default_factory=dict)
    published: list[ECKey] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self, url: str) -> Starlette:
        """Return the provider as it is at an address."""
        self.url = url
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.describe),
                Route("/keys", self.keys),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
            ]
        )

    def sign_in(self, address: str) -> str:
        """Be the person who goes there and signs in: return where the browser is sent back to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{self.url}/authorize?")
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": self.url, **self.answer}
        kept = {name: value for name, value in answer.items() if value}
        return f"{query['redirect_uri']}?{urlencode(kept)}"

    async def describe(self, _: Request) -> Response:
        self.asked.append("configuration")
        document = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }
        return JSONResponse(document, self.status)

    async def keys(self, _: Request) -> Response:
        self.asked.append("keys")
        keys = [key.as_dict(private=False) for key in (self.published or [self.key])]
        return JSONResponse({"keys": keys})

    async def authorize(self, _: Request) -> Response:
        return RedirectResponse("/")

    async def token(self, request: Request) -> Response:
        form = await request.form()
        basic = b64decode(request.headers["authorization"].partition(" ")[2]).decode()
        assert [unquote_plus(part) for part in basic.split(":")] == [CLIENT_ID, CLIENT_SECRET]
        query = self.codes.pop(str(form["code"]), None)
        if query is None or form["redirect_uri"] != query["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": "248289761001",
            "name": "Jane Doe",
            "nonce": query["nonce"],
            "iat": now,
            "exp": now + 60,
            **self.claims,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "ES256", "kid": "p1", **self.header}
        token = jwt.encode(header, kept, self.key, algorithms=[header["alg"]])
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": token})
