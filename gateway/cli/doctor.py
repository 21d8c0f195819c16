"""`portico doctor`: whether the systems can be worked with, and what to do where not."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.choice import switched_off
from gateway.cli.configuration import read_config
from gateway.cli.output import FINDINGS, FINE, CannotRunError
from gateway.cli.progress import ProgressBar
from gateway.composition import load_contracts, settings_of
from gateway.config import Config
from gateway.config.secrets import SecretStore
from gateway.embedded import is_configured, open_embedded, running_tryton
from gateway.packages import open_resources
from gateway.steering import running_settings
from portico.connectors.checkup import Check, check_up
from portico.connectors.messages import Job
from portico.contract import Contract
from portico.deadline import Deadline
from portico.durable import Durable

# Long enough for a token and a dozen reads of a slow system.
SECONDS = 30.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("system", nargs="?", help="such as stripe (default: every system)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    every = load_contracts(config)
    off = switched_off(every, config)
    contracts = {
        name: contract
        for name, contract in every.items()
        if name not in off and _has_doctor(contract)
    }
    chosen = [name for name in contracts if options.system in {None, _short(name)}]
    if not chosen:
        for name in off:
            if _short(name) == options.system:
                hint = "switch it on under apis"
                raise CannotRunError(f"there is no {options.system}", f"{name} is off", hint)
        known = ", ".join(_short(name) for name in contracts) or "none"
        raise CannotRunError(
            f"there is no system {options.system}", f"the systems are {known}", "name one of them"
        )
    found = asyncio.run(_examine(config, {name: contracts[name] for name in chosen}))
    print(_as_json(found) if options.json else _as_text(found), flush=True)
    return FINE if all(check.well for checks in found.values() for check in checks) else FINDINGS


def _short(name: str) -> str:
    """Return the name of a system: `stripe` for `system/stripe.v1`."""
    return name.partition("/")[2].partition(".")[0]


def _has_doctor(contract: Contract) -> bool:
    package = importlib.import_module(contract.package)
    return any((Path(folder) / "doctor.py").is_file() for folder in package.__path__)


async def _examine(config: Config, contracts: Mapping[str, Contract]) -> dict[str, Sequence[Check]]:
    secrets = SecretStore(config.data)
    found: dict[str, Sequence[Check]] = {}
    async with contextlib.AsyncExitStack() as stack:
        # Others would give out refresh tokens that those that run do not know, and of Tryton
        # there is one in a data folder.
        running = {
            name: found
            for name, found in _running(config).items()
            if not is_configured(config, name)
        }
        embedded = await stack.enter_async_context(
            open_embedded(
                config, [name for name in contracts if name not in running], ProgressBar()
            )
        )
        injected = {**running, **embedded.settings}
        settings = settings_of(
            config, contracts, list(contracts), secrets=secrets, injected=injected
        )
        for name, contract in contracts.items():
            resources = await open_resources(stack, contract, settings[name], Durable())
            found[name] = await _check(contract, resources)
    return found


def _running(config: Config) -> Mapping[str, Mapping[str, Any]]:
    return {**running_settings(config.data / "sandboxes"), **running_tryton(config)}


async def _check(contract: Contract, resources: Any) -> Sequence[Check]:
    doctor = importlib.import_module(f"{contract.package}.doctor")
    job = Job(deadline=Deadline.after(SECONDS))
    return await check_up(
        resources.connection, doctor.probes(resources), job, remedies=doctor.REMEDIES
    )


def _as_text(found: Mapping[str, Sequence[Check]]) -> str:
    lines = []
    for name, checks in found.items():
        lines.append(name)
        for check in checks:
            lines.append(f"  {'ok  ' if check.well else 'FAIL'}  {check.name}: {check.detail}")
            if not check.well:
                lines.append(f"        {check.remedy}")
    return "\n".join(lines)


def _as_json(found: Mapping[str, Sequence[Check]]) -> str:
    document = {name: [asdict(check) for check in checks] for name, checks in found.items()}
    return json.dumps(document, indent=2)
