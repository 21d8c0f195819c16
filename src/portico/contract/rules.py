"""What Portico asks of a document beyond being valid OpenAPI, each rule with a name."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from portico.contract.bundle import Bundle
from portico.contract.compile import operations_of
from portico.contract.findings import Finding
from portico.contract.route import overlap, shape
from portico.contract.security import declared_schemes, declared_scopes, is_bearer

TIERS = ("system", "process", "experience")
LIFECYCLES = ("experimental", "stable", "deprecated")
_CAMEL_CASE = re.compile(r"[a-z][A-Za-z0-9]*\Z")
_API_NAME = re.compile(r"(system|process|experience)/[a-z][a-z0-9-]*\.v[1-9][0-9]*\Z")

Rule = Callable[[Bundle], Iterator[Finding]]


def structural(bundle: Bundle) -> list[Finding]:
    """Return the findings that bind every document: what cannot be served unambiguously."""
    return _apply(bundle, (_duplicate_ids, _colliding_paths, _schemes))


def house(bundle: Bundle, base_path: str) -> list[Finding]:
    """Return the findings that bind the contracts of a team's own APIs."""
    findings = _apply(bundle, (_owner, _lifecycle, _operation_ids, unsecured, _calls, _dates))
    return [*findings, *_server(bundle, base_path)]


def unsecured(bundle: Bundle) -> Iterator[Finding]:
    """Yield a finding for each operation that no `security` covers."""
    if "security" in bundle.document:
        return
    for pointer, template, method, _, node in operations_of(bundle.document):
        if "security" not in node:
            yield _finding(
                bundle,
                pointer,
                "operation-without-security",
                f"{method} {template} says nothing about security",
                "add `security` with a scheme and scopes; `security: []` means anyone",
            )


def _apply(bundle: Bundle, rules: Sequence[Rule]) -> list[Finding]:
    return [finding for rule in rules for finding in rule(bundle)]


def _finding(bundle: Bundle, pointer: Sequence[str], rule: str, message: str, hint: str) -> Finding:
    return Finding(position=bundle.position(pointer), rule=rule, message=message, hint=hint)


def _duplicate_ids(bundle: Bundle) -> Iterator[Finding]:
    seen: dict[str, tuple[str, ...]] = {}
    for pointer, _, _, _, node in operations_of(bundle.document):
        name = node.get("operationId")
        if name in seen:
            first = bundle.position((*seen[name], "operationId"))
            yield _finding(
                bundle,
                (*pointer, "operationId"),
                "duplicate-operation-id",
                f"the operationId {name!r} is taken at {first}",
                "give every operation a name of its own",
            )
        elif name is not None:
            seen[name] = pointer


def _colliding_paths(bundle: Bundle) -> Iterator[Finding]:
    templates = list(bundle.document.get("paths", {}))
    by_shape: dict[str, str] = {}
    for template in templates:
        if shape(template) in by_shape:
            yield _finding(
                bundle,
                ("paths", template),
                "equal-paths",
                f"{template} is the same address as {by_shape[shape(template)]}",
                "merge the two path items, or give one another literal segment",
            )
        by_shape.setdefault(shape(template), template)
    by_length: dict[int, list[str]] = {}
    for template in by_shape.values():
        by_length.setdefault(template.count("/"), []).append(template)
    for group in by_length.values():
        yield from _overlaps(bundle, [template for template in group if "{" in template])


def _overlaps(bundle: Bundle, templates: Sequence[str]) -> Iterator[Finding]:
    for one, other in combinations(templates, 2):
        if overlap(one, other):
            yield _finding(
                bundle,
                ("paths", other),
                "ambiguous-paths",
                f"{other} and {one} match the same requests and neither is more concrete",
                "change a literal segment so that one path cannot match both",
            )


def _schemes(bundle: Bundle) -> Iterator[Finding]:
    document = bundle.document
    schemes = declared_schemes(document)
    uses: list[tuple[tuple[str, ...], Any]] = [(("security",), document.get("security", []))]
    uses += [
        ((*pointer, "security"), node.get("security", []))
        for pointer, _, _, _, node in operations_of(document)
    ]
    for pointer, security in uses:
        for index, alternative in enumerate(security):
            for name, scopes in alternative.items():
                at = (*pointer, str(index), name)
                yield from _scheme(bundle, at, schemes.get(name), name, scopes)


