"""Paths that cannot be told apart, and parameters that do not fit their paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from portico.contract.bundle import Bundle, resolve
from portico.contract.findings import Finding
from portico.contract.operations import Described, operations_of, parameter_key, parameters_of
from portico.contract.overlaps import overlaps
from portico.contract.segments import shape, template_names
from portico.contract.walk import Pointer

MAX_OVERLAPS = 50  # findings of one document
_TEMPLATE = re.compile(r"/(?:[^{}?#\s]|\{[^{}/?#]+\})*\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def path_findings(bundle: Bundle) -> Iterator[Finding]:
    """Yield the findings about path templates and about the parameters of operations."""
    templates = [name for name in bundle.document.get("paths", {}) if not name.startswith("x-")]
    malformed = [finding for name in templates for finding in _malformed(bundle, name)]
    yield from malformed
    if not malformed:
        yield from _collisions(bundle, templates)
        for described in operations_of(bundle.document):
            yield from _parameters(bundle, described)


def _malformed(bundle: Bundle, template: str) -> Iterator[Finding]:
    names = template_names(template)
    if not _TEMPLATE.match(template):
        message = f"{template} is no path template"
    elif len(set(names)) < len(names):
        message = f"{template} names a parameter twice"
    else:
        return
    hint = "write it like /orders/{orderId}, without query or fragment"
    yield bundle.finding(("paths", template), "malformed-path", message, hint)


def _collisions(bundle: Bundle, templates: Sequence[str]) -> Iterator[Finding]:
    by_shape: dict[str, str] = {}
    for template in templates:
        known = by_shape.setdefault(shape(template), template)
        if known is not template:
            yield bundle.finding(
                ("paths", template),
                "equal-paths",
                f"{template} is the same address as {known}",
                "merge the two path items, or give one another literal segment",
            )
    for one, other in islice(overlaps(list(by_shape.values())), MAX_OVERLAPS):
        yield bundle.finding(
            ("paths", other),
            "ambiguous-paths",
            f"{other} and {one} match the same requests and neither is more concrete",
            "change a literal segment so that one path cannot match both",
        )


def _parameters(bundle: Bundle, described: Described) -> Iterator[Finding]:
    pointer, template, method, item, node = described
    yield from _duplicates(bundle, ("paths", template), item)
    yield from _duplicates(bundle, pointer, node)
    missing = set(template_names(template))
    for at, parameter in parameters_of(bundle.document, described):
        name, where = parameter["name"], parameter["in"]
        if where == "path" and name not in missing:
            message = f"{template} has no place for the path parameter {name!r}"
            hint = f"write {{{name}}} into the path, or remove the parameter"
            yield bundle.finding(at, "unused-path-parameter", message, hint)
        if where == "path":
            missing.discard(name)
        if where == "header" and not _TOKEN.match(name):
            message = f"{name[:100]!r} is no name of a header field"
            yield bundle.finding(at, "malformed-header-name", message, "use letters and hyphens")
    for name in sorted(missing):
        message = f"the parameter {name!r} of {method} {template} is not declared"
        hint = f"add it to parameters with `in: path` and name it exactly {name}"
        yield bundle.finding(pointer, "undeclared-path-parameter", message, hint)


def _duplicates(bundle: Bundle, pointer: Pointer, node: Mapping[str, Any]) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    for index, described in enumerate(node.get("parameters", ())):
        key = parameter_key(resolve(bundle.document, described))
        if key in seen:
            yield bundle.finding(
                (*pointer, "parameters", str(index)),
                "duplicate-parameter",
                f"the {key[0]} parameter {key[1]!r} is declared twice",
                "remove one of the two",
            )
        seen.add(key)
