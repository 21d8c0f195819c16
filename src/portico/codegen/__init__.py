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

from portico.codegen.apis import API, CodegenError, read_apis
from portico.codegen.files import format_files
from portico.codegen.modules import NOTICE, calls_module, models_module

__all__ = ["CodegenError", "generate"]


def generate(contracts_root: Path, source_root: Path) -> dict[Path, str]:
    """Return the text of every generated file by its path, for all contracts of all tiers.

    Raises ContractError for a contract that cannot be read, CodegenError for wrong `x-calls`.
    """
    apis = {api.name: api for api in read_apis(contracts_root)}
    files: dict[Path, str] = {}
    for api in apis.values():
        folder = source_root / api.folder
        files[folder / "models.py"] = models_module(api)
        for path, text in _calls_package(api, apis):
            files[folder / "calls" / path] = text
    return format_files(files)


def _calls_package(api: API, apis: Mapping[str, API]) -> Iterator[tuple[str, str]]:
    modules = []
    for callee, operation_ids in api.calls.items():
        if callee not in apis:
            raise CodegenError(f"{api.name} calls {callee}, which has no contract; correct x-calls")
        module = apis[callee].folder.name
        if module in modules:
            raise CodegenError(f"{api.name} calls two APIs whose modules are both called {module}")
        modules.append(module)
        yield f"{module}.py", calls_module(apis[callee], operation_ids)
    if modules:
        imports = f"from {api.module}.calls import {', '.join(sorted(modules))}\n"
        exports = f"\n__all__ = {sorted(modules)!r}\n"
        yield "__init__.py", f'"""Calls of {api.name}. {NOTICE}"""\n\n{imports}{exports}'
