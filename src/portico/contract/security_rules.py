"""Security requirements that name what is not declared, not enforced, or nothing at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portico.contract.bundle import Bundle
from portico.contract.findings import Finding
from portico.contract.operations import operations_of
from portico.contract.security import declared_schemes, declared_scopes, unenforced
from portico.contract.walk import Pointer

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")  # scope-token of RFC 6749 section 3.3


def unsecured(bundle: Bundle) -> Iterator[Finding]:
    """Yield a finding for each operation that no `security` covers."""
    if "security" in bundle.document:
        return
    for pointer, template, method, _, node in operations_of(bundle.document):
        if "security" not in node:
            yield bundle.finding(
                pointer,
                "operation-without-security",
                f"{method} {template} says nothing about security",
                "add `security` with a scheme and scopes; `security: []` means anyone",
            )


def unsupported_schemes(bundle: Bundle) -> Iterator[Finding]:
    """Yield a finding for each scheme in use that the gateway does not enforce."""
    used = {name for _, alternative in _requirements(bundle.document) for name in alternative}
    for name, scheme in declared_schemes(bundle.document).items():
        reason = unenforced(scheme) if name in used else ""
        if reason:
            yield bundle.finding(
                ("components", "securitySchemes", name),
                "unsupported-security-scheme",
                f"the scheme {name!r} cannot be used: {reason} enforced here",
                "use oauth2, openIdConnect, http bearer, apiKey or mutualTLS, "
                "or say in the configuration of the API which scopes replace its security",
            )


def scheme_findings(bundle: Bundle) -> Iterator[Finding]:
    """Yield a finding for each requirement of a scheme or scope that is not declared."""
    schemes = declared_schemes(bundle.document)
    for at, alternative in _requirements(bundle.document):
        for name, scopes in alternative.items():
            yield from _scheme(bundle, (*at, name), schemes.get(name), name, scopes)


def _requirements(document: Mapping[str, Any]) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    """Yield each alternative of each security requirement, with where it stands."""
    holders: list[tuple[Pointer, Mapping[str, Any]]] = [((), document)]
    holders += [(pointer, node) for pointer, _, _, _, node in operations_of(document)]
    for pointer, holder in holders:
        for index, alternative in enumerate(holder.get("security", ())):
            yield (*pointer, "security", str(index)), alternative


def _scheme(
    bundle: Bundle,
    pointer: Pointer,
    scheme: Mapping[str, Any] | None,
    name: str,
    scopes: Sequence[str],
) -> Iterator[Finding]:
    if scheme is None:
        yield bundle.finding(
            pointer,
            "unknown-security-scheme",
            f"the security scheme {name!r} is not declared",
            "declare it under components/securitySchemes, or correct its name",
        )
        return
    malformed = [scope for scope in scopes if not _SCOPE.match(scope)]
    if malformed:
        yield bundle.finding(
            pointer,
            "malformed-scope",
            f"{malformed[0]!r} is not a scope: no token and no challenge can name it",
            "use visible ASCII without spaces, quotes and backslashes, such as orders:read",
        )
        return
    if scopes and scheme.get("type") == "mutualTLS":
        yield bundle.finding(
            pointer,
            "scopes-of-a-certificate",
            f"the scheme {name!r} names {', '.join(scopes)}, and a certificate has no scopes",
            "leave the list empty, and ask for a token with the scopes beside the certificate",
        )
        return
    declared = declared_scopes(scheme)
    unknown = sorted(set(scopes) - declared) if declared is not None else []
    if unknown:
        yield bundle.finding(
            pointer,
            "unknown-scope",
            f"the scheme {name!r} declares no scope {', '.join(unknown)}",
            "add the scope to the flows of the scheme, or correct its name",
        )
