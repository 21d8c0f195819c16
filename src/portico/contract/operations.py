"""The operations of a document, each with where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portico.contract.bundle import resolve
from portico.contract.walk import METHODS, Pointer

Described = tuple[Pointer, str, str, Mapping[str, Any], Mapping[str, Any]]
"""Pointer, template, method, path item and operation."""


def operations_of(document: Mapping[str, Any]) -> Iterator[Described]:
    """Yield each operation of the paths of a document."""
    for template, item in document.get("paths", {}).items():
        if template.startswith("x-") or not isinstance(item, dict):
            continue
        for method in METHODS:
            if isinstance(item.get(method), dict):
                yield ("paths", template, method), template, method.upper(), item, item[method]
        for method, operation in item.get("additionalOperations", {}).items():
            pointer = ("paths", template, "additionalOperations", method)
            yield pointer, template, method, item, operation


def parameters_of(
    document: Mapping[str, Any], described: Described
) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    """Yield the parameters of an operation, without those of its path that it replaces."""
    pointer, template, _, item, operation = described
    own = list(_parameters(document, pointer, operation))
    replaced = {parameter_key(parameter) for _, parameter in own}
    for at, parameter in _parameters(document, ("paths", template), item):
        if parameter_key(parameter) not in replaced:
            yield at, parameter
    yield from own


def parameter_key(parameter: Mapping[str, Any]) -> tuple[str, str]:
    """Return what makes a parameter unique: its place and name, header names in lower case."""
    where, name = parameter["in"], parameter["name"]
    return where, name.lower() if where == "header" else name


def _parameters(
    document: Mapping[str, Any], at: Pointer, node: Mapping[str, Any]
) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    for index, parameter in enumerate(node.get("parameters", ())):
        yield (*at, "parameters", str(index)), resolve(document, parameter)
