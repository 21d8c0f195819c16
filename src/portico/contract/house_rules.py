"""What binds the contracts of a team's own APIs, and not the documents it brings along."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from portico.contract.bundle import Bundle
from portico.contract.findings import Finding
from portico.contract.notices import is_reference, parse_date
from portico.contract.operations import Described, operations_of, parameters_of
from portico.contract.sources import source_findings
from portico.contract.walk import Pointer, all_objects

LIFECYCLES = ("experimental", "stable", "deprecated")
DATA_CLASSES = ("public", "internal", "pii", "secret")
_CAMEL_CASE = re.compile(r"[a-z][A-Za-z0-9]*\Z")
_API_NAME = re.compile(r"(system|process|experience)/[a-z][a-z0-9-]*\.v[1-9][0-9]*\Z")
_NOT_WORD = re.compile(r"[^A-Za-z0-9]+")
# What a handler is passed beside the parameters.
_ARGUMENTS = frozenset({"call", "body"})
_CALLS = "write x-calls like `system/tryton.v1: [listProducts, createSale]`"
_WAIVERS = "write x-layer-waivers like `system/tryton.v1: {until: 2027-01-31, reason: …}`"


def house_findings(bundle: Bundle, base_path: str) -> Iterator[Finding]:
    """Yield what a contract of a tier's API lacks."""
    yield from _owner(bundle)
    yield from _lifecycle(bundle)
    yield from _server(bundle, base_path)
    yield from _calls(bundle)
    yield from _waivers(bundle)
    yield from source_findings(bundle)
    for described in operations_of(bundle.document):
        yield from _operation_id(bundle, described)
        yield from _end(bundle, described)
        yield from _arguments(bundle, described)
    yield from _data_classes(bundle)


def _owner(bundle: Bundle) -> Iterator[Finding]:
    owner = bundle.document.get("x-owner")
    if not isinstance(owner, str) or not owner.strip():
        yield bundle.finding(
            ("x-owner",),
            "missing-owner",
            "the contract names no owner",
            "add a line such as `x-owner: team-orders` at the top level",
        )


def _lifecycle(bundle: Bundle) -> Iterator[Finding]:
    value = bundle.document.get("x-lifecycle")
    if value not in LIFECYCLES:
        yield bundle.finding(
            ("x-lifecycle",),
            "unknown-lifecycle",
            f"the lifecycle is {value!r}",
            f"set x-lifecycle to one of {', '.join(LIFECYCLES)}",
        )


def _server(bundle: Bundle, base_path: str) -> Iterator[Finding]:
    servers = bundle.document.get("servers") or [{}]
    if servers[0].get("url") != base_path:
        yield bundle.finding(
            ("servers",),
            "server-path",
            f"the first server is {servers[0].get('url')!r}",
            f"the file name makes it `servers: [{{url: {base_path}}}]`",
        )


def _operation_id(bundle: Bundle, described: Described) -> Iterator[Finding]:
    pointer, template, method, _, node = described
    name = node.get("operationId")
    if not isinstance(name, str):
        yield bundle.finding(
            pointer,
            "missing-operation-id",
            f"{method} {template} has no operationId",
            "name it in camelCase; its handler has the same name in snake_case",
        )
    elif not _CAMEL_CASE.match(name):
        yield bundle.finding(
            (*pointer, "operationId"),
            "operation-id-case",
            f"the operationId {name!r} is not camelCase",
            "write it like `listProducts`",
        )


def _calls(bundle: Bundle) -> Iterator[Finding]:
    calls = bundle.document.get("x-calls", {})
    if not isinstance(calls, dict):
        yield bundle.finding(("x-calls",), "malformed-calls", "x-calls is not a mapping", _CALLS)
        return
    for name, operations in calls.items():
        listed = isinstance(operations, list) and all(isinstance(op, str) for op in operations)
        if not _API_NAME.match(name) or not listed:
            message = f"the entry {name!r} is not an API name with a list of operationIds"
            yield bundle.finding(("x-calls", name), "malformed-calls", message, _CALLS)


def _waivers(bundle: Bundle) -> Iterator[Finding]:
    waivers = bundle.document.get("x-layer-waivers", {})
    if not isinstance(waivers, dict):
        message = "x-layer-waivers is not a mapping"
        yield bundle.finding(("x-layer-waivers",), "malformed-waiver", message, _WAIVERS)
        return
    for name, waiver in waivers.items():
        if not isinstance(waiver, dict) or not _is_day(waiver.get("until")):
            message = f"the waiver for {name!r} has no date until which it holds"
            yield bundle.finding(("x-layer-waivers", name), "malformed-waiver", message, _WAIVERS)


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(dt.date.fromisoformat(value))
    except ValueError:
        return False


def _end(bundle: Bundle, described: Described) -> Iterator[Finding]:
    pointer, node = described[0], described[-1]
    for name in ("x-deprecated-at", "x-sunset-at"):
        if name in node and parse_date(node[name]) is None:
            yield bundle.finding(
                (*pointer, name),
                "malformed-date",
                f"{name} is {node[name]!r}",
                "write an ISO 8601 date such as 2027-01-31",
            )
    since, until = parse_date(node.get("x-deprecated-at")), parse_date(node.get("x-sunset-at"))
    if since is not None and until is not None and until < since:
        yield bundle.finding(
            (*pointer, "x-sunset-at"),
            "sunset-before-deprecation",
            f"the operation ends on {until:%Y-%m-%d}, before it is deprecated",
            "let the sunset come after the deprecation (RFC 9745, 4)",
        )
    if "x-successor" in node and not is_reference(node["x-successor"]):
        message = "x-successor is not a URI reference"
        hint = "write the address of the successor, percent-encoded"
        yield bundle.finding((*pointer, "x-successor"), "malformed-successor", message, hint)


def _arguments(bundle: Bundle, described: Described) -> Iterator[Finding]:
    """Handlers and callers know a parameter by its name alone, written as Python writes it."""
    taken: dict[str, str] = dict.fromkeys(_ARGUMENTS, "what every handler is passed")
    for at, parameter in parameters_of(bundle.document, described):
        name = parameter["name"]
        key = _NOT_WORD.sub("", name).lower()
        if key in taken:
            yield bundle.finding(
                at,
                "ambiguous-parameter",
                f"the {parameter['in']} parameter {name!r} is called like {taken[key]}",
                "give it a name that differs in more than punctuation and capitals",
            )
        taken.setdefault(key, f"the {parameter['in']} parameter {name!r}")


def _data_classes(bundle: Bundle) -> Iterator[Finding]:
    for node, pointer, kind in all_objects(bundle.document):
        if kind == "schema" and "x-data-class" in node:
            yield from _data_class(bundle, (*pointer, "x-data-class"), node)


def _data_class(bundle: Bundle, at: Pointer, node: Mapping[str, Any]) -> Iterator[Finding]:
    if node["x-data-class"] not in DATA_CLASSES:
        yield bundle.finding(
            at,
            "unknown-data-class",
            f"the data class is {node['x-data-class']!r}",
            f"set x-data-class to one of {', '.join(DATA_CLASSES)}",
        )
