"""`portico graph`: who calls whom, from the `x-calls` that the client enforces."""

from __future__ import annotations

import argparse
import json

from gateway.cli.configuration import read_config
from gateway.cli.output import FINE
from gateway.composition import load_contracts


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument("--mermaid", action="store_true", help="print a Mermaid flowchart")


def run(options: argparse.Namespace) -> int:
    contracts = load_contracts(read_config(options.config))
    edges = [
        (name, callee, list(operations))
        for name, contract in contracts.items()
        for callee, operations in contract.calls.items()
    ]
    if options.json:
        rows = [{"api": name, "calls": callee, "operations": ops} for name, callee, ops in edges]
        print(json.dumps(rows, indent=2))
    elif options.mermaid:
        print("flowchart TD")
        for name, callee, _ in edges:
            print(f'    {_node(name)}["{name}"] --> {_node(callee)}["{callee}"]')
    else:
        for name, callee, operations in edges:
            print(f"{name} -> {callee}: {', '.join(operations)}")
    return FINE


def _node(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name)
