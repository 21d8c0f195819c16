"""A contract: one document, compiled, with its place among the tiers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portico.contract import rules
from portico.contract.bundle import Bundle, bundle
from portico.contract.circles import find_circles
from portico.contract.compile import Compiler
from portico.contract.findings import ContractError, Finding, Position
from portico.contract.operation import Operation
from portico.contract.security import (
    NOBODY,
    Requirement,
    compile_requirement,
    declared_schemes,
    enforceable,
)
from portico.contract.source import FileCache
from portico.contract.sources import Source, sources_of
from portico.contract.upgrade import upgrade

TIERS = ("system", "process", "experience")
_FILE_NAME = re.compile(r"([a-z][a-z0-9-]*)\.v([1-9][0-9]*)\.(?:yaml|yml|json)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A document that can be served.

    `name` is `process/orders.v1` for an API of the tiers and `external/<configured name>` for a
    bring-your-own document. `document` is bundled and in the 3.1 form.
    """

    name: str
    tier: str
    base_path: str
    document: Mapping[str, Any]
    bundle: Bundle
    operations: Mapping[str, Operation]

    @property
    def title(self) -> str:
        return str(self.document["info"]["title"])

    @property
    def version(self) -> str:
        return str(self.document["info"]["version"])

    @property
    def lifecycle(self) -> str:
        return str(self.document.get("x-lifecycle", ""))

    @property
    def calls(self) -> Mapping[str, tuple[str, ...]]:
        """Return what the contract may call: API name to operationIds, from `x-calls`."""
        if self.tier not in TIERS:
            return {}  # whatever it means there, it is no call of ours
        return {name: tuple(ids) for name, ids in self.document.get("x-calls", {}).items()}

    @property
    def sources(self) -> Mapping[str, Source]:
        """Return what its answers are put together from, by the names that `x-sources` gives."""
        return sources_of(self.document)

    @property
    def waivers(self) -> Mapping[str, Mapping[str, str]]:
        """Return the dated exceptions from the layer rules: API name to `until` and `reason`."""
        waivers: Mapping[str, Mapping[str, str]] = self.document.get("x-layer-waivers", {})
        return waivers

    @property
    def package(self) -> str:
        """Return the Python package of the API: `process_apis.orders` for its first version."""
        api, _, major = self.name.partition("/")[2].partition(".v")
        suffix = "" if major == "1" else f"_v{major}"
        return f"{self.tier}_apis.{api.replace('-', '_')}{suffix}"

    def position(self, *pointer: str) -> Position:
        return self.bundle.position(pointer)

    def __repr__(self) -> str:
        return f"<Contract {self.name} {len(self.operations)} operations>"


def contract_paths(root: Path) -> list[Path]:
    """Return the contract files of the three tiers below `root`, in a stable order."""
    return sorted(
        path
        for tier in TIERS
        for path in (root / tier).glob("*")
        if path.suffix in {".yaml", ".yml", ".json"}
    )


def load(path: Path, root: Path | None = None, cache: FileCache | None = None) -> Contract:
    """Return the contract of an API of the tiers, such as `specs/openapi/process/orders.v1.yaml`.

    References may reach any file below `root`, by default the folder above the tier's; files
    that are in `cache` are not read again. Raises ContractError with everything found wrong.
    """
    matched = _FILE_NAME.match(path.name)
    tier = path.parent.name
    if matched is None or tier not in TIERS:
        raise ContractError([_misplaced(path)])
    api, major = matched.groups()
    base_path = f"/{tier}/{api}/v{major}"
    bundled = _valid(bundle(path, root or path.parent.parent, cache))
    findings = [*rules.structural(bundled), *rules.house(bundled, base_path)]
    if findings:
        raise ContractError(findings)
    name = f"{tier}/{api}.v{major}"
    return _compile(bundled, name=name, tier=tier, base_path=base_path)


def load_foreign(
    path: Path, *, name: str, base_path: str, unsecured: Requirement | None = None
) -> Contract:
    """Return a bring-your-own document, served at `base_path`.

    House rules do not bind it. `unsecured` is what the configuration asks of callers of the
    operations that the document does not secure, or secures by a scheme not enforced here;
    without it such operations are findings. References stay in the folder of the document.
    """
    bundled = _valid(bundle(path, path.parent))
    findings = rules.structural(bundled)
    if unsecured is None:
        findings += [*rules.unsecured(bundled), *rules.unsupported_schemes(bundled)]
    if findings:
        raise ContractError(findings)
    return _compile(
        bundled,
        name=f"external/{name}",
        tier="external",
        base_path=base_path.rstrip("/"),
        unsecured=unsecured,
        reject_unknown_query=False,
    )


def _valid(bundled: Bundle) -> Bundle:
    """Return a document that rules can look into; raises ContractError for any other."""
    # Imported where a document is read: the tool chain takes long to load, and commands that read
    # no contract are many.
    from portico.contract.validate import validate  # noqa: PLC0415

    try:
        findings = find_circles(bundled) or validate(bundled)
    except RecursionError:
        hint = "write the document in a flatter way"
        findings = [bundled.finding((), "unreadable-document", "it nests too deep", hint)]
    if findings:
        raise ContractError(findings)
    return bundled


def _compile(
    bundled: Bundle,
    *,
    name: str,
    tier: str,
    base_path: str,
    unsecured: Requirement | None = None,
    reject_unknown_query: bool = True,
) -> Contract:
    document = upgrade(bundled.document)
    compiler = Compiler(document, bundled, reject_unknown_query=reject_unknown_query)
    schemes = declared_schemes(document)

    def secure(node: Mapping[str, Any]) -> Requirement:
        security = node.get("security", document.get("security"))
        if security is None:
            return unsecured or NOBODY  # rules refuse it before
        return enforceable(security, schemes, unsecured) or compile_requirement(security, schemes)

    operations = compiler.compile(secure)
    return Contract(
        name=name,
        tier=tier,
        base_path=base_path,
        document=document,
        bundle=bundled,
        operations={operation.operation_id: operation for operation in operations},
    )


def _misplaced(path: Path) -> Finding:
    return Finding(
        position=Position(path, 1, 1),
        rule="misplaced-contract",
        message=f"{path.parent.name}/{path.name} does not say tier, API and major version",
        hint="name it like specs/openapi/process/orders.v1.yaml",
    )
