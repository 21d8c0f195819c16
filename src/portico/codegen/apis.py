"""What the generator reads of our own contracts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portico.contract.bundle import bundle, resolve

TIERS = ("system", "process", "experience")
_METHODS = ("get", "put", "post", "delete", "patch")
_API_NAME = re.compile(r"(?P<tier>system|process|experience)/(?P<api>[a-z0-9-]+)\.v(?P<major>\d+)")

Schema = Mapping[str, Any]


class CodegenError(Exception):
    """A contract that no code can be generated from; says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class API:
    """One of our contracts, bundled, by its name such as `process/orders.v1`."""

    name: str
    document: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Return the folder of the API's package below the source root."""
        match = _API_NAME.fullmatch(self.name)
        if match is None:
            raise CodegenError(f"{self.name}: expected a name such as process/orders.v1")
        package = match["api"].replace("-", "_")
        # The first version keeps the plain name; a later one stands beside it.
        if match["major"] != "1":
            package = f"{package}_v{match['major']}"
        return Path(f"{match['tier']}_apis") / package

    @property
    def module(self) -> str:
        return ".".join(self.folder.parts)

    @property
    def calls(self) -> Mapping[str, Sequence[str]]:
        """Return the operations that the API calls, by API name."""
        return dict(sorted(self.document.get("x-calls", {}).items()))

    def operations(self) -> Iterator[Operation]:
        for item in self.document["paths"].values():
            for method in _METHODS:
                if method in item:
                    yield Operation(self.document, item, item[method])

    def operation(self, operation_id: str) -> Operation:
        for operation in self.operations():
            if operation.id == operation_id:
                return operation
        raise CodegenError(f"{self.name} has no operation {operation_id}, correct x-calls")


class Operation:
    """What the generator reads of one operation."""

    __slots__ = ("_document", "_item", "_node")

    def __init__(self, document: Schema, item: Schema, node: Schema) -> None:
        self._document = document
        self._item = item
        self._node = node

    @property
    def id(self) -> str:
        return str(self._node["operationId"])

    @property
    def summary(self) -> str:
        return str(self._node.get("summary", self.id)).rstrip(".")

    @property
    def parameters(self) -> list[Schema]:
        """Return the parameters, those of the operation in place of equal ones of its path."""
        found = {}
        for node in (*self._item.get("parameters", ()), *self._node.get("parameters", ())):
            parameter = resolve(self._document, node)
            found[parameter["in"], parameter["name"].lower()] = parameter
        return list(found.values())

    @property
    def is_keyed(self) -> bool:
        return any(is_key(parameter) for parameter in self.parameters)

    @property
    def body(self) -> tuple[Schema, bool] | None:
        """Return the schema of the JSON body and whether one is required."""
        body = resolve(self._document, self._node.get("requestBody", {}))
        schema = _json_schema(body)
        return None if schema is None else (schema, bool(body.get("required")))

    @property
    def results(self) -> list[Schema | None]:
        """Return the schemas of the successful answers, None for one without JSON."""
        return [
            _json_schema(resolve(self._document, response))
            for status, response in self._node["responses"].items()
            if str(status).startswith("2")
        ]


def _json_schema(node: Schema) -> Schema | None:
    schema = node.get("content", {}).get("application/json", {}).get("schema")
    return schema if isinstance(schema, Mapping) else None


def is_key(parameter: Schema) -> bool:
    """Tell whether a parameter is the Idempotency-Key, which callers derive and never pass."""
    return (parameter["in"], parameter["name"].lower()) == ("header", "idempotency-key")


def read_apis(contracts_root: Path) -> Iterator[API]:
    """Yield the APIs of all tiers; raises ContractError for a contract that cannot be read."""
    for tier in TIERS:
        for path in sorted((contracts_root / tier).glob("*.yaml")):
            document = bundle(path, contracts_root).document
            yield API(name=f"{tier}/{path.stem}", document=document)
