"""The sandbox for people: `python -m system_apis.tryton.sandbox setup | run`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from system_apis.tryton.sandbox.errors import SandboxError
from system_apis.tryton.sandbox.preparation import prepare
from system_apis.tryton.sandbox.server import Endpoint, Sandbox

EXIT_CANNOT_RUN = 3


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    action = _set_up if options.command == "setup" else _run
    try:
        asyncio.run(action(options))
    except SandboxError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_CANNOT_RUN
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the next set-up goes on from here\n")
        return EXIT_CANNOT_RUN
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m system_apis.tryton.sandbox",
        description="A real Tryton for development: installed, filled and run on 127.0.0.1.",
    )
    parser.add_argument("command", choices=["setup", "run"])
    parser.add_argument("--data", type=Path, default=Path("data/tryton"), help="data folder")
    parser.add_argument("--port", type=int, default=0, help="port; any free one by default")
    return parser


async def _set_up(options: argparse.Namespace) -> None:
    prepared = await prepare(options.data, _show)
    _say(f"Tryton is ready in {prepared.seeded.parent}")


async def _run(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    sandbox = Sandbox(options.data, port=options.port, progress=_show)
    start = asyncio.create_task(sandbox.start())
    if not await _unless(start, stopped):
        return
    endpoint = start.result()
    _say(f"Tryton answers at {endpoint.base_url} (process {sandbox.pid})")
    _say(f"  key for REST:       {sandbox.secrets.key}")
    _say(f"  password of admin:  {sandbox.secrets.password}")
    _say("  Ctrl-C stops it")
    watch = asyncio.create_task(sandbox.watch())
    await stopped.wait()
    watch.cancel()
    await sandbox.stop()


async def _unless(task: asyncio.Task[Endpoint], stopped: asyncio.Event) -> bool:
    """Wait for a task and tell whether it ended before we were to stop."""
    stop = asyncio.create_task(stopped.wait())
    await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if task.done():
        return True
    task.cancel()
    await asyncio.wait([task])
    return False


def _show(step: str, done: int, total: int) -> None:
    end = "\n" if done == total else ""
    sys.stderr.write(f"\r{step}: {done}/{total}{end}")
    sys.stderr.flush()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
