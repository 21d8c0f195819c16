"""Typed models and calls for handlers, generated from our own contracts.

TypedDicts, because a handler's data was checked by the compiled contract before it arrived. The
generator is our own: datamodel-code-generator loses the item type of a page that specializes
`items` under `allOf` (it becomes list[Any]), emits closed classes (PEP 728) that need
typing_extensions when the APIs run, and knows nothing of calls. Formatted by ruff, a development
tool; none of this is needed when the APIs run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from portico.codegen.apis import CodegenError, read_contracts
from portico.codegen.files import format_files
from portico.codegen.modules import NOTICE, calls_module, models_module
from portico.contract import Contract

__all__ = ["CodegenError", "generate"]


def generate(contracts_root: Path, source_root: Path) -> dict[Path, str]:
    """Return the text of every generated file by its path, for all contracts of all tiers.

    Raises ContractError for a contract that cannot be read, CodegenError for wrong `x-calls`.
    """
    contracts = read_contracts(contracts_root)
    files: dict[Path, str] = {}
    for contract in contracts.values():
        folder = source_root.joinpath(*contract.package.split("."))
        files[folder / "models.py"] = models_module(contract)
        for name, text in _calls_package(contract, contracts):
            files[folder / "calls" / name] = text
    return format_files(files)


def _calls_package(
    contract: Contract, contracts: Mapping[str, Contract]
) -> Iterator[tuple[str, str]]:
    modules: list[str] = []
    for callee, operation_ids in sorted(contract.calls.items()):
        if callee not in contracts:
            raise CodegenError(f"{contract.name} calls {callee}, which has no contract")
        module = contracts[callee].package.rpartition(".")[2]
        if module in modules:
            raise CodegenError(f"{contract.name} calls two APIs whose modules are called {module}")
        modules.append(module)
        yield f"{module}.py", calls_module(contracts[callee], operation_ids)
    if modules:
        names = sorted(modules)
        imports = f"from {contract.package}.calls import {', '.join(names)}\n"
        title = f'"""Calls of {contract.name}. {NOTICE}"""\n'
        yield "__init__.py", f"{title}\n{imports}\n__all__ = {names!r}\n"
