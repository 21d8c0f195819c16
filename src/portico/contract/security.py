"""Security requirements: a list is OR, its members are AND (OpenAPI 3.1.1, 4.8.30)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portico.contract.bundle import resolve

# Schemes that an access token satisfies.
_TOKEN_TYPES = frozenset({"oauth2", "openIdConnect"})
_KEY_PLACES = frozenset({"header", "query", "cookie"})
# Fields in which a key would be mistaken for something else.
_TAKEN_HEADERS = frozenset({"authorization", "dpop", "cookie", "host"})


@dataclass(frozen=True, slots=True)
class KeyNeed:
    """An API key that is asked for: the header, query parameter or cookie, and its scopes."""

    where: str
    name: str
    scopes: frozenset[str] = frozenset()

    @property
    def place(self) -> tuple[str, str]:
        """Return where the key is, which several needs may share."""
        return self.where, self.name


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to be let in; all of it is needed. `scopes` are those of the token."""

    scopes: frozenset[str] = frozenset()
    token: bool = True
    keys: tuple[KeyNeed, ...] = ()
    certificate: bool = False

    @property
    def by_token(self) -> bool:
        """Tell whether a token is enough."""
        return self.token and not self.keys and not self.certificate


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an operation asks of its caller: any one of `alternatives`.

    `anonymous` says that no credentials are needed. `by_token` are the sets of scopes of which one
    is enough for a caller with nothing but a token.
    """

    alternatives: tuple[Alternative, ...]
    anonymous: bool = False
    by_token: tuple[frozenset[str], ...] = field(init=False)

    def __post_init__(self) -> None:
        enough = tuple(one.scopes for one in self.alternatives if one.by_token)
        object.__setattr__(self, "by_token", enough)

    def allows(self, scopes: frozenset[str]) -> bool:
        """Tell whether a caller with a token of these scopes may call the operation."""
        for needed in self.by_token:  # mostly one; a generator would cost more than it asks
            if needed <= scopes:
                return True
        return self.anonymous

    @property
    def callable(self) -> bool:
        """Tell whether there is a way in for a caller with nothing but a token."""
        return self.anonymous or bool(self.by_token)

    def scopes(self) -> frozenset[str]:
        """Return the least scopes of a token that is enough, those of the first alternative."""
        return self.by_token[0] if self.by_token else frozenset()

    def every_scope(self) -> frozenset[str]:
        """Return all scopes that are named, of tokens and of keys."""
        keys = (need.scopes for one in self.alternatives for need in one.keys)
        return frozenset().union(*(one.scopes for one in self.alternatives), *keys)


ANYONE = Requirement(alternatives=(), anonymous=True)
NOBODY = Requirement(alternatives=())


def needing(scopes: Iterable[str]) -> Requirement:
    """Return the requirement of a token with these scopes."""
    return Requirement((Alternative(frozenset(scopes)),))


def unenforced(scheme: Mapping[str, Any]) -> str:
    """Return why a security scheme is not enforced here, nothing where it is.

    A declared scheme is never a no-op: a contract that needs another one does not start.
    """
    kind = scheme.get("type")
    if kind in _TOKEN_TYPES or kind == "mutualTLS":
        return ""
    if kind == "http":
        named = str(scheme.get("scheme", ""))
        return "" if named.lower() == "bearer" else f"HTTP authentication {named!r} is not"
    if kind != "apiKey":
        return f"the type {kind!r} is not"
    where, name = scheme.get("in"), str(scheme.get("name", ""))
    if where not in _KEY_PLACES:
        return f"an API key in {where!r} is not"
    if where == "header" and name.lower() in _TAKEN_HEADERS:
        return f"an API key in the header {name} is not"
    return ""


def compile_requirement(
    security: Sequence[Mapping[str, Sequence[str]]], schemes: Mapping[str, Mapping[str, Any]]
) -> Requirement:
    """Return the compiled form of a `security` member; an empty list means anyone.

    `schemes` are the declared ones, which rules have found to be enforced.
    """
    if not security:
        return ANYONE
    alternatives = tuple(_alternative(one, schemes) for one in security if one)
    return Requirement(alternatives, anonymous=not all(security))


def _alternative(
    named: Mapping[str, Sequence[str]], schemes: Mapping[str, Mapping[str, Any]]
) -> Alternative:
    keys: list[KeyNeed] = []
    scopes: set[str] = set()
    token = certificate = False
    for name, needed in named.items():
        scheme = schemes[name]
        if scheme["type"] == "apiKey":
            keys.append(KeyNeed(scheme["in"], scheme["name"], frozenset(needed)))
        elif scheme["type"] == "mutualTLS":
            certificate = True
        else:
            token = True
            scopes |= set(needed)
    return Alternative(frozenset(scopes), token, tuple(keys), certificate)


def enforceable(
    security: Sequence[Mapping[str, Sequence[str]]],
    schemes: Mapping[str, Mapping[str, Any]],
    otherwise: Requirement | None,
) -> Requirement | None:
    """Return what stands for a `security` member with schemes that are not enforced here.

    What is left of the alternatives without them holds; `otherwise` does only where nothing is
    left. None leaves the member as it is.
    """
    enforced = {name for name, scheme in schemes.items() if not unenforced(scheme)}
    if otherwise is None or all(enforced.issuperset(alternative) for alternative in security):
        return None
    kept = [
        {name: scopes for name, scopes in alternative.items() if name in enforced}
        for alternative in security
        if not alternative or not enforced.isdisjoint(alternative)
    ]
    return compile_requirement(kept, schemes) if kept else otherwise


def declared_schemes(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    schemes = document.get("components", {}).get("securitySchemes", {})
    return {name: resolve(document, scheme) for name, scheme in schemes.items()}


def declared_scopes(scheme: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the scopes of an oauth2 scheme, or None where the scheme declares none."""
    if scheme.get("type") != "oauth2":
        return None
    flows = scheme.get("flows", {}).values()
    return frozenset(scope for flow in flows for scope in flow.get("scopes", {}))
