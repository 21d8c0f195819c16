"""What Portico asks of a document beyond being valid OpenAPI, each rule with a name."""

from __future__ import annotations

from collections.abc import Iterator

from portico.contract.bundle import Bundle
from portico.contract.findings import Finding
from portico.contract.house_rules import house_findings
from portico.contract.link_rules import link_findings
from portico.contract.operations import operations_of
from portico.contract.path_rules import path_findings
from portico.contract.schema_rules import schema_findings
from portico.contract.security_rules import (
    scheme_findings,
    unsecured,
    unsupported_schemes,
)
from portico.contract.walk import Pointer

__all__ = ["house", "structural", "unsecured", "unsupported_schemes"]


def structural(bundle: Bundle) -> list[Finding]:
    """Return the findings that bind every document: what cannot be served unambiguously."""
    return [
        *_duplicate_ids(bundle),
        *path_findings(bundle),
        *scheme_findings(bundle),
        *link_findings(bundle),
        *schema_findings(bundle),
    ]


def house(bundle: Bundle, base_path: str) -> list[Finding]:
    """Return the findings that bind the contracts of a team's own APIs."""
    return [*house_findings(bundle, base_path), *unsecured(bundle), *unsupported_schemes(bundle)]


def _duplicate_ids(bundle: Bundle) -> Iterator[Finding]:
    seen: dict[str, Pointer] = {}
    for pointer, _, _, _, node in operations_of(bundle.document):
        name = node.get("operationId")
        if name in seen:
            first = bundle.position((*seen[name], "operationId"))
            yield bundle.finding(
                (*pointer, "operationId"),
                "duplicate-operation-id",
                f"the operationId {name!r} is taken at line {first.line}",
                "give every operation a name of its own",
            )
        elif name is not None:
            seen[name] = pointer
