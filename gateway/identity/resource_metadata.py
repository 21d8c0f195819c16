"""What each API says of itself to clients who look for its tokens (RFC 9728)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.identity.dpop import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from portico.contract import Contract

PREFIX = "/.well-known/oauth-protected-resource"
# As long as keys and metadata of the issuer.
_HEADERS = {"cache-control": "public, max-age=300"}
_CORS = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET"], allow_headers=["*"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The APIs of a gateway as protected resources, by the addresses that clients use."""

    public_url: str
    issuers: Sequence[str]
    dpop_required: bool = False
    certificates: bool = False
    _path: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_path", urlsplit(self.public_url).path)

    def identifier(self, base_path: str) -> str:
        """Return the resource identifier of an API, which tokens may have as their audience."""
        return self.public_url + base_path

    def metadata_url(self, base_path: str) -> str:
        """Return where an API describes itself: the well-known part goes before its path."""
        origin = self.public_url.removesuffix(self._path) if self._path else self.public_url
        return f"{origin}{PREFIX}{self._path}{base_path}"

    def document(self, base_path: str, title: str, scopes: Sequence[str]) -> dict[str, Any]:
        """Return the metadata of an API, or of the gateway as a whole for an empty path."""
        members: dict[str, Any] = {
            "resource": self.identifier(base_path),
            "resource_name": title,
            "authorization_servers": list(self.issuers),
            "bearer_methods_supported": ["header"],
            "resource_documentation": f"{self.public_url}/portal/",
            "dpop_signing_alg_values_supported": list(ALGORITHMS),
            "dpop_bound_access_tokens_required": self.dpop_required,
            "tls_client_certificate_bound_access_tokens": self.certificates,
        }
        if scopes:
            members["scopes_supported"] = list(scopes)
        return members

    def routes(self, contracts: Sequence[Contract]) -> list[Route]:
        """Return the routes of the metadata of each API, and of all of them together."""
        return [
            self._route("", "Portico", needed_scopes(contracts)),
            *(self._route(one.base_path, one.title, needed_scopes([one])) for one in contracts),
        ]

    def _route(self, base_path: str, title: str, scopes: Sequence[str]) -> Route:
        document = self.document(base_path, title, scopes)

        async def describe(_: Request) -> Response:
            return JSONResponse(document, headers=_HEADERS)

        path = urlsplit(self.metadata_url(base_path)).path
        return Route(path, describe, methods=["GET", "OPTIONS"], middleware=[_CORS])


def needed_scopes(contracts: Sequence[Contract]) -> list[str]:
    """Return the scopes that operations of some contracts ask for."""
    needed = (
        operation.security.every_scope()
        for contract in contracts
        for operation in contract.operations.values()
    )
    return sorted(frozenset[str]().union(*needed))
