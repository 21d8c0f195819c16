"""The command line: `portico`. Each command is a module of its own, imported when it is run."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.cli.output import FINDINGS, USAGE, fail
from portico import __version__

COMMANDS = {
    "serve": "run the gateway and its APIs",
    "demo": "start everything, place an order, explain what happened",
    "lint": "check contracts, handlers and the calls between tiers",
    "routes": "list the operations and where they are",
    "graph": "show which API calls which",
    "dlq": "list, show, replay and discard what could not be done",
    "doctor": "check credentials, clock, limits and permissions of the systems",
    "idempotency": "look at the records of keys, settle those in doubt",
    "plan": "give a client another plan while the gateway runs",
    "conformance": "test the Idempotency-Key of any HTTP API from outside",
    "token": "print an access token of a configured client",
    "sandbox": "run the systems for development",
    "client": "add, change and end clients while the gateway runs",
    "api-key": "give API keys to partners that cannot do OAuth",
    "keys": "rotate the signing keys",
    "user": "hash a password for the configuration",
    "new": "add an API: a contract, handlers and a test",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 fine, 1 findings, 2 usage, 3 cannot run."""
    parser = argparse.ArgumentParser(
        prog="portico", description="Contract-first, API-led connectivity."
    )
    parser.add_argument("--version", action="version", version=f"portico {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen, rest = parser.parse_known_args(words[:1]), words[1:]
    command = chosen[0].command
    if command is None:
        parser.print_help()
        return USAGE
    return _run(command, rest)


def _run(command: str, rest: Sequence[str]) -> int:
    _add_project(Path.cwd())
    module = importlib.import_module(f"gateway.cli.{command.replace('-', '_')}")
    parser = argparse.ArgumentParser(prog=f"portico {command}", description=COMMANDS[command])
    parser.add_argument(
        "--config", type=Path, help="the configuration file (default: portico.yaml, if there)"
    )
    module.arguments(parser)
    options = parser.parse_args(rest)
    code: int = fail(lambda: module.run(options))
    return code


def _add_project(root: Path) -> None:
    """Let the APIs of the project in the working folder be found, beside those installed."""
    for folder in (root / "src", root):
        has_apis = any(folder.glob("*_apis"))
        if has_apis and str(folder) not in sys.path:
            # Last, so that nothing there takes the place of an installed module.
            sys.path.append(str(folder))


__all__ = ["COMMANDS", "FINDINGS", "main"]