def _scheme(
    bundle: Bundle,
    pointer: Sequence[str],
    scheme: Mapping[str, Any] | None,
    name: str,
    scopes: Sequence[str],
) -> Iterator[Finding]:
    if scheme is None:
        yield _finding(
            bundle,
            pointer,
            "unknown-security-scheme",
            f"the security scheme {name!r} is not declared",
            "declare it under components/securitySchemes, or correct its name",
        )
        return
    declared = declared_scopes(scheme)
    unknown = sorted(set(scopes) - declared) if declared is not None else []
    if unknown:
        yield _finding(
            bundle,
            pointer,
            "unknown-scope",
            f"the scheme {name!r} declares no scope {', '.join(unknown)}",
            "add the scope to the flows of the scheme, or correct its name",
        )


def unsupported_schemes(bundle: Bundle) -> Iterator[Finding]:
    """Yield a finding for each scheme in use that the gateway does not enforce."""
    document = bundle.document
    used = {name for alternative in document.get("security", []) for name in alternative}
    for _, _, _, _, node in operations_of(document):
        used |= {name for alternative in node.get("security", []) for name in alternative}
    for name, scheme in declared_schemes(document).items():
        if name in used and not is_bearer(scheme):
            yield _finding(
                bundle,
                ("components", "securitySchemes", name),
                "unsupported-security-scheme",
                f"the scheme {name!r} of type {scheme.get('type')!r} is not enforced here",
                "use oauth2, openIdConnect or http bearer, "
                "or say in the configuration of the API which scopes replace its security",
            )


def _owner(bundle: Bundle) -> Iterator[Finding]:
    if not isinstance(bundle.document.get("x-owner"), str) or not bundle.document["x-owner"]:
        yield _finding(
            bundle,
            (),
            "missing-owner",
            "the contract names no owner",
            "add a line such as `x-owner: team-orders` at the top level",
        )


def _lifecycle(bundle: Bundle) -> Iterator[Finding]:
    value = bundle.document.get("x-lifecycle")
    if value not in LIFECYCLES:
        yield _finding(
            bundle,
            ("x-lifecycle",),
            "unknown-lifecycle",
            f"the lifecycle is {value!r}",
            f"set x-lifecycle to one of {', '.join(LIFECYCLES)}",
        )


def _operation_ids(bundle: Bundle) -> Iterator[Finding]:
    for pointer, template, method, _, node in operations_of(bundle.document):
        name = node.get("operationId")
        if not isinstance(name, str):
            yield _finding(
                bundle,
                pointer,
                "missing-operation-id",
                f"{method} {template} has no operationId",
                "name it in camelCase; its handler has the same name in snake_case",
            )
        elif not _CAMEL_CASE.match(name):
            yield _finding(
                bundle,
                (*pointer, "operationId"),
                "operation-id-case",
                f"the operationId {name!r} is not camelCase",
                "write it like `listProducts`",
            )


def _calls(bundle: Bundle) -> Iterator[Finding]:
    calls = bundle.document.get("x-calls", {})
    if not isinstance(calls, dict):
        yield _finding(bundle, ("x-calls",), "malformed-calls", "x-calls is not a mapping", _CALLS)
        return
    for name, operations in calls.items():
        listed = isinstance(operations, list) and all(isinstance(op, str) for op in operations)
        if not _API_NAME.match(name) or not listed:
            yield _finding(
                bundle,
                ("x-calls", name),
                "malformed-calls",
                f"the entry {name!r} is not an API name with a list of operationIds",
                _CALLS,
            )


_CALLS = "write x-calls like `system/tryton.v1: [listProducts, createSale]`"


def _dates(bundle: Bundle) -> Iterator[Finding]:
    for pointer, _, _, _, node in operations_of(bundle.document):
        for name in ("x-deprecated-at", "x-sunset-at"):
            if name in node and not _is_date(node[name]):
                yield _finding(
                    bundle,
                    (*pointer, name),
                    "malformed-date",
                    f"{name} is {node[name]!r}",
                    "write an ISO 8601 date such as 2027-01-31",
                )


def _is_date(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.datetime.fromisoformat(value))
    except ValueError:
        return False


def _server(bundle: Bundle, base_path: str) -> Iterator[Finding]:
    servers = bundle.document.get("servers") or [{}]
    if servers[0].get("url") != base_path:
        yield _finding(
            bundle,
            ("servers",),
            "server-path",
            f"the first server is {servers[0].get('url')!r}",
            f"the file name makes it `servers: [{{url: {base_path}}}]`",
        )
