"""`portico lint`: everything that start-up would refuse, without starting."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gateway.app import load_external
from gateway.choice import choose
from gateway.cli.configuration import read_config
from gateway.cli.output import FINDINGS, FINE
from gateway.composition import bind_handlers, load_contracts
from gateway.config import Config
from portico.contract import Contract, ContractError, Finding


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print findings as JSON")
    parser.add_argument("--contracts", type=Path, help="the folder specs/openapi to check")


def run(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    if options.contracts is not None:
        config = config.model_copy(update={"contracts": options.contracts})
    try:
        contracts = _check(config)
    except ContractError as error:
        if not options.json:
            raise
        print(json.dumps([_document(finding) for finding in error.findings], indent=2))
        return FINDINGS
    if options.json:
        print("[]")
    else:
        operations = sum(len(contract.operations) for contract in contracts)
        counted = f"{_count(len(contracts), 'contract')} with {_count(operations, 'operation')}"
        print(f"{counted}: no findings")
    return FINE


def _check(config: Config) -> list[Contract]:
    """Return the contracts, bring-your-own ones too; raises ContractError with all findings."""
    contracts = load_contracts(config)
    findings: list[Finding] = []
    for name in choose(contracts, config, ()):
        try:
            bind_handlers(contracts[name])
        except ContractError as error:
            findings.extend(error.findings)
    external: dict[str, Contract] = {}
    try:
        external = load_external(config)
    except ContractError as error:
        findings.extend(error.findings)
    if findings:
        raise ContractError(findings)
    return [*contracts.values(), *external.values()]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _document(finding: Finding) -> dict[str, object]:
    position = finding.position
    return {
        "file": str(position.file),
        "line": position.line,
        "column": position.column,
        "rule": finding.rule,
        "message": finding.message,
        "hint": finding.hint,
    }
