"""`portico lint`: everything that start-up would refuse, without starting."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gateway.cli.configuration import read_config
from gateway.cli.output import FINDINGS, FINE
from gateway.composition import bind_handlers, load_contracts
from portico.contract import ContractError, Finding


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print findings as JSON")
    parser.add_argument("--contracts", type=Path, help="the folder specs/openapi to check")


def run(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    if options.contracts is not None:
        config = config.model_copy(update={"contracts": options.contracts})
    try:
        contracts = load_contracts(config)
        operations = sum(len(bind_handlers(contract)) for contract in contracts.values())
    except ContractError as error:
        if not options.json:
            raise
        print(json.dumps([_document(finding) for finding in error.findings], indent=2))
        return FINDINGS
    if options.json:
        print("[]")
    else:
        print(f"{len(contracts)} contracts with {operations} operations: no findings")
    return FINE


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
