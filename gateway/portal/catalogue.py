"""What the portal tells about an API, taken from its bundled contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of an API as the catalogue lists it."""

    method: str
    path: str
    operation_id: str
    summary: str = ""
    deprecated: bool = False
    scopes: Sequence[str] = ()
    anonymous: bool = False
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One API of the catalogue; `name` is `process/orders.v1`, `document` its bundled contract."""

    name: str
    tier: str
    title: str
    version: str
    summary: str
    lifecycle: str
    base_path: str
    operations: Sequence[Operation]
    document: Mapping[str, Any]

    @property
    def api(self) -> str:
        """Return the name without the tier, such as `orders.v1`."""
        return self.name.partition("/")[2]

    @property
    def description(self) -> str:
        return _text(_mapping(self.document.get("info")).get("description"))

    @property
    def openapi(self) -> str:
        """Return the OpenAPI version of the contract without its patch level, such as `3.1`."""
        return ".".join(_text(self.document.get("openapi")).split(".")[:2])

    @property
    def token_urls(self) -> Mapping[str, Mapping[str, str]]:
        """Return where the flows of each security scheme get their tokens, by scheme and flow."""
        schemes = _mapping(_mapping(self.document.get("components")).get("securitySchemes"))
        return {
            name: {
                flow: _text(_mapping(details).get("tokenUrl"))
                for flow, details in _mapping(_mapping(scheme).get("flows")).items()
            }
            for name, scheme in schemes.items()
        }

    @property
    def scopes(self) -> Mapping[str, str]:
        """Return every scope an operation needs, with what the contract says about it."""
        described = dict(_described_scopes(self.document))
        needed = (scope for operation in self.operations for scope in operation.scopes)
        return {scope: described.get(scope, "") for scope in dict.fromkeys(needed)}


def describe(name: str, document: Mapping[str, Any], *, base_path: str) -> Entry:
    """Return the catalogue entry of a bundled contract."""
    info = _mapping(document.get("info"))
    summary = _text(info.get("summary")) or _first_paragraph(_text(info.get("description")))
    return Entry(
        name=name,
        tier=name.partition("/")[0],
        title=_text(info.get("title")) or name,
        version=_text(info.get("version")),
        summary=summary,
        lifecycle=_text(document.get("x-lifecycle")),
        base_path=base_path,
        operations=tuple(_operations(document)),
        document=document,
    )


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, item in _mapping(document.get("paths")).items():
        for method in _METHODS:
            operation = _mapping(item).get(method)
            if path.startswith("/") and isinstance(operation, Mapping):
                yield _operation(method.upper(), path, operation, document)


def _operation(
    method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]
) -> Operation:
    alternatives = _alternatives(operation.get("security", document.get("security")))
    scopes = (
        scope
        for alternative in alternatives
        for needed in alternative.values()
        for scope in _texts(needed)
    )
    return Operation(
        method=method,
        path=path,
        operation_id=_text(operation.get("operationId")),
        summary=_text(operation.get("summary")),
        deprecated=operation.get("deprecated") is True,
        scopes=tuple(dict.fromkeys(scopes)),
        tag=next(iter(_texts(operation.get("tags"))), ""),
        anonymous=not alternatives or any(not alternative for alternative in alternatives),
    )


def _alternatives(security: object) -> list[Mapping[str, Any]]:
    """Return the security requirements of which one is enough."""
    if not isinstance(security, list):
        return []
    return [requirement for requirement in security if isinstance(requirement, Mapping)]


def _described_scopes(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    schemes = _mapping(_mapping(document.get("components")).get("securitySchemes"))
    for scheme in schemes.values():
        for flow in _mapping(_mapping(scheme).get("flows")).values():
            for scope, description in _mapping(_mapping(flow).get("scopes")).items():
                yield scope, _text(description)


def _first_paragraph(text: str) -> str:
    return " ".join(text.strip().split("\n\n", 1)[0].split())


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
