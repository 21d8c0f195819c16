"""`portico sandbox`: the systems for development, on loopback ports, until Ctrl-C.

With an action it steers those that run, the embedded ones of `portico serve` as well.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
from collections.abc import Mapping

from gateway.cli import sandbox_actions
from gateway.cli.configuration import read_config
from gateway.cli.output import FINE, CannotRunError
from gateway.config import Config
from gateway.config.secrets import SecretStore
from gateway.sandboxes import SANDBOXES, secret_of
from gateway.steering import steerable
from portico.sandbox.running import Running, SandboxesError, run_sandboxes

# The admin endpoint; the systems are on the ports after it.
PORT = 18700


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, default=PORT, help="the port of the admin endpoint; 0 takes free ones"
    )
    parser.add_argument(
        "--only", action="append", choices=sorted(SANDBOXES), help="run only this system"
    )
    parser.add_argument(
        "--persist", action="store_true", help="keep what is written, in the data folder"
    )
    sandbox_actions.arguments(parser)


def run(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    if options.action:
        return sandbox_actions.run(config, options)
    try:
        asyncio.run(_serve(options, config))
    except SandboxesError as error:
        hint = "stop what listens there, or choose another with --port"
        raise CannotRunError("the sandboxes do not start", str(error), hint) from None
    return FINE


async def _serve(options: argparse.Namespace, config: Config) -> None:
    kinds = {name: SANDBOXES[name] for name in options.only or SANDBOXES}
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            run_sandboxes(
                kinds,
                secret_of(SecretStore(config.data)),
                folder=config.data / "sandboxes" if options.persist else None,
                first_port=options.port + 1 if options.port else 0,
            )
        )
        folder = config.data / "sandboxes"
        await stack.enter_async_context(steerable(running, folder, options.port))
        print(announcement(running), flush=True)
        await stopped.wait()


def announcement(running: Mapping[str, Running]) -> str:
    """Return where everything is, and what to write into portico.yaml to use it."""
    lines = ["The sandboxes are ready; `portico sandbox fault` makes things go wrong.", "", "apis:"]
    for entry in running.values():
        lines.append(f"  {entry.kind.api}:")
        lines.append("    settings:")
        for name, value in entry.kind.settings(entry.url).items():
            # As JSON, which YAML reads too: an id of digits stays a text.
            lines.append(f"      {name}: {json.dumps(value)}")
    return "\n".join([*lines, "", "Ctrl-C stops them."])
