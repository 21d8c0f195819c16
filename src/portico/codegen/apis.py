"""What the generator reads of the operations of a contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from portico.contract import Contract, FileCache, contract_paths, load
from portico.contract.bundle import resolve
from portico.contract.compile import operations_of

Schema = Mapping[str, Any]


class CodegenError(Exception):
    """A contract that no code can be generated from; says which and why."""


class OperationSource:
    """The parts of one operation that decide on types."""

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


def operations(contract: Contract) -> Iterator[OperationSource]:
    """Yield the operations of a contract in its order."""
    for _, _, _, item, node in operations_of(contract.document):
        yield OperationSource(contract.document, item, node)


def find_operation(contract: Contract, operation_id: str) -> OperationSource:
    """Return an operation by its id; raises CodegenError if there is none."""
    for operation in operations(contract):
        if operation.id == operation_id:
            return operation
    raise CodegenError(f"{contract.name} has no operation {operation_id}; correct x-calls")


def read_contracts(contracts_root: Path) -> dict[str, Contract]:
    """Return the contracts of all tiers by name; raises ContractError for one that is wrong."""
    cache = FileCache()
    loaded = (load(path, contracts_root, cache) for path in contract_paths(contracts_root))
    return {contract.name: contract for contract in loaded}
