"""Security requirements: a list is OR, its members are AND (OpenAPI 3.1.1, 4.8.30)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portico.contract.bundle import resolve

# Schemes that a bearer access token satisfies. No other scheme is enforced yet, so a contract
# that needs another one does not start: a declared scheme is never a no-op.
_BEARER_TYPES = frozenset({"oauth2", "openIdConnect"})


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an operation asks of its caller: any one of `alternatives`, each a set of scopes.

    `anonymous` says that no credentials are needed.
    """

    alternatives: tuple[frozenset[str], ...]
    anonymous: bool = False

    def allows(self, scopes: frozenset[str]) -> bool:
        """Tell whether an authenticated caller with these scopes may call the operation."""
        return self.anonymous or any(needed <= scopes for needed in self.alternatives)

    def scopes(self) -> frozenset[str]:
        """Return the scopes of the first alternative: the least that is enough."""
        return self.alternatives[0] if self.alternatives else frozenset()


ANYONE = Requirement(alternatives=(), anonymous=True)
NOBODY = Requirement(alternatives=())


def is_bearer(scheme: Mapping[str, Any]) -> bool:
    """Tell whether a security scheme is satisfied by a bearer access token."""
    if scheme.get("type") in _BEARER_TYPES:
        return True
    return scheme.get("type") == "http" and str(scheme.get("scheme", "")).lower() == "bearer"


def compile_requirement(security: Sequence[Mapping[str, Sequence[str]]]) -> Requirement:
    """Return the compiled form of a `security` member; an empty list means anyone."""
    if not security:
        return ANYONE
    alternatives = tuple(
        frozenset(scope for scopes in alternative.values() for scope in scopes)
        for alternative in security
        if alternative
    )
    return Requirement(alternatives, anonymous=any(not alternative for alternative in security))


def enforceable(
    security: Sequence[Mapping[str, Sequence[str]]],
    enforced: frozenset[str],
    otherwise: Requirement | None,
) -> Requirement | None:
    """Return what stands for a `security` member with schemes that are not enforced here.

    `enforced` are the names of the schemes that are. What is left of the alternatives without the
    others holds; `otherwise` does only where nothing is left. None leaves the member as it is.
    """
    if otherwise is None or all(enforced.issuperset(alternative) for alternative in security):
        return None
    kept = [
        {name: scopes for name, scopes in alternative.items() if name in enforced}
        for alternative in security
        if not alternative or not enforced.isdisjoint(alternative)
    ]
    return compile_requirement(kept) if kept else otherwise


def declared_schemes(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    schemes = document.get("components", {}).get("securitySchemes", {})
    return {name: resolve(document, scheme) for name, scheme in schemes.items()}


def declared_scopes(scheme: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the scopes of an oauth2 scheme, or None where the scheme declares none."""
    if scheme.get("type") != "oauth2":
        return None
    flows = scheme.get("flows", {}).values()
    return frozenset(scope for flow in flows for scope in flow.get("scopes", {}))
