"""`portico routes`: the operations, where they are and what they ask of callers."""

from __future__ import annotations

import argparse
import json
from typing import Any

from gateway.cli.configuration import read_config
from gateway.cli.output import FINE
from gateway.composition import load_contracts
from portico.contract import Contract, Operation


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(options: argparse.Namespace) -> int:
    contracts = load_contracts(read_config(options.config))
    rows = [
        _row(contract, operation)
        for contract in contracts.values()
        for operation in contract.operations.values()
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return FINE
    width = max((len(str(row["path"])) for row in rows), default=0)
    for row in rows:
        scopes = "anyone" if row["anonymous"] else " ".join(row["scopes"]) or "any credentials"
        print(f"{row['method']:7} {row['path']:{width}}  {row['operationId']}  [{scopes}]")
    return FINE


def _row(contract: Contract, operation: Operation) -> dict[str, Any]:
    return {
        "api": contract.name,
        "method": operation.method,
        "path": contract.base_path + operation.template,
        "operationId": operation.operation_id,
        "scopes": sorted(operation.security.scopes()),
        "anonymous": operation.security.anonymous,
    }
