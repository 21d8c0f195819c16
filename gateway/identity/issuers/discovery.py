"""Where an issuer says what it is: RFC 8414 metadata, or OpenID Connect Discovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from gateway.identity.issuers.errors import IssuerUnavailableError
from gateway.identity.issuers.fetching import is_secure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.identity.issuers.fetching import Fetcher

_OAUTH = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Addresses of an issuer; empty where it does not name one."""

    keys_url: str
    introspection_url: str


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Return where the metadata may be, in the order of trying.

    RFC 8414 section 3.1 inserts its path before that of the issuer, OpenID Connect appends it.

    >>> metadata_urls("https://id.example/tenant")[0]
    'https://id.example/.well-known/oauth-authorization-server/tenant'
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return tuple(
        urlunsplit((parts.scheme, parts.netloc, place, "", ""))
        for place in (_OAUTH + path, path + _OPENID)
    )


async def discover(issuer: str, fetcher: Fetcher) -> Metadata:
    """Return the metadata of an issuer. Raises IssuerUnavailableError with every reason."""
    reasons = []
    for url in metadata_urls(issuer):
        try:
            document = await fetcher.get(url)
            return _read(issuer, url, document.members)
        except IssuerUnavailableError as error:
            reasons.append(str(error))
    raise IssuerUnavailableError("; ".join(reasons))


def _read(issuer: str, url: str, members: Mapping[str, object]) -> Metadata:
    # Code points are compared: an issuer is not the address that answers to its name.
    if members.get("issuer") != issuer:
        raise IssuerUnavailableError(f"{url}: the metadata is of another issuer")
    keys_url = _address(members, "jwks_uri")
    introspection_url = _address(members, "introspection_endpoint")
    if not keys_url and not introspection_url:
        raise IssuerUnavailableError(f"{url}: the metadata names no keys")
    return Metadata(keys_url=keys_url, introspection_url=introspection_url)


def _address(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) and is_secure(value) else ""
