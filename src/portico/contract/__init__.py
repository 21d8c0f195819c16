"""Contracts: loaded from OpenAPI documents, validated, and compiled to operations."""

from portico.contract.contract import Contract, contract_paths, load, load_foreign
from portico.contract.findings import ContractError, Finding, Position
from portico.contract.operation import Operation
from portico.contract.parameters import ABSENT
from portico.contract.security import ANYONE, Requirement
from portico.contract.source import FileCache

__all__ = [
    "ABSENT",
    "ANYONE",
    "Contract",
    "ContractError",
    "FileCache",
    "Finding",
    "Operation",
    "Position",
    "Requirement",
    "contract_paths",
    "load",
    "load_foreign",
]
